import type { Placement } from '../placement/assignment'
import { bucketSegment, tagSegment } from '../placement/segment'
import { peakOf } from './objective'
import type { Pace } from './pace'
import type { Objective } from './prediction'
import type { Recorder } from './recorder'

/** What an interval has cost under two placements, on the accesses that came. */
export interface HindsightInterval {
  /** ms since the epoch. */
  readonly start: number
  readonly load: number
  /** J of the interval, churn left out. */
  readonly before: number
  readonly after: number
  /** Standard deviation of after − before that the counting of accesses alone explains. */
  readonly noise: number
}

export interface Hindsight {
  readonly intervalMs: number
  /** Complete intervals that saw any load, oldest first. */
  readonly intervals: readonly HindsightInterval[]
  /** What it costs in J, over a horizon, to move what differs. */
  readonly churn: number
}

export interface HindsightInput {
  readonly recorder: Recorder
  /** Of the same shards. */
  readonly before: Placement
  readonly after: Placement
  /** Intervals from … until − 1. */
  readonly from: number
  readonly until: number
  readonly objective: Objective
  readonly hashOf: (tag: string) => number
  readonly pace: Pace
}

/**
 * Puts what came on two placements, interval by interval. It does not matter which of them was in force: so a rise of J
 * that both would have seen is no fault of either. Tags that are not followed count with their bucket.
 */
export async function lookBack(input: HindsightInput): Promise<Hindsight> {
  const { recorder, before, after, from, until, objective, hashOf, pace } = input
  const { series, slotOf } = recorder
  const shards = after.shards
  const weights = shards.map((shard) => after.weightOf(shard))
  const capacity = weights.reduce((sum, weight) => sum + weight, 0)
  const sides = [sideOf(before, after, slotOf.length, hashOf), sideOf(after, after, slotOf.length, hashOf)]
  const followed = recorder.hot.tags.map(({ hash, slot, since }) => ({
    slot,
    since,
    home: hash % slotOf.length,
    shards: sides.map((side) => side.ofHash(hash)),
  }))
  await pace.rest()
  const crossings = crossingsOf(recorder, sides, from, until)

  const intervals: HindsightInterval[] = []
  const seen: { start: number; load: number; imbalance: number[]; moved: number }[] = []
  let all = 0
  let allMoved = 0
  for (let interval = from; interval < until; interval++) {
    const [row] = series.rows(interval, interval + 1)
    if (row === undefined) continue
    const loads = sides.map(() => new Float64Array(shards.length))
    let load = 0
    let moved = 0
    for (let bucket = 0; bucket < slotOf.length; bucket++) {
      const slot = slotOf[bucket]!
      if (slot < 0 || slot >= row.length || row[slot] === 0) continue
      load += row[slot]!
      sides.forEach(({ ofBucket }, k) => {
        loads[k]![ofBucket[bucket]!]! += row[slot]!
      })
      if (sides[0]!.ofBucket[bucket] !== sides[1]!.ofBucket[bucket]) moved += row[slot]!
    }
    for (const { slot, since, home, shards: own } of followed) {
      const its = since <= interval ? (row[slot] ?? 0) : 0
      if (its === 0) continue
      sides.forEach(({ ofBucket }, k) => {
        loads[k]![ofBucket[home]!]! -= its
        loads[k]![own[k]!]! += its
      })
      if (sides[0]!.ofBucket[home] !== sides[1]!.ofBucket[home]) moved -= its
      if (own[0] !== own[1]) moved += its
    }
    all += load
    allMoved += moved
    if (load > 0)
      seen.push({ start: interval, load, imbalance: loads.map((row) => peakOf(row, weights)), moved })
    const rest = pace.rest()
    if (rest) await rest
  }
  for (const { start, load, imbalance, moved } of seen) {
    const came = crossings.at.get(start)
    // So weighted, the mean over intervals is the share of all transactions.
    const share = (count: number) => (crossings.total > 0 ? (count * seen.length) / crossings.total : 0)
    const j = (k: number) =>
      objective.imbalance * imbalance[k]! + objective.crossing * share(came?.crossing[k] ?? 0)
    const counting = (objective.imbalance * capacity * Math.sqrt(Math.max(0, moved))) / load
    const meeting = objective.crossing * share(Math.sqrt(came?.differing ?? 0))
    intervals.push({
      start: start * series.intervalMs,
      load,
      before: j(0),
      after: j(1),
      noise: Math.hypot(counting / Math.min(...weights), meeting),
    })
  }
  return { intervalMs: series.intervalMs, intervals, churn: all > 0 ? (objective.churn * allMoved) / all : 0 }
}

interface Side {
  readonly ofBucket: Int32Array
  ofHash(hash: number): number
}

/** Where everything is under a placement, by the numbers of the shards of `order`. */
function sideOf(
  placement: Placement,
  order: Placement,
  buckets: number,
  hashOf: (tag: string) => number,
): Side {
  const index = new Map(order.shards.map((shard, k) => [shard, k]))
  const ofBucket = Int32Array.from(
    { length: buckets },
    (_, bucket) => index.get(placement.shardOf(bucketSegment(bucket)))!,
  )
  const carved = new Map<number, number>()
  for (const tag of placement.carvedTags)
    carved.set(hashOf(tag), index.get(placement.shardOf(tagSegment(tag)))!)
  const ofHash = (hash: number) => carved.get(hash) ?? ofBucket[hash % buckets]!
  return { ofBucket, ofHash }
}

/** Multi-key transactions by interval: those that cross on each side, and those of which only one side says so. */
function crossingsOf(recorder: Recorder, sides: readonly Side[], from: number, until: number) {
  const at = new Map<number, { crossing: number[]; differing: number }>()
  let total = 0
  for (const { tags, weight, interval } of recorder.transactions.sample()) {
    if (interval < from || interval >= until) continue
    total += weight
    let counts = at.get(interval)
    if (!counts) {
      counts = { crossing: sides.map(() => 0), differing: 0 }
      at.set(interval, counts)
    }
    const crosses = sides.map(({ ofHash }) => tags.some((tag) => ofHash(tag) !== ofHash(tags[0]!)))
    crosses.forEach((it, k) => {
      if (it) counts.crossing[k]! += weight
    })
    if (crosses[0] !== crosses[1]) counts.differing += weight
  }
  return { total, at }
}
