import { z } from '@hono/zod-openapi'
import { ErrorCode, ForeshardError } from '../errors'
import { checkMap } from '../placement/assignment'
import { FoundingMap, TaggedMap } from '../placement/founding-map'
import { isTagSegment, type SegmentId } from '../placement/segment'
import type { PredictRequest } from '../predictor/options'
import type { ShardAssignmentPrediction } from '../predictor/prediction'
import { RelationshipsSchema, SegmentSchema, ShardMapSchema, TaggingSchema } from './placement-document'

const Share = z.number().min(0).max(1)
const BeforeAfter = z.object({ before: z.number(), after: z.number() })

export const ExpectedSchema = z
  .object({
    imbalance: BeforeAfter,
    crossShard: BeforeAfter,
    bytesMoved: z.number().min(0),
    keysMoved: z.number().min(0),
    loadMoved: z.number().min(0),
    netGain: z.number(),
  })
  .openapi('ExpectedGain')

export const TriggerSchema = z
  .object({
    kind: z.enum(['confidence', 'drift', 'hotspot', 'topology']),
    statistic: z.number(),
    threshold: z.number(),
    shard: z.string().optional(),
    segment: SegmentSchema.optional(),
    message: z.string(),
  })
  .openapi('Trigger')

export const HotSegmentSchema = z
  .object({ segment: SegmentSchema, shard: z.string(), loadShare: z.number(), accessScore: z.number() })
  .openapi('HotSegment')

const FoundingSchema = z.object({
  schema: TaggingSchema,
  relationships: RelationshipsSchema,
  rules: z.array(
    z.object({
      entity: z.string(),
      key: z.string(),
      field: z.string(),
      follows: z.string(),
      agreement: z.number(),
      lift: z.number(),
      pairs: z.number(),
    }),
  ),
  crossing: BeforeAfter,
  imbalance: BeforeAfter,
  tags: z.number(),
  largestTag: z.number(),
  confidence: z.number(),
  reasons: z.array(z.string()),
  shardAssignmentMap: ShardMapSchema,
  examples: z
    .array(z.tuple([z.string(), z.string()]))
    .openapi({ description: 'Keys, and the tags that they have by this schema.' }),
  expected: ExpectedSchema,
})

export const PredictionSchema = z
  .object({
    shardAssignmentMap: ShardMapSchema,
    merges: z.array(SegmentSchema),
    confidenceScores: z.record(SegmentSchema, Share),
    confidence: Share,
    triggers: z.array(TriggerSchema),
    hotSegments: z.array(HotSegmentSchema),
    expected: ExpectedSchema,
    reasons: z.record(SegmentSchema, z.string()),
    founding: FoundingSchema.optional(),
  })
  .openapi('Prediction')

export type PredictionDocument = z.infer<typeof PredictionSchema>

/** A prediction as JSON: maps as objects. Segments begin with # or {, so that none of them is a name with a meaning. */
export function documentOf(prediction: ShardAssignmentPrediction): PredictionDocument {
  const { shardAssignmentMap, merges, confidenceScores, reasons, founding, ...rest } = prediction
  const { triggers, hotSegments, ...plain } = rest
  return {
    ...plain,
    triggers: [...triggers],
    hotSegments: [...hotSegments],
    shardAssignmentMap: Object.fromEntries(shardAssignmentMap),
    merges: [...merges],
    confidenceScores: Object.fromEntries(confidenceScores),
    reasons: Object.fromEntries(reasons),
    founding: founding && {
      ...founding,
      rules: [...founding.rules],
      reasons: [...founding.reasons],
      shardAssignmentMap: Object.fromEntries(founding.shardAssignmentMap),
      examples: [...founding.shardAssignmentMap.examples],
    },
  }
}

/** The prediction that a document is of. Its names are those of the placement that it was asked for, checked there. */
export function predictionOf(document: PredictionDocument): ShardAssignmentPrediction {
  const { shardAssignmentMap, confidenceScores, reasons, founding, ...rest } = document
  const prediction = {
    ...rest,
    merges: rest.merges as SegmentId[],
    triggers: rest.triggers as ShardAssignmentPrediction['triggers'],
    hotSegments: rest.hotSegments as ShardAssignmentPrediction['hotSegments'],
    shardAssignmentMap: segmentMap(shardAssignmentMap),
    confidenceScores: segmentMap(confidenceScores),
    reasons: segmentMap(reasons),
  }
  if (founding === undefined) return prediction
  const { examples, shardAssignmentMap: founded, ...advice } = founding
  const assignments = new TaggedMap(segmentMap(founded), new Map(examples))
  const { schema, relationships } = advice
  return {
    ...prediction,
    shardAssignmentMap: new FoundingMap(prediction.shardAssignmentMap, {
      schema,
      relationships,
      assignments,
    }),
    founding: { ...advice, shardAssignmentMap: assignments },
  }
}

/**
 * Refuses a prediction that does not answer the request: it names shards or segments that its placement does not have, or does more than
 * its budget allows.
 * @throws FAILED
 */
export function checkPrediction(prediction: ShardAssignmentPrediction, request: PredictRequest): void {
  const { placement, budget, draining } = request
  const { shardAssignmentMap: map, merges, expected } = prediction
  if (placement) {
    const known = new Set(placement.shards)
    try {
      checkMap(map, placement.buckets, (shard) => known.has(shard), 'shardAssignmentMap')
    } catch (cause) {
      throw unasked((cause as Error).message)
    }
    for (const segment of merges)
      if (!isTagSegment(segment)) throw unasked(`merges: ${segment} is no tag that could be merged`)
  }
  // What is to be emptied is, whatever the budget.
  if (draining !== undefined) return
  if (map.size > (budget?.maxMoves ?? map.size))
    throw unasked(`it moves ${map.size} segments, more than asked for`)
  if (expected.loadMoved > (budget?.maxLoadShare ?? expected.loadMoved) + ROUNDING)
    throw unasked(`it moves ${expected.loadMoved} of the load, more than asked for`)
}

/** Sums of shares are not exact. */
const ROUNDING = 1e-6

function unasked(why: string): ForeshardError {
  return new ForeshardError(ErrorCode.FAILED, `the prediction is refused: ${why}`, { field: 'answer' })
}

function segmentMap<V>(object: Record<string, V>): Map<SegmentId, V> {
  return new Map(Object.entries(object)) as Map<SegmentId, V>
}
