import { ManualClock, seededRandom } from '../../clock'
import type { Placement } from '../../placement/assignment'
import { bucketSegment, tagSegment } from '../../placement/segment'
import type { DataRelationships, SchemaInfo } from '../../placement/tag'
import { peakOf } from '../../predictor/objective'
import type { Objective, ShardAssignmentPrediction } from '../../predictor/prediction'
import { Predictor } from '../../predictor/predictor'
import type { PlacementPolicy, PolicyStep } from './placement-policy'

/** Horizons in which an interval more tells a lot. */
const YOUNG = 2
/** Imbalance beyond what was expected that is looked into at once. */
const SURPRISE = 0.2

export interface PredictiveOptions {
  /** Of its shards, buckets and seed. */
  placement: Placement
  schema?: SchemaInfo
  relationships?: DataRelationships
  intervalMs: number
  objective: Objective
  seed: number
  /** Recommendations below it are not followed; default 0.5, as a router's confidenceThreshold. */
  minConfidence?: number
  /** How often it asks its predictor within a horizon, at most; default 4. */
  asksPerHorizon?: number
  /** Shown every recommendation before it is followed, or not. */
  onPrediction?(prediction: ShardAssignmentPrediction, step: PolicyStep): void
}

/**
 * Does what a Predictor of its own recommends that was told of the past only. It asks a few times a horizon: what is
 * expected of the next day hardly changes by the hour, and what one hour shows beyond that is mostly chance. But it asks at once where the
 * shards have become less even than they were to be, and every interval as long as the history is young.
 */
export function predictivePolicy(options: PredictiveOptions): PlacementPolicy {
  const { placement, schema, relationships, intervalMs, objective, seed } = options
  const { minConfidence = 0.5, asksPerHorizon = 4 } = options
  // The replay's time is the log's: to the predictor, now is the newest entry.
  const clock = new ManualClock()
  const predictor = new Predictor({
    shards: placement.shards.map((id) => ({ id, weight: placement.weightOf(id) })),
    buckets: placement.buckets,
    seed: placement.seed,
    schema,
    relationships,
    intervalMs,
    objective,
    random: seededRandom(seed),
    clock,
  })
  let asksAt = Number.NEGATIVE_INFINITY
  let firstAt: number | undefined
  let expected = Number.POSITIVE_INFINITY
  return {
    name: 'predictive',
    observe: (entry) => {
      if (entry.timestamp > clock.now()) clock.jump(entry.timestamp)
      predictor.record(entry)
    },
    decide: async (step) => {
      const { placement, horizonMs, budget, now } = step
      clock.jump(now)
      firstAt ??= now
      const young = now - firstAt < YOUNG * horizonMs
      if (now < asksAt && !young && lastPeak(step) <= expected + SURPRISE) return undefined
      asksAt = now + horizonMs / asksPerHorizon
      const prediction = await predictor.predict({ placement, horizonMs, budget, now })
      options.onPrediction?.(prediction, step)
      const { shardAssignmentMap, merges, confidence } = prediction
      expected = prediction.expected.imbalance.after
      // Folding tags back needs no forecast to come true.
      return { shardAssignmentMap: confidence >= minConfidence ? shardAssignmentMap : new Map(), merges }
    },
  }
}

/** Imbalance of the newest interval under the placement in force. */
function lastPeak({ placement, past }: PolicyStep): number {
  const newest = past[past.length - 1]
  if (newest === undefined) return 0
  const { shards } = placement
  const indexOf = new Map(shards.map((shard, index) => [shard, index]))
  const loads = new Float64Array(shards.length)
  newest.ids.forEach((id, k) => {
    const tag = newest.nameOf(id)
    const segment = placement.isCarved(tag) ? tagSegment(tag) : bucketSegment(placement.bucketOfTag(tag))
    loads[indexOf.get(placement.shardOf(segment))!]! += newest.loads[k]!
  })
  return peakOf(
    loads,
    shards.map((shard) => placement.weightOf(shard)),
  )
}
