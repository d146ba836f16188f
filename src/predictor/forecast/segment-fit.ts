import { LagGram } from './lag-gram'
import { type Recursion, RecursionSpace, recur, seasonalBase } from './recursion'
import { solveRidge } from './ridge'

/** Origins of a row's backtest, a season (or a horizon) apart. */
export const ORIGINS = 7

const RIDGE = 1e-4
/** How fast the profile of the second member follows. */
const SMOOTHING = 0.1
/** Steps to either side over which a step's error is averaged. */
const NEIGHBOURS = 3
/** Coefficients that were fitted to the errors' own days, and the long tail of a rate, make their scale this much too small. */
const OPTIMISM = 1.15

/** What is kept of a row's autoregressions, besides its profile; see ForecastBank. */
export interface SegmentModel {
  /** z = log(rate + offset) − center. */
  offset: number
  center: number
  low: number
  high: number
  /** Weight of the first member; the second has the rest. */
  weight: number
}

/**
 * Fits one row of a bank: an autoregression with seasonal lags, and one on what a slowly followed seasonal profile leaves
 * over; weighted 1/MAE² over a short backtest. All space is held, so that a million rows allocate nothing.
 */
export class SegmentFit {
  readonly direct: Recursion
  readonly residual: Recursion
  /** Of the direct member, then of the residual one; each ends with its constant. */
  readonly directCoefficients: Float64Array
  readonly residualCoefficients: Float64Array
  readonly model: SegmentModel = { offset: 0, center: 0, low: 0, high: 0, weight: 1 }
  /** Error scale of each step as a share of (forecast + offset). */
  readonly relative: Float64Array
  /** ORIGINS × horizon backtest errors, actual − forecast, in units of the step's scale; oldest origin first. */
  readonly errors: Float64Array
  /** The residual member's last x, newest first, one per lag; and what its profile expects next, `period` values. */
  readonly z: Float64Array
  readonly x: Float64Array
  readonly base: Float64Array
  readonly #n: number
  readonly #horizon: number
  /** Intervals from one origin to the next. */
  readonly step: number
  readonly #directGram: LagGram
  readonly #residualGram: LagGram
  readonly #gram: Float64Array
  readonly #work: Float64Array
  readonly #first: Float64Array
  readonly #second: Float64Array
  readonly #space = new RecursionSpace()

  constructor(n: number, seasons: readonly number[], horizon: number) {
    this.#n = n
    this.#horizon = horizon
    const day = seasons.find((period) => n >= 2 * period) ?? 0
    const week = seasons.findLast((period) => n >= 2 * period) ?? 0
    const lags = [...new Set([1, 2, ...(day ? [day, day + 1] : []), ...(week ? [week, week + 1] : [])])]
    lags.sort((a, b) => a - b)
    while (lags.length > 1 && n - lags[lags.length - 1]! < 6 * (lags.length + 1)) lags.pop()
    const near = [1, 2]
    const period = week || 1
    this.direct = { lags: Int32Array.from(lags), period: 1, smoothing: 0 }
    this.residual = { lags: Int32Array.from(near), period, smoothing: SMOOTHING }
    this.#directGram = new LagGram(lags, lags[lags.length - 1]!, n)
    this.#residualGram = new LagGram(near, Math.max(period, 2), n)
    this.directCoefficients = new Float64Array(lags.length + 1)
    this.residualCoefficients = new Float64Array(near.length + 1)
    this.#gram = new Float64Array(this.#directGram.width ** 2)
    this.#work = new Float64Array(this.#directGram.width ** 2)
    this.relative = new Float64Array(horizon)
    this.errors = new Float64Array(ORIGINS * horizon)
    this.z = new Float64Array(n)
    this.x = new Float64Array(n)
    this.base = new Float64Array(n + period)
    this.#first = new Float64Array(ORIGINS * horizon)
    this.#second = new Float64Array(ORIGINS * horizon)
    // Origins a day apart; a longer horizon needs them further apart, a shorter history closer together.
    this.step = Math.max(1, Math.min(day || horizon, Math.floor((n / 2 - horizon) / (ORIGINS - 1))))
  }

