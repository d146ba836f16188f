import type { SegmentId, ShardId } from '../placement/segment'
import { LEAST_PROBABILITY } from './draft'
import type { Drift } from './drift'
import { SHIFT_LIMIT } from './fleet-spread'
import type { Trigger } from './prediction'
import { show } from './reasons'

/** A shard that is forecast to exceed its share by so much is a hotspot; so is a segment that needs this part of a share. */
const OVERLOAD = 1.2
const HOTSPOT = 0.5
/** Hot segments named at most. */
const NAMED = 10

export interface TriggerGrounds {
  readonly shards: readonly ShardId[]
  readonly segments: readonly SegmentId[]
  readonly shardOf: Int32Array
  readonly draining: ReadonlySet<ShardId>
  readonly drift: Drift | undefined
  /** By shard: the highest forecast load relative to its share. */
  readonly peaks: ArrayLike<number>
  /** By item: the same, of it alone, relative to the share of a mean shard. */
  readonly alone: ArrayLike<number>
  readonly moves: number
  readonly confidence: number
}

/** What gives reason to act, each with the statistic that fired. */
export function triggersOf(grounds: TriggerGrounds): Trigger[] {
  const { shards, segments, shardOf, draining, drift, peaks, alone, moves, confidence } = grounds
  const triggers: Trigger[] = []
  const held = new Float64Array(shards.length)
  for (const shard of shardOf) held[shard]!++
  shards.forEach((shard, index) => {
    if (draining.has(shard))
      triggers.push({
        kind: 'topology',
        statistic: held[index]!,
        threshold: 0,
        shard,
        message: `${shard} is to be emptied of ${held[index]} segments`,
      })
    else if (held[index] === 0 && segments.length >= shards.length)
      triggers.push({
        kind: 'topology',
        statistic: 0,
        threshold: 1,
        shard,
        message: `${shard} holds no segment that is in use`,
      })
  })
  if (drift)
    triggers.push({
      kind: 'drift',
      statistic: drift.shifted ? drift.excess : drift.alarms,
      threshold: drift.shifted ? SHIFT_LIMIT : drift.threshold,
      message: drift.shifted
        ? `${drift.segments} segments together lie ${drift.excess.toFixed(1)} deviations further from their forecasts than usual`
        : `${drift.alarms} of ${drift.segments} segments have left their forecasts; chance explains ${drift.threshold.toFixed(1)}`,
    })
  shards.forEach((shard, index) => {
    if (peaks[index]! > OVERLOAD)
      triggers.push({
        kind: 'hotspot',
        statistic: peaks[index]!,
        threshold: OVERLOAD,
        shard,
        message: `${shard} is forecast to reach ${peaks[index]!.toFixed(2)} of its share`,
      })
  })
  const hot = segments.map((_, item) => item).filter((item) => alone[item]! > HOTSPOT)
  hot.sort((a, b) => alone[b]! - alone[a]! || a - b)
  if (shards.length > 1)
    for (const item of hot.slice(0, NAMED))
      triggers.push({
        kind: 'hotspot',
        statistic: alone[item]!,
        threshold: HOTSPOT,
        shard: shards[shardOf[item]!]!,
        segment: segments[item]!,
        message: `${show(segments[item]!)} alone is forecast to need ${alone[item]!.toFixed(2)} of a shard`,
      })
  if (moves > 0)
    triggers.push({
      kind: 'confidence',
      statistic: confidence,
      threshold: LEAST_PROBABILITY,
      message: `${moves} move${moves === 1 ? '' : 's'} lower J with probability ${confidence.toFixed(2)}`,
    })
  return triggers
}
