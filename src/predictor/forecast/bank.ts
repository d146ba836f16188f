import { invalid } from '../../errors'
import { countProfile, LEVEL_ACCESSES } from './count-profile'
import { RecursionSpace, recur } from './recursion'
import { ORIGINS, SegmentFit } from './segment-fit'
import { stretchSum } from './stretch-sum'

export interface ForecastBankOptions {
  /** Rows. */
  segments: number
  /** Columns: intervals of history that are kept, 672 if not given. */
  intervals?: number
  /** Longest forecast, in intervals; 24 if not given. */
  horizon?: number
  /** At most two seasons that all rows share, in intervals, the second a multiple of the first: [24, 168]. */
  seasonality?: readonly number[]
}

/** Profiles that small segments borrow: see ForecastBank.refit. */
export interface PooledProfiles {
  /** One array per cluster: `bank.period` factors with a mean of 1, by phase. `bank.profileOf` makes one. */
  profiles: readonly ArrayLike<number>[]
  /** The cluster of each segment, −1 for none. */
  of: ArrayLike<number>
}

/** Rows with a smaller mean an interval are forecast as counts. */
const LOW_COUNT = 12
/** So are rows of which a smaller share is known. */
const KNOWN = 0.8
/** What a row is forecast as. */
const NOTHING = 0
const COUNTS = 1
const RATES = 2

/** Slots of a row's parameters; the direct coefficients follow, the residual ones, and the residual member's last x. */
const OFFSET = 0
const CENTER = 1
const LOW = 2
const HIGH = 3
/** RATES: weight of the direct member. COUNTS: factor by which the level moved since the fit. */
const WEIGHT = 4
const DISPERSION = 5
const SLOTS = 6

/**
 * Forecasts of many segments at once: a ring of access rates with a row per segment, and a fitted model per row.
 *
 * Units: all rates are accesses an interval, as numbers ≥ 0; NaN is a gap. Rows are segment-major, columns intervals, oldest
 * first. An interval's phase is its number modulo `period`; the number of the first column that is loaded is an option.
 *
 * `load` the history, `refit`, `forecast`; then `push` a column an interval, and `refit` once a season or so, all
 * rows at once or some at a time.
 */
export class ForecastBank {
  readonly segments: number
  readonly intervals: number
  readonly horizon: number
  readonly seasonality: readonly number[]
  /** The longest season, 1 if there is none. */
  readonly period: number
  /** Backtest forecasts whose errors are kept per row. */
  readonly origins = ORIGINS

  /** Ring: column c of a row's history lies at (#head + c) % intervals. A gap after the first known interval is filled on entry. */
  readonly #rates: Float32Array
  #head = 0
  /** Number of the interval that comes next. */
  #next = 0
  readonly #mode: Uint8Array
  readonly #parameters: Float64Array
  readonly #width: number
  /** By phase. RATES: what the residual member's profile expects, on the model's scale. COUNTS: expected accesses. */
  readonly #profile: Float32Array
  readonly #relative: Float32Array
  readonly #errors: Float32Array
  readonly #fit: SegmentFit
  /** [from, to) pairs of columns that a forecast's direct lags read. */
  readonly #reads: number[]
  readonly #space = new RecursionSpace()
  readonly #row: Float64Array
  readonly #known: Uint8Array
  readonly #z: Float64Array
  readonly #x: Float64Array
  readonly #base: Float64Array
  readonly #direct: Float64Array
  readonly #residual: Float64Array
  readonly #first: Float64Array
  readonly #second: Float64Array
  readonly #scale: Float64Array

