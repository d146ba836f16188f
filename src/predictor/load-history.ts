import type { Placement } from '../placement/assignment'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { Pace } from './pace'
import type { Recorder } from './recorder'
import { readWorkload } from './workload'

/** What was recorded, by segment and by shard, interval by interval: for whoever shows it. */
export interface LoadHistory {
  readonly intervalMs: number
  /** Start of the first interval, ms since the epoch. */
  readonly from: number
  /** Loads by interval, oldest first, all complete, as if the placement had stood all the time. */
  readonly shards: ReadonlyMap<ShardId, Float64Array>
  /** The segments with the most load in the last `within` intervals, most first. */
  hottest(count: number, within?: number): { readonly segment: SegmentId; readonly loads: Float64Array }[]
}

const NO_RATES: ReadonlyMap<SegmentId, number> = new Map()

export async function readLoadHistory(
  recorder: Recorder,
  placement: Placement,
  now: number,
  pace: Pace,
): Promise<LoadHistory> {
  const before = recorder.series.intervalOf(now)
  const workload = await readWorkload(recorder, placement, before, NO_RATES, pace)
  const { segments, standing, bucketOf, loads, intervals, first } = workload
  const shards = new Map(placement.shards.map((shard) => [shard, new Float64Array(intervals)]))
  for (let item = 0; item < segments.length; item++) {
    // A tag that is not carved out lives with its bucket, whose loads do not hold the tag's.
    const segment = standing[item] ? segments[item]! : bucketSegment(bucketOf[item]!)
    const sums = shards.get(placement.shardOf(segment))
    if (sums) for (let t = 0; t < intervals; t++) sums[t]! += loads[item * intervals + t]!
    if (item % 256 === 0) await pace.rest()
  }
  return {
    intervalMs: recorder.intervalMs,
    from: first * recorder.intervalMs,
    shards,
    hottest(count, within = intervals) {
      const late = Math.max(0, intervals - within)
      const recent = segments.map((_, item) => {
        let sum = 0
        for (let t = late; t < intervals; t++) sum += loads[item * intervals + t]!
        return sum
      })
      const order = [...recent.keys()].sort((a, b) => recent[b]! - recent[a]!).slice(0, count)
      return order
        .filter((item) => recent[item]! > 0)
        .map((item) => ({
          segment: segments[item]!,
          loads: Float64Array.from(loads.subarray(item * intervals, (item + 1) * intervals)),
        }))
    },
  }
}
