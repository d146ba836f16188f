import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { countProfile, countQuantile } from './forecast/count-profile'
import { ensemble, type Weighted } from './forecast/ensemble'
import { History } from './forecast/history'
import { Scale } from './forecast/scale'
import { findSeasons } from './forecast/season'

/** Longest horizon, in intervals. */
export const MAX_HORIZON = 10_000
/** Longest season, in intervals. */
export const MAX_SEASON = 20_000

/** History that is used: four weeks of hours; fourteen of the first season or four of the longest if that is more. */
const HISTORY = 672
const DAYS_OF_HISTORY = 14
const WEEKS_OF_HISTORY = 4
const LONGEST_HISTORY = WEEKS_OF_HISTORY * MAX_SEASON
const HUGE = 1e100
/** Fewer known intervals than this have no model, only a level. */
const FEWEST = 8
/** Counts with a smaller mean an interval are forecast as counts, from LOW_COUNT to MANY_COUNTS by a blend. */
const LOW_COUNT = 10
const MANY_COUNTS = 30

export interface ForecastOptions {
  /** Intervals to forecast, 1 … MAX_HORIZON. */
  horizon: number
  /** One season or several, in intervals, each 2 … MAX_SEASON; found from the data if not given, none if []. */
  seasonality?: number | readonly number[]
  /** Share of the actual values that should lie between lower and upper; in (0, 1), .95 if not given. */
  level?: number
}

const FORECAST_FIELDS: Fields<ForecastOptions> = { horizon: true, seasonality: true, level: true }

export interface ForecastModel {
  /** The members that were averaged and their weights, which add up to 1. */
  members: Weighted[]
  /** Seasons that were used, ascending, in intervals. */
  seasonality: number[]
  seasonalitySource: 'given' | 'found' | 'none'
  /** Intervals of history that were used, gaps included. */
  intervals: number
  gaps: number
  /** Why less than the whole ensemble was used. */
  fallback?: string
}

export interface Forecast {
  mean: number[]
  lower: number[]
  upper: number[]
  model: ForecastModel
}

/**
 * Forecasts an access rate: ARIMA-lite, a few seasonal autoregressions weighted by how well each would have forecast
 * the last dozen seasons, with intervals from the errors it would have made. NaN in `series` is a missing interval.
 * Deterministic; always finite; never negative where the history is not. docs/forecasting.md gives the method's
 * sources and its figures on the M4 competition's hourly series.
 */