  constructor(options: ForecastBankOptions) {
    const { segments, intervals = 672, horizon = 24, seasonality = [] } = options
    if (!Number.isInteger(segments) || segments < 1)
      throw invalid('options.segments', 'must be a whole number of rows, 1 or more')
    if (!Number.isInteger(horizon) || horizon < 1)
      throw invalid('options.horizon', 'must be a whole number of intervals, 1 or more')
    const fewest = SegmentFit.fewest(horizon)
    if (!Number.isInteger(intervals) || intervals < fewest)
      throw invalid(
        'options.intervals',
        `must be a whole number, for a horizon of ${horizon} at least ${fewest}`,
      )
    const [day, week] = seasonality
    if (
      seasonality.length > 2 ||
      seasonality.some((season) => !Number.isInteger(season) || season < 2) ||
      (day !== undefined && week !== undefined && (week <= day || week % day !== 0))
    )
      throw invalid(
        'options.seasonality',
        'must be at most two whole numbers ≥ 2, the second a multiple of the first',
      )
    this.segments = segments
    this.intervals = intervals
    this.horizon = horizon
    this.seasonality = seasonality.slice()
    this.period = week ?? day ?? 1
    const fit = new SegmentFit(intervals, seasonality, horizon)
    this.#fit = fit
    const lags = fit.residual.lags.length
    this.#direct = new Float64Array(fit.direct.lags.length + 1)
    this.#residual = new Float64Array(lags + 1)
    this.#width = SLOTS + this.#direct.length + this.#residual.length + lags
    this.#reads = readsOf(fit.direct.lags, intervals, horizon)
    this.#rates = new Float32Array(segments * intervals).fill(Number.NaN)
    this.#mode = new Uint8Array(segments)
    this.#parameters = new Float64Array(segments * this.#width)
    this.#profile = new Float32Array(segments * this.period)
    this.#relative = new Float32Array(segments * horizon)
    this.#errors = new Float32Array(segments * ORIGINS * horizon)
    this.#row = new Float64Array(intervals)
    this.#known = new Uint8Array(intervals)
    this.#z = new Float64Array(intervals)
    this.#x = new Float64Array(lags)
    this.#base = new Float64Array(lags + horizon)
    this.#first = new Float64Array(horizon)
    this.#second = new Float64Array(horizon)
    this.#scale = new Float64Array(horizon)
  }

  /** Number of the interval that `push` adds next, and that a forecast begins with. */
  get next(): number {
    return this.#next
  }

  /** Replaces the whole history: segments × intervals rates, row after row. `first` is the number of the oldest column. */
  load(rates: ArrayLike<number>, first = 0): void {
    const { segments, intervals } = this
    if (rates.length !== segments * intervals)
      throw invalid(
        'rates',
        `must hold ${segments} rows of ${intervals} columns, not ${rates.length} numbers`,
      )
    if (!Number.isInteger(first) || first < 0) throw invalid('first', 'must be a whole number, 0 or more')
    for (let k = 0; k < rates.length; k++) this.#check(rates[k]!, 'rates', k)
    this.#head = 0
    this.#next = first + intervals
    this.#mode.fill(NOTHING)
    for (let at = 0; at < rates.length; at += intervals) {
      let seen = false
      for (let t = 0; t < intervals; t++) {
        let rate = rates[at + t]!
        if (Number.isNaN(rate) && seen) {
          const back = t >= this.period ? this.#rates[at + t - this.period]! : Number.NaN
          rate = Number.isNaN(back) ? this.#rates[at + t - 1]! : back
        }
        seen ||= !Number.isNaN(rate)
        this.#rates[at + t] = rate
      }
    }
  }

