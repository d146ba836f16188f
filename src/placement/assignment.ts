import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { murmur3 } from './hash'
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
import { compileTagRule, type DataRelationships, type SchemaInfo, type TagRule } from './tag'

export interface PlacementOptions {
  /** Ids, or ids with weights. At least one. */
  shards: readonly (ShardId | ShardWeight)[]
  buckets?: number
  /** Seed of the bucket hash: keeps outsiders from choosing keys that fall into one bucket. */
  seed?: number
  schema?: SchemaInfo
  relationships?: DataRelationships
}

const PLACEMENT_FIELDS: Fields<PlacementOptions> = {
  shards: true,
  buckets: true,
  seed: true,
  schema: true,
  relationships: true,
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
  seed: number
  tagOf: TagRule
  /** bucket -> index into shards. */
  owners: Int32Array
  epochs: Float64Array
  /** carved tag -> where it lives. */
  carved: ReadonlyMap<string, { shard: number; epoch: number }>
}

/**
 * The assignment table: tag -> bucket -> segment -> shard. Immutable and pure; `with` gives a new one. A lookup is one
 * hash and one array read, plus a map lookup where tags have been carved out of the key's bucket.
 */
export class Placement {
  readonly #parts: Parts
  /** bucket -> tags carved out of it. */
  readonly #carvedIn: Uint32Array
  readonly #index: ReadonlyMap<ShardId, number>