export function forecast(series: ArrayLike<number>, options: ForecastOptions): Forecast {
  const { horizon, level, given } = validated(series, options)
  let history = History.read(series, LONGEST_HISTORY)
  const peak = Math.max(history.max, -history.min)
  if (peak > HUGE || (peak > 0 && peak < 1 / HUGE)) {
    // Sums and squares of such numbers do not fit into a double.
    const { mean, lower, upper, model } = forecast(
      Array.from(series, (v) => v / peak),
      options,
    )
    const back = (v: number) => finite(v * peak)
    return { mean: mean.map(back), lower: lower.map(back), upper: upper.map(back), model }
  }
  history.fill([])
  let seasons: number[] = []
  let scale: Scale | undefined
  let source: ForecastModel['seasonalitySource'] = 'none'
  if (given) {
    seasons = given
    if (seasons.length) source = 'given'
  } else if (history.max > history.min) {
    scale = new Scale(history.values, history.min, history.mean)
    seasons = findSeasons(scale.z, history.gaps ? history.known : undefined).periods
    if (seasons.length) source = 'found'
  }
  const longest = seasons[seasons.length - 1] ?? 0
  const whole = history
  history = history.last(Math.max(HISTORY, DAYS_OF_HISTORY * (seasons[0] ?? 0), WEEKS_OF_HISTORY * longest))
  history.fill(seasons)
  if (history !== whole || history.gaps > 0) scale = undefined
  const n = history.length
  const seen = n - history.gaps
  const model: ForecastModel = {
    members: [],
    seasonality: seasons.slice(),
    seasonalitySource: source,
    intervals: n,
    gaps: history.gaps,
  }
  const answer = (mean: ArrayLike<number>, lower: ArrayLike<number>, upper: ArrayLike<number>): Forecast => ({
    mean: Array.from(mean, finite),
    lower: Array.from(lower, finite),
    upper: Array.from(upper, finite),
    model,
  })
  const flat = (value: number) => new Array<number>(horizon).fill(value)

  if (seen === 0) {
    model.members = [{ name: 'zero', weight: 1 }]
    model.fallback = 'no known interval in the history'
    return answer(flat(0), flat(0), flat(0))
  }
  const counted = history.counts && history.mean < MANY_COUNTS
  if (history.min === history.max && !(counted && history.max === 0)) {
    model.members = [{ name: 'constant', weight: 1 }]
    model.fallback = 'every known interval has the same value'
    return answer(flat(history.min), flat(history.min), flat(history.min))
  }
  const profile = counted ? countProfile(history, seasons, horizon) : undefined
  const expected = profile?.fitted.subarray(n) ?? []
  const share =
    !profile || seen < FEWEST
      ? 0
      : Math.min(1, Math.max(0, (MANY_COUNTS - history.mean) / (MANY_COUNTS - LOW_COUNT)))
  const tail = (1 - level) / 2
  if (profile && (share === 1 || seen < FEWEST)) {
    model.members = [{ name: 'count profile', weight: 1 }]
    model.fallback = `counts with a mean of ${history.mean.toPrecision(3)} an interval are too low for an autoregression`
    return answer(
      expected,
      Array.from(expected, (m) => Math.min(m, countQuantile(m, profile.dispersion, tail))),
      Array.from(expected, (m) => Math.max(m, countQuantile(m, profile.dispersion, 1 - tail))),
    )
  }
  if (seen < FEWEST) {
    model.members = [{ name: 'level', weight: 1 }]
    model.fallback = `${seen} known intervals are too few for a model`
    let deviation = 0
    for (let t = 0; t < n; t++)
      if (history.known[t]) deviation = Math.max(deviation, Math.abs(history.values[t]! - history.mean))
    const low = history.mean - 2 * deviation
    return answer(
      flat(history.mean),
      flat(history.min >= 0 ? Math.max(0, low) : low),
      flat(history.mean + 2 * deviation),
    )
  }
  scale ??= new Scale(history.values, history.min, history.mean)
  const blended = ensemble(history, scale, seasons, horizon, level)
  model.members = blended.members
  if (longest > 0 && n < 3 * longest)
    model.fallback = `${n} intervals are fewer than three seasons of ${longest}`
  if (!profile || share === 0) return answer(blended.mean, blended.lower, blended.upper)
  model.members = [
    { name: 'count profile', weight: share },
    ...blended.members.map((member) => ({ name: member.name, weight: member.weight * (1 - share) })),
  ]
  const blend = (a: number, b: number) => share * a + (1 - share) * b
  return answer(
    Array.from(expected, (m, h) => blend(m, blended.mean[h]!)),
    Array.from(expected, (m, h) => blend(countQuantile(m, profile.dispersion, tail), blended.lower[h]!)),
    Array.from(expected, (m, h) => blend(countQuantile(m, profile.dispersion, 1 - tail), blended.upper[h]!)),
  )
}

function finite(value: number): number {
  return Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value))
}

function validated(series: ArrayLike<number>, options: ForecastOptions) {
  if (series === null || typeof series !== 'object' || !Number.isInteger(series.length) || series.length < 0)
    throw invalid('series', 'must be an array of numbers, or a typed array, one number an interval')
  checkFields(options, FORECAST_FIELDS, 'options')
  const { horizon, seasonality, level = 0.95 } = options
  if (!Number.isInteger(horizon) || horizon < 1 || horizon > MAX_HORIZON)
    throw invalid(
      'options.horizon',
      `must be a whole number of intervals, 1 to ${MAX_HORIZON}, not ${shown(horizon)}`,
    )
  if (typeof level !== 'number' || !(level > 0 && level < 1))
    throw invalid('options.level', 'must lie between 0 and 1, both excluded, as 0.95')
  if (seasonality === undefined) return { horizon, level, given: undefined }
  const list = typeof seasonality === 'number' ? [seasonality] : seasonality
  if (!Array.isArray(list))
    throw invalid('options.seasonality', 'must be a number of intervals or an array of such')
  list.forEach((period, k) => {
    if (!Number.isInteger(period) || period < 2 || period > MAX_SEASON)
      throw invalid(
        typeof seasonality === 'number' ? 'options.seasonality' : `options.seasonality[${k}]`,
        `must be a whole number of intervals, 2 to ${MAX_SEASON}`,
      )
  })
  const given = [...new Set<number>(list)].sort((a, b) => a - b)
  if (given.length > 2) throw invalid('options.seasonality', 'must name at most two seasons')
  return { horizon, level, given }
}