  /**
   * Adds an interval: one rate a segment; the oldest column is forgotten. Writes to `residuals`, if given, how far each rate
   * lay from the forecast made just before, in units of its error scale: what drift detectors want. NaN where there was
   * no forecast, or no rate.
   */
  push(column: ArrayLike<number>, residuals?: Float32Array | Float64Array): void {
    const { segments, intervals, period } = this
    if (column.length !== segments)
      throw invalid('column', `must hold a rate for each of the ${segments} segments`)
    for (let s = 0; s < segments; s++) this.#check(column[s]!, 'column', s)
    const slot = this.#head
    const last = slot === 0 ? intervals - 1 : slot - 1
    const phase = this.#next % period
    const mean = this.#first
    for (let s = 0; s < segments; s++) {
      const mode = this.#mode[s]!
      const given = column[s]!
      let rate = given
      if (mode !== NOTHING) {
        this.#predict(s, 1, mean, this.#scale)
        if (residuals) residuals[s] = this.#scale[0]! > 0 ? (given - mean[0]!) / this.#scale[0]! : Number.NaN
        if (Number.isNaN(rate)) rate = mean[0]!
      } else {
        if (residuals) residuals[s] = Number.NaN
        if (Number.isNaN(rate)) rate = this.#rates[s * intervals + last]!
      }
      this.#rates[s * intervals + slot] = rate
      const at = s * this.#width
      const p = this.#parameters
      if (mode === RATES) {
        const z = Math.log(rate + p[at + OFFSET]!) - p[at + CENTER]!
        const k = s * period + phase
        const x = z - this.#profile[k]!
        this.#profile[k]! += this.#fit.residual.smoothing * x
        const recent = at + this.#width - this.#x.length
        p.copyWithin(recent + 1, recent, at + this.#width - 1)
        p[recent] = x
      } else if (mode === COUNTS) {
        const expected = this.#profile[s * period + phase]!
        p[at + WEIGHT]! += (rate - p[at + WEIGHT]! * expected) / LEVEL_ACCESSES
      }
    }
    this.#head = slot + 1 === intervals ? 0 : slot + 1
    this.#next++
  }

  /** Fits the rows [from, to) to the history they have now. */
  refit(pooled?: PooledProfiles, from = 0, to = this.segments): void {
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > this.segments || from > to)
      throw invalid('from', `and to must be rows, 0 to ${this.segments}`)
    if (pooled) this.#checkPooled(pooled)
    for (let s = from; s < to; s++) this.#refit(s, pooled)
  }

  /**
   * Writes the expected rate and the error scale (a standard deviation) of the next `mean.length` intervals, at most `horizon`.
   * An upper bound is mean + z · scale; a possible future is max(0, mean[h] + scale[h] · errors[h]), see `errors`.
   */
  forecast(segment: number, mean: Float64Array, scale: Float64Array): void {
    if (!Number.isInteger(segment) || segment < 0 || segment >= this.segments)
      throw invalid('segment', `must be a row, 0 to ${this.segments - 1}`)
    if (mean.length > this.horizon || mean.length !== scale.length)
      throw invalid('mean', `must be as long as scale and at most ${this.horizon}, the horizon of the bank`)
    this.#predict(segment, mean.length, mean, scale)
  }

  /**
   * Errors of the row's own backtest, `origins` × `horizon`, oldest origin first: actual − forecast in units of the step's error
   * scale. Entry o · horizon + h is the error of the same interval in every row: to keep together what rises together,
   * draw an origin, and take it for all rows. A view: valid until the next refit.
   */
  errors(segment: number): Float32Array {
    const length = ORIGINS * this.horizon
    return this.#errors.subarray(segment * length, (segment + 1) * length)
  }

