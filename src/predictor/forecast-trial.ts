import { mix } from '../placement/hash'
import { ForecastBank } from './forecast/bank'
import type { Loads } from './loads'
import type { Pace } from './pace'
import { RecentLevel } from './recent-level'
import { TopItems } from './top-items'

/** Half-lives of the recent level, in intervals: the one that would have done best is used. */
const HALF_LIVES = [2, 8, 24, 96]
const USUAL_HALF_LIFE = 24
/** Origins of the comparison between the level and the bank. */
const ORIGINS = 3
/** Items that the comparison is made on: the hottest half, and every n-th of the others. */
const ITEMS = 768
/** The seasonal forecast must be better than the level by so much before it is trusted alone. */
const CLEARLY_BETTER = 0.98
/** Rows between two rests. */
const BLOCK = 64
/** Groups the size of shards. */
const GROUPS = 8

export interface Trial {
  readonly level: RecentLevel
  /** Share of the seasonal forecast; the rest is the recent level. */
  readonly seasonal: number
}

/** Writes what is expected of an item from an origin on; `row` is its place in the sample. */
type Expect = (item: number, origin: number, out: Float64Array, row: number) => void

/**
 * How far the seasonal forecast is to be trusted: a bank that has not seen the last horizons, against the recent level,
 * on a sample of the items. A bank needs `fewest` intervals.
 */
export async function tryForecasts(
  past: Loads,
  horizon: number,
  seasons: readonly number[],
  fewest: number,
  pace: Pace,
): Promise<Trial> {
  const sample = new Sample(past, horizon, await sampleOf(past, pace), pace)
  const level = await bestLevel(sample)
  return { level, seasonal: await seasonalShare(sample, level, seasons, fewest) }
}

async function bestLevel(sample: Sample): Promise<RecentLevel> {
  const { past, horizon } = sample
  const step = Math.max(1, Math.min(horizon, Math.floor((past.intervals - horizon) / 8)))
  const origins: number[] = []
  for (let k = 0; k < ORIGINS; k++) {
    const origin = past.intervals - horizon - k * step
    if (origin >= 1) origins.push(origin)
  }
  let best = new RecentLevel(USUAL_HALF_LIFE)
  let least = Number.POSITIVE_INFINITY
  if (origins.length === 0) return best
  for (const halfLife of HALF_LIVES) {
    const level = new RecentLevel(halfLife)
    const error = await sample.error(origins, (item, origin, out) => out.fill(level.at(past, item, origin)))
    if (error < least) {
      least = error
      best = level
    }
  }
  return best
}

async function seasonalShare(
  sample: Sample,
  level: RecentLevel,
  seasons: readonly number[],
  fewest: number,
): Promise<number> {
  const { past, horizon, items, pace } = sample
  const { intervals } = past
  let origins = ORIGINS
  const step = Math.max(1, Math.min(horizon, seasons[0] ?? horizon))
  const held = () => horizon + (origins - 1) * step
  while (origins > 1 && intervals - held() < fewest) origins--
  const seen = intervals - held()
  if (items.length === 0 || seen < fewest) return 0
  const rates = new Float32Array(items.length * seen)
  for (const [row, item] of items.entries())
    rates.set(past.loads.subarray(item * intervals, item * intervals + seen), row * seen)
  await pace.rest()
  const bank = new ForecastBank({
    segments: items.length,
    intervals: seen,
    horizon,
    seasonality: seasons.filter((season) => seen >= 2 * season),
  })
  await pace.rest()
  bank.load(rates, past.first)
  await pace.rest()
  const pool = { profiles: [bank.profileOf(items.keys())], of: new Int32Array(items.length) }
  await pace.rest()
  for (let row = 0; row < items.length; row += BLOCK) {
    bank.refit(pool, row, Math.min(items.length, row + BLOCK))
    await pace.rest()
  }
  const forecasts = new Map<number, Float32Array>()
  const mean = new Float64Array(horizon)
  const scale = new Float64Array(horizon)
  const column = new Float32Array(items.length)
  for (let o = 0; o < origins; o++) {
    const origin = seen + o * step
    const all = new Float32Array(items.length * horizon)
    for (let row = 0; row < items.length; row++) {
      bank.forecast(row, mean, scale)
      all.set(mean, row * horizon)
    }
    forecasts.set(origin, all)
    await pace.rest()
    for (let t = origin; o < origins - 1 && t < origin + step; t++) {
      for (const [row, item] of items.entries()) column[row] = past.loads[item * intervals + t]!
      bank.push(column)
      await pace.rest()
    }
  }
  const starts = [...forecasts.keys()]
  const errorOf = (share: number) =>
    sample.error(starts, (item, origin, out, row) => {
      const usual = share < 1 ? level.at(past, item, origin) : 0
      const seasonal = forecasts.get(origin)!
      for (let h = 0; h < horizon; h++) out[h] = share * seasonal[row * horizon + h]! + (1 - share) * usual
    })
  let best = 0
  let least = (await errorOf(0)) * CLEARLY_BETTER
  for (const share of [0.5, 1]) {
    const error = await errorOf(share)
    if (error < least) {
      least = error
      best = share
    }
  }
  return best
}

/** The items that forecasts are judged on. */
class Sample {
  constructor(
    readonly past: Loads,
    readonly horizon: number,
    readonly items: readonly number[],
    readonly pace: Pace,
  ) {}

  /**
   * The error that matters to a placement: that of the items themselves, and that of groups of them the size of shards, both in
   * shares of the interval's load, since what all items have in common moves no shard against another.
   */
  async error(origins: readonly number[], expect: Expect): Promise<number> {
    const { horizon, items, pace } = this
    const { loads, intervals } = this.past
    const out = new Float64Array(horizon)
    const all = new Float64Array(items.length * horizon)
    let ofItems = 0
    let ofGroups = 0
    for (const origin of origins) {
      const errors = new Float64Array(horizon * GROUPS)
      const actual = new Float64Array(horizon)
      const expected = new Float64Array(horizon)
      for (const [row, item] of items.entries()) {
        expect(item, origin, out, row)
        all.set(out, row * horizon)
        for (let h = 0; h < horizon; h++) {
          actual[h]! += loads[item * intervals + origin + h]!
          expected[h]! += out[h]!
        }
        if (row % BLOCK === 0) await pace.rest()
      }
      for (const [row, item] of items.entries()) {
        const group = mix(item, 7) % GROUPS
        for (let h = 0; h < horizon; h++) {
          if (actual[h] === 0) continue
          const rescaled = expected[h]! > 0 ? all[row * horizon + h]! / expected[h]! : 1 / items.length
          const error = loads[item * intervals + origin + h]! / actual[h]! - rescaled
          ofItems += error * error
          errors[h * GROUPS + group]! += error
        }
      }
      for (const error of errors) ofGroups += error * error
      await pace.rest()
    }
    return ofItems + ofGroups
  }
}

async function sampleOf({ items, sums }: Loads, pace: Pace): Promise<number[]> {
  if (items <= ITEMS) return Array.from({ length: items }, (_, item) => item)
  const hottest = new TopItems(ITEMS / 2)
  for (let item = 0; item < items; item++) {
    hottest.offer(item, sums[item]!)
    if (item % 4096 === 0) await pace.rest()
  }
  const chosen = new Set(hottest.items())
  const step = items / (ITEMS / 2)
  for (let k = 0; k < ITEMS / 2; k++) chosen.add(Math.floor(k * step))
  return [...chosen]
}
