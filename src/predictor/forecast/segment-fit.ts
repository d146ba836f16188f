import { LagGram } from './lag-gram'
import { Logarithm } from './logarithm'
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
  /** Per origin, the parts of #first and #second that are its own. */
  readonly #paths: [Float64Array, Float64Array][] = []
  readonly #squares: Float64Array
  readonly #space = new RecursionSpace()
  readonly #logarithm: Logarithm

  constructor(n: number, seasons: readonly number[], horizon: number) {
    this.#n = n
    this.#horizon = horizon
    this.#logarithm = new Logarithm(n)
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
    this.#squares = new Float64Array(horizon)
    for (let k = 0; k < ORIGINS * horizon; k += horizon)
      this.#paths.push([this.#first.subarray(k, k + horizon), this.#second.subarray(k, k + horizon)])
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
    const center = this.#logarithm.of(rates, offset, n, z) / n
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
    seasonalBase(z, n, this.residual.period, SMOOTHING, base, x)
    this.#directGram.compute(z, this.#gram)
    solveRidge(this.#gram, this.#directGram.width, RIDGE, this.directCoefficients, this.#work)
    this.#residualGram.compute(x, this.#gram)
    solveRidge(this.#gram, this.#residualGram.width, RIDGE, this.residualCoefficients, this.#work)
    this.#backtest()
  }

  #backtest(): void {
    const n = this.#n
    const horizon = this.#horizon
    const { step, z, errors, relative } = this
    const { low, high } = this.model
    const first = this.#first
    const second = this.#second
    const oldest = n - horizon - (ORIGINS - 1) * step
    let direct = 0
    let residual = 0
    for (let o = 0, k = 0, origin = oldest; o < ORIGINS; o++, origin += step) {
      const [a, b] = this.#paths[o]!
      recur(this.direct, this.directCoefficients, z, this.base, origin, horizon, low, high, this.#space, a)
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
      for (let h = 0; h < horizon; h++, k++) {
        const actual = z[origin + h]!
        direct += Math.abs(actual - first[k]!)
        residual += Math.abs(actual - second[k]!)
      }
    }
    const total = direct * direct + residual * residual
    const weight = total > 0 ? (residual * residual) / total : 1
    this.model.weight = weight
    const squares = this.#squares.fill(0)
    for (let o = 0, k = 0, origin = oldest; o < ORIGINS; o++, origin += step)
      for (let h = 0; h < horizon; h++, k++) {
        const error = Math.exp(z[origin + h]! - weight * first[k]! - (1 - weight) * second[k]!) - 1
        errors[k] = error
        squares[h]! += error * error
      }
    for (let h = 0; h < horizon; h++) {
      const from = Math.max(0, h - NEIGHBOURS)
      const to = Math.min(horizon - 1, h + NEIGHBOURS)
      let sum = 0
      for (let k = from; k <= to; k++) sum += squares[k]!
      relative[h] = OPTIMISM * Math.sqrt(sum / ((to - from + 1) * ORIGINS))
    }
    for (let o = 0, k = 0; o < ORIGINS; o++)
      for (let h = 0; h < horizon; h++, k++) errors[k] = relative[h]! > 0 ? errors[k]! / relative[h]! : 0
  }
}