  /** What the row is forecast as: 'rates' by autoregression, 'counts' by a shrunk profile, 'nothing' if no access is known. */
  kind(segment: number): 'nothing' | 'counts' | 'rates' {
    return (['nothing', 'counts', 'rates'] as const)[this.#mode[segment]!]!
  }

  /** The common profile of some rows: `period` factors with a mean of 1, by phase; each row counts by its accesses. */
  profileOf(segments: Iterable<number>): Float64Array {
    const { intervals, period } = this
    const sums = new Float64Array(period)
    const counts = new Float64Array(period)
    const phase = this.#firstPhase()
    for (const s of segments)
      for (let c = 0; c < intervals; c++) {
        const slot = this.#head + c
        const rate = this.#rates[s * intervals + (slot < intervals ? slot : slot - intervals)]!
        if (Number.isNaN(rate)) continue
        sums[(phase + c) % period]! += rate
        counts[(phase + c) % period]!++
      }
    let total = 0
    for (let k = 0; k < period; k++) {
      if (counts[k]! > 0) sums[k]! /= counts[k]!
      total += sums[k]!
    }
    return total > 0 ? sums.map((sum) => (sum * period) / total) : sums.fill(1)
  }

  #firstPhase(): number {
    return (((this.#next - this.intervals) % this.period) + this.period) % this.period
  }

  #check(rate: number, field: string, k: number): void {
    if (typeof rate !== 'number' || rate < 0 || rate === Number.POSITIVE_INFINITY)
      throw invalid(`${field}[${k}]`, 'must be a finite number of accesses, 0 or more; give NaN for a gap')
  }

  #checkPooled({ profiles, of }: PooledProfiles): void {
    if (of.length !== this.segments)
      throw invalid('pooled.of', 'must name a cluster, or −1, for each segment')
    profiles.forEach((profile, k) => {
      if (profile.length !== this.period)
        throw invalid(`pooled.profiles[${k}]`, `must hold ${this.period} factors, one per phase`)
      for (let p = 0; p < profile.length; p++)
        if (!(profile[p]! >= 0 && profile[p]! < Number.POSITIVE_INFINITY))
          throw invalid(`pooled.profiles[${k}]`, 'must hold finite factors, 0 or more')
    })
    for (let s = 0; s < of.length; s++)
      if (!(of[s]! >= -1 && of[s]! < profiles.length && Number.isInteger(of[s]!)))
        throw invalid(`pooled.of[${s}]`, `must be a cluster, 0 to ${profiles.length - 1}, or −1`)
  }

  /** Copies the row out of the ring; returns the number of leading intervals that are not known. */
  #unroll(s: number): number {
    const { intervals } = this
    const row = this.#row
    const at = s * intervals
    row.set(this.#rates.subarray(at + this.#head, at + intervals))
    row.set(this.#rates.subarray(at, at + this.#head), intervals - this.#head)
    let unknown = 0
    while (unknown < intervals && Number.isNaN(row[unknown]!)) unknown++
    return unknown
  }

  #refit(s: number, pooled: PooledProfiles | undefined): void {
    const { intervals, period } = this
    const row = this.#row
    const unknown = this.#unroll(s)
    const sum = stretchSum(row, unknown, intervals)
    if (sum === 0) {
      this.#mode[s] = NOTHING
      this.#parameters[s * this.#width + DISPERSION] = 0
      this.errors(s).fill(0)
      return
    }
    const at = s * this.#width
    const p = this.#parameters
    const mean = sum / (intervals - unknown)
    if (mean >= LOW_COUNT && intervals - unknown >= KNOWN * intervals) {
      for (let t = 0; t < unknown; t++) {
        let same = unknown + ((((t - unknown) % period) + period) % period)
        if (same >= intervals) same = unknown
        row[t] = row[same]!
      }
      this.#mode[s] = RATES
      this.#refitRates(s, at, mean)
    } else {
      this.#mode[s] = COUNTS
      p[at + WEIGHT] = 1
      this.#refitCounts(s, at, unknown, pooled)
    }
  }

  #refitRates(s: number, at: number, mean: number): void {
    const { intervals, period, horizon } = this
    const fit = this.#fit
    const p = this.#parameters
    fit.fit(this.#row, mean)
    p[at + OFFSET] = fit.model.offset
    p[at + CENTER] = fit.model.center
    p[at + LOW] = fit.model.low
    p[at + HIGH] = fit.model.high
    p[at + WEIGHT] = fit.model.weight
    p.set(fit.directCoefficients, at + SLOTS)
    p.set(fit.residualCoefficients, at + SLOTS + this.#direct.length)
    for (let k = 0; k < this.#x.length; k++)
      p[at + this.#width - this.#x.length + k] = fit.x[intervals - 1 - k]!
    const own = fit.residual.period
    let phase = this.#next % period
    for (let h = 0, k = 0; h < period; h++) {
      this.#profile[s * period + phase] = fit.base[intervals + k]!
      phase = phase + 1 === period ? 0 : phase + 1
      k = k + 1 === own ? 0 : k + 1
    }
    this.#relative.set(fit.relative, s * horizon)
    this.#errors.set(fit.errors, s * ORIGINS * horizon)
  }

  #refitCounts(s: number, at: number, unknown: number, pooled: PooledProfiles | undefined): void {
    const { intervals, period, horizon } = this
    const row = this.#row
    const known = this.#known
    for (let t = 0; t < intervals; t++) known[t] = t < unknown ? 0 : 1
    const cluster = pooled ? pooled.of[s]! : -1
    const borrowed =
      cluster < 0 ? undefined : { factors: pooled!.profiles[cluster]!, phase: this.#firstPhase() }
    const history = { values: row, known, length: intervals }
    const { fitted, dispersion } = countProfile(history, this.seasonality, period, borrowed)
    this.#parameters[at + DISPERSION] = dispersion
    for (let h = 0; h < period; h++)
      this.#profile[s * period + ((this.#next + h) % period)] = fitted[intervals + h]!
    const errors = this.#errors
    const start = s * ORIGINS * horizon
    const step = this.#fit.step
    for (let o = 0; o < ORIGINS; o++)
      for (let h = 0; h < horizon; h++) {
        const t = intervals - horizon - (ORIGINS - 1 - o) * step + h
        const variance = fitted[t]! + dispersion * fitted[t]! * fitted[t]!
        errors[start + o * horizon + h] =
          known[t] && variance > 0 ? (row[t]! - fitted[t]!) / Math.sqrt(variance) : 0
      }
  }

  #predict(s: number, horizon: number, mean: Float64Array, scale: Float64Array): void {
    const mode = this.#mode[s]!
    if (mode === RATES) {
      this.#predictRates(s, horizon, mean, scale)
      return
    }
    const at = s * this.#width
    const level = this.#parameters[at + WEIGHT]!
    const dispersion = this.#parameters[at + DISPERSION]!
    let phase = this.#next % this.period
    for (let h = 0; h < horizon; h++) {
      const expected = mode === COUNTS ? level * this.#profile[s * this.period + phase]! : 0
      mean[h] = expected
      scale[h] = Math.sqrt(expected + dispersion * expected * expected)
      phase = phase + 1 === this.period ? 0 : phase + 1
    }
  }

  #predictRates(s: number, horizon: number, mean: Float64Array, scale: Float64Array): void {
    const { intervals, period } = this
    const p = this.#parameters
    const fit = this.#fit
    const at = s * this.#width
    const offset = p[at + OFFSET]!
    const center = p[at + CENTER]!
    const low = p[at + LOW]!
    const high = p[at + HIGH]!
    const weight = p[at + WEIGHT]!
    const z = this.#z
    const reads = this.#reads
    for (let k = 0; k < reads.length; k += 3) {
      const end = Math.min(reads[k + 1]!, reads[k + 2]! + horizon)
      for (let c = reads[k]!; c < end; c++) {
        const slot = this.#head + c
        z[c] =
          Math.log(this.#rates[s * intervals + (slot < intervals ? slot : slot - intervals)]! + offset) -
          center
      }
    }
    const lags = this.#x.length
    for (let k = 0; k < lags; k++) this.#x[k] = p[at + this.#width - 1 - k]!
    let phase = this.#next % period
    for (let h = 0; h < Math.min(horizon, fit.residual.period); h++) {
      this.#base[lags + h] = this.#profile[s * period + phase]!
      phase = phase + 1 === period ? 0 : phase + 1
    }
    const coefficients = at + SLOTS
    for (let k = 0; k < this.#direct.length; k++) this.#direct[k] = p[coefficients + k]!
    for (let k = 0; k < this.#residual.length; k++)
      this.#residual[k] = p[coefficients + this.#direct.length + k]!
    const first = this.#first
    const second = this.#second
    recur(fit.direct, this.#direct, z, z, intervals, horizon, low, high, this.#space, first)
    recur(fit.residual, this.#residual, this.#x, this.#base, lags, horizon, low, high, this.#space, second)
    for (let h = 0; h < horizon; h++) {
      const blend = Math.exp(weight * first[h]! + (1 - weight) * second[h]! + center)
      mean[h] = Math.max(0, blend - offset)
      scale[h] = blend * this.#relative[s * this.horizon + h]!
    }
  }
}

/** [from, to, first of the longest lag) of columns that are read for `horizon` steps; neighbouring lags share a stretch. */
function readsOf(lags: Int32Array, intervals: number, horizon: number): number[] {
  const reads: number[] = []
  for (const lag of [...lags].reverse()) {
    const from = intervals - lag
    const to = Math.min(intervals, from + horizon)
    const end = reads.length - 2
    if (reads.length && from <= reads[end]!) {
      reads[end] = Math.max(reads[end]!, to)
      reads[end + 1] = from
    } else reads.push(from, to, from)
  }
  return reads
}
