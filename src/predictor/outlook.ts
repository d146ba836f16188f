import { mix } from '../placement/hash'
import { ForecastBank, type PooledProfiles } from './forecast/bank'
import type { Pace } from './pace'

/** Half-lives of the recent level, in intervals: the one that would have done best is used. */
const HALF_LIVES = [2, 8, 24, 96]
/** Backtest origins of the level, and of the comparison between it and the bank. */
const LEVEL_ORIGINS = 7
const TRIAL_ORIGINS = 3
/** Items that the comparison is made on: the hottest half, and every n-th of the others. */
const TRIAL_ITEMS = 768
/** The seasonal forecast must be better than the level by so much before it is trusted alone. */
const CLEARLY_BETTER = 0.98
/** Futures that are made up where the history is too short to have errors of its own. */
const SYNTHETIC = 12
/** Items between two rests. */
const BLOCK = 128
/** Rows of a bank: many small ones are loaded one at a time. */
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

export interface Loads {
  /** item · intervals + column, oldest first. */
  readonly loads: Float32Array
  readonly items: number
  readonly intervals: number
  /** Number of the interval of column 0. */
  readonly first: number
  /** Load of each item over the whole history. */
  readonly sums: Float64Array
}

/** Seasons of a day and a week in intervals, as far as they are whole numbers of intervals and the history shows two of them. */
export function seasonsOf(intervalMs: number, intervals: number): number[] {
  const day = 86_400_000 / intervalMs
  if (!Number.isInteger(day) || day < 2 || intervals < 2 * day) return []
  const week = 7 * day
  return intervals >= 2 * week ? [day, week] : [day]
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
  const chosen = sampleOf(past)
  const halfLife = await bestHalfLife(past, chosen, horizon, pace)
  const fits = items > 0 && intervals >= fewestIntervals(horizon)
  const seasonal = fits ? await trial(past, chosen, horizon, seasons, halfLife, pace) : 0
  await pace.rest()
  const mean = new Float32Array(items * horizon)
  const scale = new Float32Array(items * horizon)
  for (let item = 0; item < items; item++) {
    const level = levelAt(past, item, intervals, halfLife)
    for (let h = 0; h < horizon; h++) mean[item * horizon + h] = level
    if (item % BLOCK === 0) await pace.rest()
  }
  if (seasonal === 0) return levelOutlook(past, horizon, mean, scale, halfLife, pace)

  const banks: ForecastBank[] = []
  const pooled = await profilesOf(seasons[seasons.length - 1] ?? 1)
  const expected = new Float64Array(horizon)
  const spread = new Float64Array(horizon)
  for (let from = 0; from < items; from += BANK_ROWS) {
    const rows = Math.min(BANK_ROWS, items - from)
    const bank = new ForecastBank({ segments: rows, intervals, horizon, seasonality: seasons })
    banks.push(bank)
    bank.load(past.loads.subarray(from * intervals, (from + rows) * intervals), past.first)
    await pace.rest()
    const borrowed = { profiles: pooled.profiles, of: Array.from(pooled.of).slice(from, from + rows) }
    for (let row = 0; row < rows; row += BLOCK) {
      bank.refit(borrowed, row, Math.min(rows, row + BLOCK))
      await pace.rest()
    }
    for (let row = 0; row < rows; row++) {
      bank.forecast(row, expected, spread)
      for (let h = 0; h < horizon; h++) {
        const at = (from + row) * horizon + h
        mean[at] = seasonal * expected[h]! + (1 - seasonal) * mean[at]!
        scale[at] = spread[h]!
      }
    }
    await pace.rest()
  }
  return {
    mean,
    scale,
    horizon,
    futures: banks[0]!.origins,
    future: (f, item, out) => {
      const errors = banks[Math.floor(item / BANK_ROWS)]!.errors(item % BANK_ROWS)
      for (let h = 0; h < horizon; h++) {
        const at = item * horizon + h
        out[h] = Math.max(0, mean[at]! + scale[at]! * errors[f * horizon + h]!)
      }
    },
    seasonal,
    halfLife,
  }
}

