import { z } from '@hono/zod-openapi'
import { invalid } from '../errors'
import { Placement } from '../placement/assignment'
import { MOST_SHARDS } from '../placement/ring'
import { MAX_BUCKETS, type SegmentId, type ShardAssignmentMap, tagOfSegment } from '../placement/segment'

export const SegmentSchema = z
  .string()
  .regex(/^(#(0|[1-9][0-9]*)|\{[\s\S]+\})$/)
  .openapi('Segment', {
    description: 'A bucket "#117", or a tag "{user:42}" that is a segment of its own.',
    example: '#117',
  })

export const ShardMapSchema = z.record(SegmentSchema, z.string()).openapi('ShardAssignmentMap', {
  description: 'Segment -> shard.',
  example: { '#117': 's2', '{user:42}': 's1' },
})

export const TaggingSchema = z.strictObject({
  entities: z.array(z.strictObject({ name: z.string(), key: z.string(), tag: z.string().optional() })),
})
export const RelationshipsSchema = z.array(
  z.strictObject({ from: z.string(), to: z.string(), on: z.string() }),
)

export const PlacementSchema = z
  .strictObject({
    shards: z
      .array(z.union([z.string(), z.strictObject({ id: z.string(), weight: z.number().optional() })]))
      .min(1)
      .max(MOST_SHARDS)
      .openapi({ description: 'Ids, or ids with weights, in the order in which they joined.' }),
    buckets: z.int().min(1).max(MAX_BUCKETS).optional().openapi({ description: "As the predictor's." }),
    seed: z.int().min(0).max(0xffffffff).optional().openapi({ description: "As the predictor's." }),
    schema: TaggingSchema.optional(),
    relationships: RelationshipsSchema.optional(),
    founded: z.boolean().optional().openapi({ description: 'Data lies under it; default false.' }),
    assignments: ShardMapSchema.optional().openapi({
      description:
        'What differs from the assignment that a new topology of these shards has. A tag that is named is a segment of its own.',
    }),
  })
  .openapi('Placement')

export type PlacementDocument = z.infer<typeof PlacementSchema>

/** What a placement of this predictor must agree with, and where it takes what is not said. */
export interface Ground {
  readonly buckets: number
  readonly seed: number
}

/** @throws INVALID_ARGUMENT, UNKNOWN_SHARD */
export function placementOf(document: PlacementDocument, ground: Ground): Placement {
  const { shards, buckets = ground.buckets, seed = ground.seed, assignments = {} } = document
  // Before anything is made: the work of making it grows with the buckets.
  if (buckets !== ground.buckets || seed !== ground.seed)
    throw invalid(
      'placement',
      `has ${buckets} buckets and seed ${seed}, this predictor ${ground.buckets} and ${ground.seed}`,
    )
  const { schema, relationships, founded } = document
  const base = { buckets, seed, schema, relationships, founded }
  const initial = Placement.initial({ ...base, shards })
  const weighted = shards.map((shard) => (typeof shard === 'string' ? { id: shard, weight: 1 } : shard))
  const given = new Map(Object.entries(assignments)) as ShardAssignmentMap
  if (weighted.every(({ id }, k) => initial.shards[k] === id)) return initial.with(given)
  // Shards that joined one by one stand in the order in which they did, and results depend on it where all else is equal.
  let placement = Placement.initial({ ...base, shards: [weighted[0]!] })
  for (const { id, weight } of weighted.slice(1)) placement = placement.withShard(id, weight)
  const owners = new Map<SegmentId, string>()
  for (const { segment, shard } of initial.segments()) owners.set(segment, shard)
  for (const [segment, shard] of given) owners.set(segment, shard)
  return placement.with(owners)
}

/** A placement as JSON; `placementOf` makes one from it under which every segment lies where it does under this one. */
export function documentOf(placement: Placement): PlacementDocument {
  const { buckets, seed, schema, relationships, founded } = placement
  const shards = placement.shards.map((id) => ({ id, weight: placement.weightOf(id) }))
  const initial = Placement.initial({ shards, buckets, seed })
  const assignments: Record<string, string> = {}
  for (const { segment, shard } of placement.segments())
    if (tagOfSegment(segment) !== undefined || initial.shardOf(segment) !== shard)
      assignments[segment] = shard
  return {
    shards,
    buckets,
    seed,
    schema: schema && structuredClone(schema),
    relationships: relationships && structuredClone(relationships),
    founded,
    assignments,
  }
}
