import { ManualClock, seededRandom } from '../../clock'
import type { Placement } from '../../placement/assignment'
import type { DataRelationships, SchemaInfo } from '../../placement/tag'
import type { Objective, ShardAssignmentPrediction } from '../../predictor/prediction'
import { Predictor } from '../../predictor/predictor'
import type { PlacementPolicy, PolicyStep } from './placement-policy'

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
 * expected of the next day hardly changes by the hour, and what one hour shows beyond that is mostly chance.
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
  return {
    name: 'predictive',
    observe: (entry) => {
      if (entry.timestamp > clock.now()) clock.jump(entry.timestamp)
      predictor.record(entry)
    },
    decide: async (step) => {
      const { placement, horizonMs, budget, now } = step
      clock.jump(now)
      if (now < asksAt) return undefined
      // While the history is young, an interval more tells a lot.
      firstAt ??= now
      asksAt = now + Math.min(horizonMs / asksPerHorizon, (now - firstAt) / 4)
      const prediction = await predictor.predict({ placement, horizonMs, budget, now })
      options.onPrediction?.(prediction, step)
      const { shardAssignmentMap, merges, confidence } = prediction
      // Folding tags back needs no forecast to come true.
      return { shardAssignmentMap: confidence >= minConfidence ? shardAssignmentMap : new Map(), merges }
    },
  }
}