  /** Intervals of history below which there is nothing to fit. */
  static fewest(horizon: number): number {
    return 2 * (horizon + ORIGINS)
  }

  /** Oldest first, nowhere negative, gaps filled; `mean` of it, greater than 0. */
  fit(rates: Float64Array, mean: number): void {
    const n = this.#n
    const { model, z, x, base } = this
    const offset = 0.05 * mean
    let center = 0
    for (let t = 0; t < n; t++) {
      z[t] = Math.log(rates[t]! + offset)
      center += z[t]!
    }
    center /= n
    let low = Number.POSITIVE_INFINITY
    let high = Number.NEGATIVE_INFINITY
    for (let t = 0; t < n; t++) {
      const v = z[t]! - center
      z[t] = v
      if (v < low) low = v
      if (v > high) high = v
    }
    const margin = (high - low) / 4
    model.offset = offset
    model.center = center
    model.low = low - margin
    model.high = high + margin
    seasonalBase(z, n, this.residual.period, SMOOTHING, base)
    for (let t = 0; t < n; t++) x[t] = z[t]! - base[t]!
    this.#directGram.compute(z, this.#gram)
    solveRidge(this.#gram, this.#directGram.width, RIDGE, this.directCoefficients, this.#work)
    this.#residualGram.compute(x, this.#gram)
    solveRidge(this.#gram, this.#residualGram.width, RIDGE, this.residualCoefficients, this.#work)
    this.#backtest(rates)
  }

  #backtest(rates: Float64Array): void {
    const n = this.#n
    const horizon = this.#horizon
    const { model } = this
    const { offset, center, low, high } = model
    const first = this.#first
    const second = this.#second
    let direct = 0
    let residual = 0
    for (let o = 0; o < ORIGINS; o++) {
      const origin = n - horizon - (ORIGINS - 1 - o) * this.step
      const a = first.subarray(o * horizon, (o + 1) * horizon)
      const b = second.subarray(o * horizon, (o + 1) * horizon)
      recur(
        this.direct,
        this.directCoefficients,
        this.z,
        this.base,
        origin,
        horizon,
        low,
        high,
        this.#space,
        a,
      )
      recur(
        this.residual,
        this.residualCoefficients,
        this.x,
        this.base,
        origin,
        horizon,
        low,
        high,
        this.#space,
        b,
      )
      for (let h = 0; h < horizon; h++) {
        const actual = rates[origin + h]! + offset
        a[h] = Math.exp(a[h]! + center)
        b[h] = Math.exp(b[h]! + center)
        direct += Math.abs(actual - a[h]!)
        residual += Math.abs(actual - b[h]!)
      }
    }
    const total = direct * direct + residual * residual
    const weight = total > 0 ? (residual * residual) / total : 1
    model.weight = weight
    const { errors, relative } = this
    for (let o = 0; o < ORIGINS; o++) {
      const origin = n - horizon - (ORIGINS - 1 - o) * this.step
      for (let h = 0; h < horizon; h++) {
        const k = o * horizon + h
        const forecast = weight * first[k]! + (1 - weight) * second[k]!
        errors[k] = (rates[origin + h]! + offset) / forecast - 1
      }
    }
    for (let h = 0; h < horizon; h++) {
      let sum = 0
      let count = 0
      for (let k = Math.max(0, h - NEIGHBOURS); k <= Math.min(horizon - 1, h + NEIGHBOURS); k++)
        for (let o = 0; o < ORIGINS; o++) {
          const e = errors[o * horizon + k]!
          sum += e * e
          count++
        }
      relative[h] = OPTIMISM * Math.sqrt(sum / count)
    }
    for (let k = 0; k < errors.length; k++) {
      const scale = relative[k % horizon]!
      errors[k] = scale > 0 ? errors[k]! / scale : 0
    }
  }
}