/** A bank needs that much to backtest itself. */
function fewestIntervals(horizon: number): number {
  return 2 * (horizon + LEVEL_ORIGINS)
}

/** The exponentially weighted mean of an item's load before column `end`. */
function levelAt({ loads, intervals }: Loads, item: number, end: number, halfLife: number): number {
  const keep = 2 ** (-1 / halfLife)
  let sum = 0
  let weight = 0
  let w = 1
  for (let t = end - 1; t >= 0 && w > 1e-4; t--, w *= keep) {
    sum += w * loads[item * intervals + t]!
    weight += w
  }
  return weight > 0 ? sum / weight : 0
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

async function bestHalfLife(
  past: Loads,
  chosen: readonly number[],
  horizon: number,
  pace: Pace,
): Promise<number> {
  const origins = levelOrigins(past.intervals, horizon).slice(0, TRIAL_ORIGINS)
  let best = HALF_LIVES[2]!
  let least = Number.POSITIVE_INFINITY
  if (origins.length === 0) return best
  for (const halfLife of HALF_LIVES) {
    const error = trialError(past, chosen, horizon, origins, (item, origin, out) =>
      out.fill(levelAt(past, item, origin, halfLife)),
    )
    if (error < least) {
      least = error
      best = halfLife
    }
    await pace.rest()
  }
  return best
}

/** How far the seasonal forecast is to be trusted: a bank that has not seen the last horizons, against the level. */
async function trial(
  past: Loads,
  chosen: readonly number[],
  horizon: number,
  seasons: readonly number[],
  halfLife: number,
  pace: Pace,
): Promise<number> {
  const { intervals } = past
  let origins = TRIAL_ORIGINS
  const step = Math.max(1, Math.min(horizon, seasons[0] ?? horizon))
  const held = () => horizon + (origins - 1) * step
  while (origins > 1 && intervals - held() < fewestIntervals(horizon)) origins--
  const seen = intervals - held()
  if (seen < fewestIntervals(horizon)) return 0
  const rates = new Float32Array(chosen.length * seen)
  chosen.forEach((item, row) => {
    rates.set(past.loads.subarray(item * intervals, item * intervals + seen), row * seen)
  })
  const bank = new ForecastBank({
    segments: chosen.length,
    intervals: seen,
    horizon,
    seasonality: seasons.filter((season) => seen >= 2 * season),
  })
  bank.load(rates, past.first)
  const pool = { profiles: [bank.profileOf(chosen.keys())], of: new Int32Array(chosen.length) }
  for (let row = 0; row < chosen.length; row += BLOCK) {
    bank.refit(pool, row, Math.min(chosen.length, row + BLOCK))
    await pace.rest()
  }
  const starts: number[] = []
  const forecasts = new Map<number, Float32Array>()
  const mean = new Float64Array(horizon)
  const scale = new Float64Array(horizon)
  const column = new Float32Array(chosen.length)
  for (let o = 0; o < origins; o++) {
    const origin = seen + o * step
    starts.push(origin)
    const all = new Float32Array(chosen.length * horizon)
    chosen.forEach((_, row) => {
      bank.forecast(row, mean, scale)
      all.set(mean, row * horizon)
    })
    forecasts.set(origin, all)
    if (o < origins - 1)
      for (let t = origin; t < origin + step; t++) {
        chosen.forEach((item, row) => {
          column[row] = past.loads[item * intervals + t]!
        })
        bank.push(column)
      }
    await pace.rest()
  }
  const errorOf = (share: number) =>
    trialError(past, chosen, horizon, starts, (item, origin, out, row) => {
      const level = share < 1 ? levelAt(past, item, origin, halfLife) : 0
      const seasonal = forecasts.get(origin)!
      for (let h = 0; h < horizon; h++) out[h] = share * seasonal[row * horizon + h]! + (1 - share) * level
    })
  const level = errorOf(0)
  await pace.rest()
  let best = 0
  let least = level * CLEARLY_BETTER
  for (const share of [0.5, 1]) {
    const error = errorOf(share)
    if (error < least) {
      least = error
      best = share
    }
    await pace.rest()
  }
  return best
}

/**
 * The error that matters to a placement: that of the items themselves, and that of groups of them the size of shards, both in
 * shares of the interval's load, since what all items have in common moves no shard against another.
 */
function trialError(
  past: Loads,
  chosen: readonly number[],
  horizon: number,
  origins: readonly number[],
  forecast: (item: number, origin: number, out: Float64Array, row: number) => void,
): number {
  const { loads, intervals } = past
  const GROUPS = 8
  const out = new Float64Array(horizon)
  let items = 0
  let groups = 0
  for (const origin of origins) {
    const errors = new Float64Array(horizon * GROUPS)
    const actual = new Float64Array(horizon)
    const expected = new Float64Array(horizon)
    const all = new Float64Array(chosen.length * horizon)
    chosen.forEach((item, row) => {
      forecast(item, origin, out, row)
      all.set(out, row * horizon)
      for (let h = 0; h < horizon; h++) {
        actual[h]! += loads[item * intervals + origin + h]!
        expected[h]! += out[h]!
      }
    })
    chosen.forEach((item, row) => {
      const group = mix(item, 7) % GROUPS
      for (let h = 0; h < horizon; h++) {
        if (actual[h] === 0) continue
        const rescaled = expected[h]! > 0 ? all[row * horizon + h]! / expected[h]! : 1 / chosen.length
        const error = loads[item * intervals + origin + h]! / actual[h]! - rescaled
        items += error * error
        errors[h * GROUPS + group]! += error
      }
    })
    for (const error of errors) groups += error * error
  }
  return items + groups
}

function sampleOf({ items, sums }: Loads): number[] {
  const order = Array.from({ length: items }, (_, item) => item)
  if (items <= TRIAL_ITEMS) return order
  order.sort((a, b) => sums[b]! - sums[a]! || a - b)
  const half = TRIAL_ITEMS / 2
  const step = (items - half) / half
  return [
    ...order.slice(0, half),
    ...Array.from({ length: half }, (_, k) => order[half + Math.floor(k * step)]!),
  ]
}

/** The outlook of a rebalancer that only reacts; its futures are the level's own errors on the last horizons. */
async function levelOutlook(
  past: Loads,
  horizon: number,
  mean: Float32Array,
  scale: Float32Array,
  halfLife: number,
  pace: Pace,
): Promise<Outlook> {
  const { items, intervals, loads } = past
  const origins = levelOrigins(intervals, horizon)
  const enough = origins.length >= 3
  const futures = enough ? origins.length : SYNTHETIC
  const errors = new Float32Array(items * futures * horizon)
  for (let item = 0; item < items; item++) {
    const level = mean[item * horizon] ?? 0
    let squares = 0
    for (let f = 0; f < futures; f++) {
      const origin = origins[f]!
      const then = enough ? levelAt(past, item, origin, halfLife) : level
      for (let h = 0; h < horizon; h++) {
        const error = enough
          ? loads[item * intervals + origin + h]! - then
          : gaussian(mix(item, f * horizon + h)) * Math.sqrt(level + (0.3 * level) ** 2)
        errors[(item * futures + f) * horizon + h] = error
        squares += error * error
      }
    }
    const deviation = Math.sqrt(squares / (futures * horizon))
    for (let h = 0; h < horizon; h++) scale[item * horizon + h] = deviation
    if (item % BLOCK === 0) await pace.rest()
  }
  return {
    mean,
    scale,
    horizon,
    futures,
    future: (f, item, out) => {
      const at = (item * futures + f) * horizon
      for (let h = 0; h < horizon; h++) out[h] = Math.max(0, mean[item * horizon + h]! + errors[at + h]!)
    },
    seasonal: 0,
    halfLife,
  }
}

/** A standard normal deviate from a hash (Irwin-Hall over four 8-bit parts). */
function gaussian(hash: number): number {
  const sum = (hash & 255) + ((hash >>> 8) & 255) + ((hash >>> 16) & 255) + (hash >>> 24)
  return (sum / 255 - 2) * Math.sqrt(3)
}
