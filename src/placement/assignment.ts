import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { AssignmentTable } from './assignment-table'
import { checkTags, FoundingMap } from './founding-map'
import { checkBuckets, checkShards, HashRing, type ShardWeight } from './ring'
import {
  bucketOfSegment,
  bucketSegment,
  checkSegment,
  MAX_BUCKETS,
  type SegmentId,
  type ShardAssignmentMap,
  type ShardId,
  tagOfSegment,
  tagSegment,
} from './segment'
import { ShardIndex } from './shard-index'
import { compileTagRule, type DataRelationships, type SchemaInfo, type TagRule } from './tag'

export interface PlacementOptions {
  /** Ids, or ids with weights. At least one. */
  shards: readonly (ShardId | ShardWeight)[]
  buckets?: number
  /** Seed of the bucket hash: keeps outsiders from choosing keys that fall into one bucket. */
  seed?: number
  schema?: SchemaInfo
  relationships?: DataRelationships
  /** Data lies under it: how keys are tagged can no longer be changed. Default false: a plan for a topology yet to be founded. */
  founded?: boolean
}

const PLACEMENT_FIELDS: Fields<PlacementOptions> = {
  shards: true,
  buckets: true,
  seed: true,
  schema: true,
  relationships: true,
  founded: true,
}

/** Where a key lives: everything that follows from the key and the assignment. */
export interface Location {
  shard: ShardId
  segment: SegmentId
  bucketId: number
  /** Grows by one with every change of the segment's owner, split and merge. */
  epoch: number
}

/** The parts of a placement that are neither derived nor checked again. */
interface Parts {
  shards: readonly Readonly<Required<ShardWeight>>[]
  tagOf: TagRule
  /** What the rule is made of, as far as that is known. */
  schema?: SchemaInfo
  relationships?: DataRelationships
  founded: boolean
  /** Nobody changes it any more. */
  table: AssignmentTable
}

/**
 * The assignments of one moment: tag -> bucket -> segment -> shard. Immutable and pure; `with` gives a new one, which shares
 * with this one what is the same. A lookup is one hash and two array reads, and a few more for a tag that is carved out.
 */
export class Placement {
  readonly #parts: Parts
  readonly #table: AssignmentTable
  readonly #index: ReadonlyMap<ShardId, number>

  /** The same as `Placement.initial`. */
  constructor(options: PlacementOptions | Parts) {
    this.#parts = isParts(options) ? options : initialParts(options)
    this.#table = this.#parts.table
    this.#index = new Map(this.#parts.shards.map((shard, i) => [shard.id, i]))
  }

  /** The assignment that a new topology starts with: buckets spread by the ring, no tag carved out, all at epoch 1. */
  static initial(options: PlacementOptions): Placement {
    return new Placement(initialParts(options))
  }

  get buckets(): number {
    return this.#table.buckets
  }

  get seed(): number {
    return this.#table.seed
  }

