import { mix } from '../placement/hash'
import { ForecastBank, type PooledProfiles } from './forecast/bank'
import { tryForecasts } from './forecast-trial'
import type { Loads } from './loads'
import type { Pace } from './pace'
import { PackedErrors } from './packed-errors'
import type { RecentLevel } from './recent-level'

/** Backtest origins of the level. */
const LEVEL_ORIGINS = 7
/** Futures that are made up where the history is too short to have errors of its own. */
const SYNTHETIC = 12
/** Items between two rests. */
const BLOCK = 128
/** Rows of a bank: many small ones are fitted one after the other, and what is not needed of them is forgotten. */
const BANK_ROWS = 512

/** What is expected of every item over the horizon, and what else may come. */
export interface Outlook {
  /** item · horizon + step. */
  readonly mean: Float32Array
  /** Standard deviation of the forecast's error. */
  readonly scale: Float32Array
  readonly horizon: number
  /** Futures that may come true, each drawn for all items from the same past day: what rises together stays together. */
  readonly futures: number
  /** Writes an item's loads in future f, `horizon` numbers, to `out`. */
  future(f: number, item: number, out: Float64Array): void
  /** Share of the seasonal forecast; the rest is the recent level. */
  readonly seasonal: number
  /** Half-life of that level, in intervals. */
  readonly halfLife: number
}

/**
 * Forecasts all items. The seasonal forecast counts only as far as it would have beaten the recent level on the last
 * horizons: at worst the outlook is what a rebalancer that only reacts would go by.
 */
export async function lookAhead(
  past: Loads,
  horizon: number,
  seasons: readonly number[],
  profilesOf: (period: number) => Promise<PooledProfiles>,
  pace: Pace,
): Promise<Outlook> {
  const { items, intervals } = past
  const fewest = 2 * (horizon + LEVEL_ORIGINS)
  const { level, seasonal } = await tryForecasts(past, horizon, seasons, fewest, pace)
  const mean = new Float32Array(items * horizon)
  const scale = new Float32Array(items * horizon)
  for (let item = 0; item < items; item++) {
    mean.fill(level.at(past, item, intervals), item * horizon, (item + 1) * horizon)
    if (item % BLOCK === 0) await pace.rest()
  }
  if (seasonal === 0) {
    const { futures, errors } = await levelErrors(past, horizon, mean, scale, level, pace)
    return new Expectation(mean, scale, horizon, futures, errors, 0, level.halfLife)
  }

  const pooled = await profilesOf(seasons[seasons.length - 1] ?? 1)
  const expected = new Float64Array(horizon)
  const spread = new Float64Array(horizon)
  let errors: PackedErrors | undefined
  let futures = 0
  for (let from = 0; from < items; from += BANK_ROWS) {
    const rows = Math.min(BANK_ROWS, items - from)
    const bank = new ForecastBank({ segments: rows, intervals, horizon, seasonality: seasons })
    futures = bank.origins
    errors ??= new PackedErrors(items, futures, horizon)
    bank.load(past.loads.subarray(from * intervals, (from + rows) * intervals), past.first)
    await pace.rest()
    const borrowed = {
      profiles: pooled.profiles,
      of: Array.from({ length: rows }, (_, row) => pooled.of[from + row]!),
    }
    for (let row = 0; row < rows; row++) {
      if (row % BLOCK === 0) {
        await pace.rest()
        bank.refit(borrowed, row, Math.min(rows, row + BLOCK))
      }
      bank.forecast(row, expected, spread)
      for (let h = 0; h < horizon; h++) {
        const at = (from + row) * horizon + h
        mean[at] = seasonal * expected[h]! + (1 - seasonal) * mean[at]!
        scale[at] = spread[h]!
      }
      errors.put(from + row, bank.errors(row))
    }
    await pace.rest()
  }
  return new Expectation(mean, scale, horizon, futures, errors!, seasonal, level.halfLife)
}

/** An outlook whose futures are its mean and packed errors. */
class Expectation implements Outlook {
  constructor(
    readonly mean: Float32Array,
    readonly scale: Float32Array,
    readonly horizon: number,
    readonly futures: number,
    readonly errors: PackedErrors,
    readonly seasonal: number,
    readonly halfLife: number,
  ) {}

  readonly future = (f: number, item: number, out: Float64Array): void => {
    const { mean, scale, errors, horizon } = this
    const from = errors.at(item, f)
    for (let h = 0, at = item * horizon; h < horizon; h++, at++)
      out[h] = Math.max(0, mean[at]! + scale[at]! * errors.get(from + h))
  }
}

function levelOrigins(intervals: number, horizon: number): number[] {
  const step = Math.max(1, Math.min(horizon, Math.floor((intervals - horizon) / (LEVEL_ORIGINS + 1))))
  const origins: number[] = []
  for (let k = 0; k < LEVEL_ORIGINS; k++) {
    const origin = intervals - horizon - k * step
    if (origin < 1) break
    origins.push(origin)
  }
  return origins
}

/** The level's own errors on the last horizons, guessed where there are too few; writes their scale. */
async function levelErrors(
  past: Loads,
  horizon: number,
  mean: Float32Array,
  scale: Float32Array,
  level: RecentLevel,
  pace: Pace,
): Promise<{ futures: number; errors: PackedErrors }> {
  const { items, intervals, loads } = past
  const origins = levelOrigins(intervals, horizon)
  const measured = origins.length >= 3
  const futures = measured ? origins.length : SYNTHETIC
  const errors = new PackedErrors(items, futures, horizon)
  const own = new Float64Array(futures * horizon)
  for (let item = 0; item < items; item++) {
    const now = mean[item * horizon] ?? 0
    let squares = 0
    for (let f = 0; f < futures; f++) {
      const origin = origins[f]!
      const then = measured ? level.at(past, item, origin) : now
      for (let h = 0; h < horizon; h++) {
        const error = measured
          ? loads[item * intervals + origin + h]! - then
          : gaussian(mix(item, f * horizon + h)) * Math.sqrt(now + (0.3 * now) ** 2)
        own[f * horizon + h] = error
        squares += error * error
      }
    }
    const deviation = Math.sqrt(squares / own.length)
    scale.fill(deviation, item * horizon, (item + 1) * horizon)
    if (deviation > 0)
      errors.put(
        item,
        own.map((error) => error / deviation),
      )
    if (item % BLOCK === 0) await pace.rest()
  }
  return { futures, errors }
}

/** Seasons of a day and a week in intervals, as far as they are whole numbers of intervals and the history shows two of them. */
export function seasonsOf(intervalMs: number, intervals: number): number[] {
  const day = 86_400_000 / intervalMs
  if (!Number.isInteger(day) || day < 2 || intervals < 2 * day) return []
  const week = 7 * day
  return intervals >= 2 * week ? [day, week] : [day]
}

/** A standard normal deviate from a hash (Irwin-Hall over four 8-bit parts). */
function gaussian(hash: number): number {
  const sum = (hash & 255) + ((hash >>> 8) & 255) + ((hash >>> 16) & 255) + (hash >>> 24)
  return (sum / 255 - 2) * Math.sqrt(3)
}
