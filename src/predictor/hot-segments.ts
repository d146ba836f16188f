import type { Placement } from '../placement/assignment'
import { type SegmentId, tagSegment } from '../placement/segment'
import type { Outlook } from './outlook'
import type { HotSegment } from './prediction'
import type { Workload } from './workload'

/** Segments listed as hot. */
const HOT_SEGMENTS = 20
/** A carved tag is folded back when neither its last day nor its forecast exceeds this share of a shard's fair share. */
const COOLED = 0.005
const LAST_INTERVALS = 24

/** The segments that carry most of the forecast load, hottest first. */
export function hotSegments(
  workload: Workload,
  outlook: Outlook,
  shardOf: (item: number) => string,
  scored: { now: number; intervalMs: number; halfLifeMs: number },
): HotSegment[] {
  const { now, intervalMs, halfLifeMs } = scored
  const shares = forecastShares(outlook)
  return Array.from(shares.keys())
    .filter((item) => shares[item]! > 0)
    .sort((a, b) => shares[b]! - shares[a]! || a - b)
    .slice(0, HOT_SEGMENTS)
    .map((item) => {
      let accessScore = 0
      for (let t = 0; t < workload.intervals; t++) {
        const age = now - (workload.first + t + 0.5) * intervalMs
        accessScore += workload.loads[item * workload.intervals + t]! * 2 ** (-Math.max(0, age) / halfLifeMs)
      }
      return {
        segment: workload.segments[item]!,
        shard: shardOf(item),
        loadShare: shares[item]!,
        accessScore,
      }
    })
}

/** Carved tags that are no longer worth being segments of their own, those of the map excepted. */
export function cooledTags(
  workload: Workload,
  outlook: Outlook,
  placement: Placement,
  moving: ReadonlyMap<SegmentId, string>,
): SegmentId[] {
  const { intervals, loads } = workload
  const columns = Math.min(intervals, LAST_INTERVALS)
  if (columns < 2) return []
  const ahead = forecastShares(outlook)
  const recent = Float64Array.from(workload.segments, (_, item) => {
    let sum = 0
    for (let t = intervals - columns; t < intervals; t++) sum += loads[item * intervals + t]!
    return sum
  })
  const behind = recent.reduce((sum, load) => sum + load, 0)
  const least = COOLED / placement.shards.length
  const itemOf = new Map(workload.segments.map((segment, item) => [segment, item]))
  return [...placement.carvedTags].map(tagSegment).filter((segment) => {
    const item = itemOf.get(segment)
    return (
      item !== undefined && !moving.has(segment) && ahead[item]! <= least && recent[item]! <= least * behind
    )
  })
}

/** Each item's share of all forecast load. */
function forecastShares({ mean, horizon }: Outlook): Float64Array {
  const shares = new Float64Array(mean.length / horizon)
  let total = 0
  for (let k = 0; k < mean.length; k++) {
    shares[Math.floor(k / horizon)]! += mean[k]!
    total += mean[k]!
  }
  return total > 0 ? shares.map((share) => share / total) : shares
}