  /** The ids of all shards. */
  get shards(): readonly ShardId[] {
    return [...this.#index.keys()]
  }

  /** Whether data lies under it, so that its way of tagging is fixed. */
  get founded(): boolean {
    return this.#parts.founded
  }

  /** What keys are tagged by, beside hash tags; undefined without one, and where only the rule is known. */
  get schema(): SchemaInfo | undefined {
    return this.#parts.schema
  }

  get relationships(): DataRelationships | undefined {
    return this.#parts.relationships
  }

  weightOf(shard: ShardId): number {
    return this.#parts.shards[this.#indexOf(shard, 'shard')]!.weight
  }

  tagOf(key: string): string {
    return this.#parts.tagOf(key)
  }

  bucketOfTag(tag: string): number {
    return this.#table.bucketOfTag(tag)
  }

  /** The segment that governs a key. */
  segmentOf(key: string): SegmentId {
    const tag = this.#parts.tagOf(key)
    return this.#table.placeOfTag(tag) ? tagSegment(tag) : bucketSegment(this.bucketOfTag(tag))
  }

  /** The shard of a segment; a tag that is not carved out lives with its bucket. */
  shardOf(segment: SegmentId): ShardId {
    return this.assignmentOf(segment).shard
  }

  /** The bucket that a segment is, or was carved out of. */
  bucketOf(segment: SegmentId): number {
    checkSegment(segment, this.buckets, 'segment')
    const tag = tagOfSegment(segment)
    return tag === undefined ? bucketOfSegment(segment)! : this.bucketOfTag(tag)
  }

  assignmentOf(segment: SegmentId): Location {
    const bucketId = this.bucketOf(segment)
    const tag = tagOfSegment(segment)
    const own = tag === undefined ? undefined : this.#table.placeOfTag(tag)
    return own
      ? { shard: this.#table.shards.idOf(own.shard), segment, bucketId, epoch: own.epoch }
      : this.#bucketLocation(bucketId)
  }

  /** Where a key lives. */
  locate(key: string): Location {
    const tag = this.#parts.tagOf(key)
    const bucketId = this.bucketOfTag(tag)
    const own = this.#table.placeOfTag(tag)
    return own
      ? { shard: this.#table.shards.idOf(own.shard), segment: tagSegment(tag), bucketId, epoch: own.epoch }
      : this.#bucketLocation(bucketId)
  }

  isCarved(tag: string): boolean {
    return this.#table.placeOfTag(tag) !== undefined
  }

  /** The tags that are segments of their own. */
  get carvedTags(): IterableIterator<string> {
    return this.#table.tags()
  }

  /** Every segment: all buckets, then all carved tags. */
  *segments(): IterableIterator<Location> {
    for (let bucketId = 0; bucketId < this.buckets; bucketId++) yield this.#bucketLocation(bucketId)
    for (const tag of this.#table.tags()) yield this.assignmentOf(tagSegment(tag))
  }

  /**
   * The placement after the map has been carried out: named segments on their new shards, one epoch on; a tag that is
   * not yet a segment is carved out of its bucket. A placement that is not founded takes over the tagging of a FoundingMap.
   * @throws UNKNOWN_SHARD, INVALID_ARGUMENT naming the entry; nothing is changed.
   */
  with(map: ShardAssignmentMap): Placement {
    if (map instanceof FoundingMap && !this.founded) {
      const { schema, relationships, assignments } = map.tagging
      return this.tagged(schema, relationships).with(assignments)
    }
    checkMap(map, this.buckets, (shard) => this.#index.has(shard), 'map')
    checkTags(map, this.#parts.tagOf, 'map')
    const table = this.#table.fork()
    for (const [segment, shard] of map) {
      const to = table.shards.find(shard)!
      let from = table.placeOf(segment)
      if (!from) {
        // Carving raises the epoch of the bucket too; a move raises the tag's once more.
        const bucketId = table.bucketOf(segment)
        const home = table.placeOfBucket(bucketId)
        from = { shard: this.#table.placeOfBucket(bucketId).shard, epoch: home.epoch + 1 }
        table.put(bucketSegment(bucketId), home.shard, from.epoch)
        table.put(segment, from.shard, from.epoch)
      }
      if (from.shard !== to) table.put(segment, to, from.epoch + 1)
    }
    return new Placement({ ...this.#parts, table })
  }

  /**
   * The placement after tags have been folded back into their buckets, whose shard is theirs from then on; a tag that
   * is not carved out is in its bucket already.
   * @throws UNKNOWN_SEGMENT for what is not a tag; nothing is changed.
   */
  merged(segments: Iterable<SegmentId>): Placement {
    const table = this.#table.fork()
    for (const segment of segments) {
      const tag = tagOfSegment(segment)
      if (tag === undefined)
        throw new ForeshardError(
          ErrorCode.UNKNOWN_SEGMENT,
          `merges: ${segment} is no tag that could be merged`,
          {
            field: 'merges',
          },
        )
      const own = table.placeOfTag(tag)
      if (!own) continue
      const bucketId = table.bucketOfTag(tag)
      const { shard, epoch } = table.placeOfBucket(bucketId)
      const moved = own.shard === shard ? 0 : 1
      table.put(bucketSegment(bucketId), shard, Math.max(epoch, own.epoch + moved) + 1)
      table.fold(tag)
    }
    return new Placement({ ...this.#parts, table })
  }

  /**
   * The same assignment for keys that are tagged by a schema: what a topology looks like that is founded with it.
   * @throws INVALID_ARGUMENT for a placement that is founded.
   */
  tagged(schema: SchemaInfo, relationships: DataRelationships = []): Placement {
    if (this.founded)
      throw invalid(
        'schema',
        'cannot be changed under data; found a new topology with it, and copy the data over',
      )
    const tagOf = compileTagRule(schema, relationships)
    return new Placement({ ...this.#parts, tagOf, schema, relationships })
  }

  /** The same assignment with one shard more, which owns nothing yet. */
  withShard(id: ShardId, weight = 1): Placement {
    const shards = checkShards([...this.#parts.shards, { id, weight }])
    const index = new ShardIndex(this.#table.shards)
    index.numberOf(id)
    return new Placement({ ...this.#parts, shards, table: this.#table.fork(index) })
  }

  #bucketLocation(bucketId: number): Location {
    const { shard, epoch } = this.#table.placeOfBucket(bucketId)
    return { shard: this.#table.shards.idOf(shard), segment: bucketSegment(bucketId), bucketId, epoch }
  }

  #indexOf(shard: ShardId, field: string): number {
    const index = this.#index.get(shard)
    if (index === undefined) throw unknownShard(field, shard)
    return index
  }
}

function isParts(options: PlacementOptions | Parts): options is Parts {
  return (options as Partial<Parts> | null)?.table instanceof AssignmentTable
}

function initialParts(options: PlacementOptions): Parts {
  checkFields(options, PLACEMENT_FIELDS, 'options')
  const buckets = checkBuckets(options.buckets)
  const shards = checkShards(options.shards)
  if (shards.length === 0) throw invalid('shards', 'is empty; a placement needs at least one shard')
  const seed = options.seed ?? 0
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff)
    throw invalid('seed', 'must be an unsigned 32-bit integer')
  if (options.founded !== undefined && typeof options.founded !== 'boolean')
    throw invalid('founded', 'must be true or false')
  const ring = new HashRing(shards, { buckets })
  const table = new AssignmentTable(buckets, seed, new ShardIndex(ring.shards.map(({ id }) => id)))
  ring.assignment().forEach((shard, bucketId) => {
    table.put(bucketSegment(bucketId), shard, 1)
  })
  return {
    shards: ring.shards,
    tagOf: compileTagRule(options.schema, options.relationships),
    schema: options.schema,
    relationships: options.relationships,
    founded: options.founded ?? false,
    table,
  }
}

/** Refuses a map that names what is not there, before anything is changed. */
export function checkMap(
  map: ShardAssignmentMap,
  buckets: number,
  knows: (shard: ShardId) => boolean,
  field: string,
): void {
  if (!(map instanceof Map)) throw invalid(field, 'must be a Map from segment to shard')
  if (map.size > MAX_BUCKETS)
    throw invalid(field, `names ${map.size} segments; at most ${MAX_BUCKETS} at a time`)
  for (const [segment, shard] of map) {
    try {
      checkSegment(segment, buckets, field)
    } catch (cause) {
      throw new ForeshardError(ErrorCode.UNKNOWN_SEGMENT, (cause as Error).message, { field, cause })
    }
    if (!knows(shard)) throw unknownShard(`${field}.get(${JSON.stringify(segment.slice(0, 80))})`, shard)
  }
}

export function unknownShard(field: string, shard: unknown): ForeshardError {
  return new ForeshardError(
    ErrorCode.UNKNOWN_SHARD,
    `${field}: shard ${shown(shard)} is not in the topology; add it first`,
    {
      field,
    },
  )
}
