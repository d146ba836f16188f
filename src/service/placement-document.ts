import { z } from '@hono/zod-openapi'
import { invalid } from '../errors'
import { Placement, type PlacementOptions } from '../placement/assignment'
import { MOST_SHARDS } from '../placement/ring'
import { bucketSegment, MAX_BUCKETS, type ShardAssignmentMap, tagOfSegment } from '../placement/segment'

/** The ring of a new topology costs milliseconds a shard, and whoever may read may ask for one. */
const MOST_ON_A_RING = 256

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
    owners: z
      .array(z.int().min(0).max(MOST_SHARDS))
      .max(MAX_BUCKETS)
      .optional()
      .openapi({
        description: `By bucket: the position in shards of the one that has it. Default: as in a new topology of these shards, which are ${MOST_ON_A_RING} at most then.`,
      }),
    assignments: ShardMapSchema.optional().openapi({
      description: 'What differs from that. A tag that is named is a segment of its own.',
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
  const { schema, relationships, founded, owners } = document
  const base = { buckets, seed, schema, relationships, founded }
  const given = new Map(Object.entries(assignments)) as ShardAssignmentMap
  const ids = shards.map((shard) => (typeof shard === 'string' ? shard : shard.id))
  if (owners === undefined) {
    if (shards.length > MOST_ON_A_RING)
      throw invalid(
        'placement.owners',
        `is missing; with more than ${MOST_ON_A_RING} shards say who has each bucket`,
      )
    const initial = Placement.initial({ ...base, shards })
    if (ids.every((id, k) => initial.shards[k] === id)) return initial.with(given)
    const owned = [...initial.segments()].map(({ segment, shard }) => [segment, shard] as const)
    return joined(shards, base).with(new Map([...owned, ...given]))
  }
  if (owners.length !== buckets)
    throw invalid('placement.owners', `has ${owners.length} positions for ${buckets} buckets`)
  const owned = owners.map((owner, bucket) => {
    const id = ids[owner]
    if (id === undefined)
      throw invalid(`placement.owners.${bucket}`, `there is no shard at position ${owner}`)
    return [bucketSegment(bucket), id] as const
  })
  return joined(shards, base).with(new Map([...owned, ...given]))
}

/**
 * A placement whose shards stand in the given order, which is that in which they joined: results depend on it where all else is equal.
 * All buckets are the first one's.
 */
function joined(shards: PlacementDocument['shards'], base: Omit<PlacementOptions, 'shards'>): Placement {
  const [first, ...others] = shards
  let placement = Placement.initial({ ...base, shards: [first!] })
  for (const shard of others)
    placement =
      typeof shard === 'string' ? placement.withShard(shard) : placement.withShard(shard.id, shard.weight)
  return placement
}

/** A placement as JSON; `placementOf` makes one from it under which every segment lies where it does under this one. */
export function documentOf(placement: Placement): PlacementDocument {
  const { buckets, seed, schema, relationships, founded } = placement
  const shards = placement.shards.map((id) => ({ id, weight: placement.weightOf(id) }))
  const position = new Map(placement.shards.map((id, k) => [id, k]))
  const owners: number[] = []
  const assignments: Record<string, string> = {}
  // Buckets first, in their order.
  for (const { segment, shard } of placement.segments())
    if (tagOfSegment(segment) === undefined) owners.push(position.get(shard)!)
    else assignments[segment] = shard
  return {
    shards,
    buckets,
    seed,
    schema: schema && structuredClone(schema),
    relationships: relationships && structuredClone(relationships),
    founded,
    owners,
    assignments,
  }
}