  /** The same as `Placement.initial`. */
  constructor(options: PlacementOptions | Parts) {
    this.#parts = isParts(options) ? options : initialParts(options)
    this.#index = new Map(this.#parts.shards.map((shard, i) => [shard.id, i]))
    this.#carvedIn = new Uint32Array(this.#parts.owners.length)
    for (const tag of this.#parts.carved.keys()) this.#carvedIn[this.bucketOfTag(tag)]!++
  }

  /** The assignment that a new topology starts with: buckets spread by the ring, no tag carved out, all at epoch 1. */
  static initial(options: PlacementOptions): Placement {
    return new Placement(initialParts(options))
  }

  get buckets(): number {
    return this.#parts.owners.length
  }

  get seed(): number {
    return this.#parts.seed
  }

  /** The ids of all shards. */
  get shards(): readonly ShardId[] {
    return [...this.#index.keys()]
  }

  weightOf(shard: ShardId): number {
    return this.#parts.shards[this.#indexOf(shard, 'shard')]!.weight
  }

  tagOf(key: string): string {
    return this.#parts.tagOf(key)
  }

  bucketOfTag(tag: string): number {
    return murmur3(tag, this.#parts.seed) % this.#parts.owners.length
  }

  /** The segment that governs a key. */
  segmentOf(key: string): SegmentId {
    const tag = this.#parts.tagOf(key)
    const bucketId = this.bucketOfTag(tag)
    return this.#carvedIn[bucketId]! > 0 && this.#parts.carved.has(tag)
      ? tagSegment(tag)
      : bucketSegment(bucketId)
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
    const own = tag === undefined ? undefined : this.#parts.carved.get(tag)
    return own
      ? { shard: this.#parts.shards[own.shard]!.id, segment, bucketId, epoch: own.epoch }
      : this.#bucketLocation(bucketId)
  }

  /** Where a key lives. */
  locate(key: string): Location {
    const tag = this.#parts.tagOf(key)
    const bucketId = this.bucketOfTag(tag)
    const own = this.#carvedIn[bucketId]! > 0 ? this.#parts.carved.get(tag) : undefined
    return own
      ? { shard: this.#parts.shards[own.shard]!.id, segment: tagSegment(tag), bucketId, epoch: own.epoch }
      : this.#bucketLocation(bucketId)
  }

  isCarved(tag: string): boolean {
    return this.#parts.carved.has(tag)
  }

  /** The tags that are segments of their own. */
  get carvedTags(): IterableIterator<string> {
    return this.#parts.carved.keys() as IterableIterator<string>
  }

  /** Every segment: all buckets, then all carved tags. */
  *segments(): IterableIterator<Location> {
    for (let bucketId = 0; bucketId < this.buckets; bucketId++) yield this.#bucketLocation(bucketId)
    for (const tag of this.#parts.carved.keys()) yield this.assignmentOf(tagSegment(tag))
  }

  /**
   * The placement after the map has been carried out: named segments on their new shards, one epoch on; a tag that is
   * not yet a segment is carved out of its bucket.
   * @throws UNKNOWN_SHARD, INVALID_ARGUMENT naming the entry; nothing is changed.
   */
  with(map: ShardAssignmentMap): Placement {
    checkMap(map, this.buckets, (shard) => this.#index.has(shard), 'map')
    const owners = this.#parts.owners.slice()
    const epochs = this.#parts.epochs.slice()
    const carved = new Map(this.#parts.carved)
    for (const [segment, shard] of map) {
      const to = this.#index.get(shard)!
      const tag = tagOfSegment(segment)
      if (tag !== undefined) {
        const bucketId = this.bucketOfTag(tag)
        // Carving raises the epoch of the bucket too; a move raises the tag's once more.
        const from = carved.get(tag) ?? { shard: this.#parts.owners[bucketId]!, epoch: ++epochs[bucketId]! }
        carved.set(tag, from.shard === to ? from : { shard: to, epoch: from.epoch + 1 })
        continue
      }
      const bucketId = bucketOfSegment(segment)!
      if (owners[bucketId] === to) continue
      owners[bucketId] = to
      epochs[bucketId]!++
    }
    return new Placement({ ...this.#parts, owners, epochs, carved })
  }

  /**
   * The placement after tags have been folded back into their buckets, whose shard is theirs from then on; a tag that
   * is not carved out is in its bucket already.
   * @throws UNKNOWN_SEGMENT for what is not a tag; nothing is changed.
   */
  merged(segments: Iterable<SegmentId>): Placement {
    const epochs = this.#parts.epochs.slice()
    const carved = new Map(this.#parts.carved)
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
      const own = carved.get(tag)
      if (!own) continue
      const bucketId = this.bucketOfTag(tag)
      const moved = own.shard === this.#parts.owners[bucketId]! ? 0 : 1
      epochs[bucketId] = Math.max(epochs[bucketId]!, own.epoch + moved) + 1
      carved.delete(tag)
    }
    return new Placement({ ...this.#parts, epochs, carved })
  }

  /** The same assignment with one shard more, which owns nothing yet. */
  withShard(id: ShardId, weight = 1): Placement {
    const shards = checkShards([...this.#parts.shards, { id, weight }])
    return new Placement({ ...this.#parts, shards })
  }

  #bucketLocation(bucketId: number): Location {
    return {
      shard: this.#parts.shards[this.#parts.owners[bucketId]!]!.id,
      segment: bucketSegment(bucketId),
      bucketId,
      epoch: this.#parts.epochs[bucketId]!,
    }
  }

  #indexOf(shard: ShardId, field: string): number {
    const index = this.#index.get(shard)
    if (index === undefined) throw unknownShard(field, shard)
    return index
  }
}

function isParts(options: PlacementOptions | Parts): options is Parts {
  return typeof options === 'object' && options !== null && 'owners' in options
}

function initialParts(options: PlacementOptions): Parts {
  checkFields(options, PLACEMENT_FIELDS, 'options')
  const buckets = checkBuckets(options.buckets)
  const shards = checkShards(options.shards)
  if (shards.length === 0) throw invalid('shards', 'is empty; a placement needs at least one shard')
  const seed = options.seed ?? 0
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff)
    throw invalid('seed', 'must be an unsigned 32-bit integer')
  const ring = new HashRing(shards, { buckets })
  return {
    shards: ring.shards,
    seed,
    tagOf: compileTagRule(options.schema, options.relationships),
    owners: ring.assignment(),
    epochs: new Float64Array(buckets).fill(1),
    carved: new Map(),
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
