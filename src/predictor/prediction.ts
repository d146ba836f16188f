import type { TaggedMap } from '../placement/founding-map'
import type { SegmentId, ShardAssignmentMap, ShardId } from '../placement/segment'
import type { LearnedSchema } from './learned-schema'

/** What the predictor recommends, and why. */
export interface ShardAssignmentPrediction {
  /** The segments that should move, and where to; empty when nothing is worth moving. */
  readonly shardAssignmentMap: ShardAssignmentMap
  /** Tags that are segments of their own without need any more: to be folded back into their buckets. */
  readonly merges: readonly SegmentId[]
  /** Per segment: the calibrated probability that this move lowers the objective over the horizon. */
  readonly confidenceScores: ReadonlyMap<SegmentId, number>
  /** The same, for the whole map; 0 for an empty one. */
  readonly confidence: number
  readonly triggers: readonly Trigger[]
  /** The segments that carry most of the forecast load, hottest first. */
  readonly hotSegments: readonly HotSegment[]
  readonly expected: ExpectedGain
  /** Per segment of the map: a sentence that a person can check. */
  readonly reasons: ReadonlyMap<SegmentId, string>
  /** A better way to found the topology, where it is not founded yet and no schema was given. `shardAssignmentMap` knows it, too. */
  readonly founding?: FoundingAdvice
}

/** A schema that the log suggests, and where its segments are to start. */
export interface FoundingAdvice extends LearnedSchema {
  readonly shardAssignmentMap: TaggedMap
  readonly expected: ExpectedGain
}

export interface Trigger {
  readonly kind: 'confidence' | 'drift' | 'hotspot' | 'topology'
  /** The statistic that fired, and the threshold it passed. */
  readonly statistic: number
  readonly threshold: number
  readonly shard?: ShardId
  readonly segment?: SegmentId
  readonly message: string
}

export interface HotSegment {
  readonly segment: SegmentId
  readonly shard: ShardId
  /** Share of all forecast load, 0..1. */
  readonly loadShare: number
  readonly accessScore: number
}

export interface ExpectedGain {
  /** Mean over intervals of max shard load / mean shard load. */
  readonly imbalance: { readonly before: number; readonly after: number }
  /** Multi-key transactions that touch two or more shards, as a fraction. */
  readonly crossShard: { readonly before: number; readonly after: number }
  readonly bytesMoved: number
  readonly keysMoved: number
  /** Share of all load that lives in what moves, 0..1. */
  readonly loadMoved: number
  /** J before − J after, churn priced in. */
  readonly netGain: number
}

/** Limits of one recommendation. */
export interface MoveBudget {
  readonly maxMoves?: number
  /** Share of all load that may be moved, 0..1. */
  readonly maxLoadShare?: number
  readonly maxBytes?: number
}

/** Weights of the objective J; see docs/placement.md. */
export interface Objective {
  readonly imbalance: number
  readonly crossing: number
  readonly churn: number
  /** A write counts as so many reads. */
  readonly writeWeight: number
}

export const DEFAULT_OBJECTIVE: Objective = { imbalance: 1, crossing: 1, churn: 0.25, writeWeight: 1 }
