import { murmur3 } from './hash'
import {
  bucketOfSegment,
  bucketSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
  tagSegment,
} from './segment'
import { ShardIndex } from './shard-index'
import {
  addTag,
  countOf,
  entriesOf,
  epochAt,
  findTag,
  haveSame,
  setPlace,
  shardAt,
  type TagBag,
  tagAt,
  trimmed,
  withoutTag,
} from './tag-bag'
import { TagFilter } from './tag-filter'

/** Where a segment is: a shard by its number, and the segment's epoch there. */
export interface Place {
  readonly shard: number
  readonly epoch: number
}

/** A segment's place; `shard` undefined: a tag that was merged into its bucket, and the epoch at which it was. */
export interface Assignment {
  readonly segment: SegmentId
  readonly shard: ShardId | undefined
  readonly epoch: number
}

/** Assignments as a topology has them, whatever they are kept in. */
export interface Assignments {
  readonly buckets: number
  readonly seed: number
  readonly shards: readonly { readonly id: ShardId }[]
  readonly assignments: Iterable<Assignment>
}

type Bags = (TagBag | undefined)[]

/** A filter that is to take the place of a full one, and the first bucket whose tags it does not have yet. */
interface NextFilter {
  readonly filter: TagFilter
  bucketId: number
}
const FIRST_TAGS = 64
/** Buckets that are entered into it with each tag that is carved out: done long before it is full, too. */
const BUCKETS_A_STEP = 64

/**
 * segment -> shard @ epoch, for millions of carved tags: a bag of words for each bucket that has any. Monotone: a segment's
 * entry is only replaced by one of a higher epoch. Tables share what is the same in them: a fork costs nothing, and the
 * first change of a bucket after it copies the bag of that bucket alone. So nothing ever stops to copy or rehash it all.
 */
export class AssignmentTable implements Iterable<Assignment & { readonly shard: ShardId }> {
  readonly seed: number
  readonly shards: ShardIndex
  #owners: Int32Array
  /** 0: not assigned yet. */
  #epochs: Float64Array
  #bags: Bags
  /** Segments by the number of their shard. */
  #held: number[]
  #tags = 0
  #filter = new TagFilter(FIRST_TAGS)
  #next: NextFilter | undefined
  /** bucket -> whether its bag is this table's alone; undefined: not even the arrays are. */
  #own: Uint8Array | undefined

  constructor(buckets: number, seed: number, shards = new ShardIndex()) {
    this.seed = seed
    this.shards = shards
    this.#owners = new Int32Array(buckets)
    this.#epochs = new Float64Array(buckets)
    this.#bags = new Array(buckets).fill(undefined)
    this.#held = []
    this.#own = new Uint8Array(buckets)
  }

  /**
   * A table of these assignments, which goes its own way; it shares theirs where they come from one that numbers shards as
   * `index` does.
   */
  static of(topology: Assignments, index?: ShardIndex): AssignmentTable {
    const { assignments, buckets, seed, shards } = topology
    const numbers = index ?? new ShardIndex(shards.map(({ id }) => id))
    if (assignments instanceof AssignmentTable && numbers.covers(assignments.shards))
      return assignments.fork(numbers)
    const table = new AssignmentTable(buckets, seed, numbers)
    for (const it of assignments) table.apply(it)
    table.trim()
    return table
  }

  get buckets(): number {
    return this.#owners.length
  }

  get carvedTags(): number {
    return this.#tags
  }

  hashOf(tag: string): number {
    return murmur3(tag, this.seed)
  }

  bucketOfTag(tag: string, hash = this.hashOf(tag)): number {
    return hash % this.#owners.length
  }

  /** The bucket that a segment is, or would be carved out of. */
  bucketOf(segment: SegmentId): number {
    const tag = tagOfSegment(segment)
    return tag === undefined ? bucketOfSegment(segment)! : this.bucketOfTag(tag)
  }

  /** The number of the shard where a tag's keys live. No allocation: every operation comes through here. */
  shardOfTag(tag: string): number {
    const hash = murmur3(tag, this.seed)
    const bucketId = hash % this.#owners.length
    if (this.#filter.has(hash)) {
      const bag = this.#bags[bucketId]
      const at = bag === undefined ? 0 : findTag(bag, hash, tag)
      if (at !== 0) return shardAt(bag!, at)
    }
    return this.#owners[bucketId]!
  }

  /** Undefined for a tag that is not carved out. */
  placeOfTag(tag: string, hash = this.hashOf(tag)): Place | undefined {
    if (!this.#filter.has(hash)) return undefined
    const bag = this.#bags[hash % this.#owners.length]
    if (bag === undefined) return undefined
    const at = findTag(bag, hash, tag)
    return at === 0 ? undefined : { shard: shardAt(bag, at), epoch: epochAt(bag, at) }
  }

  placeOfBucket(bucketId: number): Place {
    return { shard: this.#owners[bucketId]!, epoch: this.#epochs[bucketId]! }
  }

  /** Undefined for a tag that is not carved out. */
  placeOf(segment: SegmentId): Place | undefined {
    const tag = tagOfSegment(segment)
    return tag === undefined ? this.placeOfBucket(bucketOfSegment(segment)!) : this.placeOfTag(tag)
  }

  /** The tags that are carved out of a bucket. */
  tagsOf(bucketId: number): string[] {
    const bag = this.#bags[bucketId]
    return bag ? Array.from(entriesOf(bag), (at) => tagAt(bag, at)) : []
  }

  *tags(): IterableIterator<string> {
    for (const bag of this.#bags) if (bag) for (const at of entriesOf(bag)) yield tagAt(bag, at)
  }

  /** How many segments a shard has. */
  heldBy(shard: number): number {
    return this.#held[shard] ?? 0
  }

  /** Every bucket that is assigned, then every carved tag. */
  *segments(): IterableIterator<Place & { readonly segment: SegmentId; readonly bucketId: number }> {
    for (let bucketId = 0; bucketId < this.buckets; bucketId++)
      if (this.#epochs[bucketId]! > 0)
        yield { segment: bucketSegment(bucketId), bucketId, ...this.placeOfBucket(bucketId) }
    for (let bucketId = 0; bucketId < this.buckets; bucketId++) {
      const bag = this.#bags[bucketId]
      if (bag)
        for (const at of entriesOf(bag)) {
          const segment = tagSegment(tagAt(bag, at))
          yield { segment, bucketId, shard: shardAt(bag, at), epoch: epochAt(bag, at) }
        }
    }
  }

  *[Symbol.iterator](): IterableIterator<Assignment & { readonly shard: ShardId }> {
    for (const { segment, shard, epoch } of this.segments())
      yield { segment, shard: this.shards.idOf(shard), epoch }
  }

  /** The first bucket that nobody has; undefined where there is none. */
  get unassigned(): number | undefined {
    const bucketId = this.#epochs.indexOf(0)
    return bucketId < 0 ? undefined : bucketId
  }

  /** Takes in what was published; false for what is late. */
  apply({ segment, shard, epoch }: Assignment): boolean {
    if (shard !== undefined) return this.put(segment, this.shards.numberOf(shard), epoch)
    const tag = tagOfSegment(segment)!
    const place = this.placeOfTag(tag)
    // A merge ends the life that its epoch belongs to, the last epoch of that life included.
    return place !== undefined && place.epoch <= epoch && this.fold(tag)
  }

  /** False, and nothing changed, where the segment's epoch is this one or higher. */
  put(segment: SegmentId, shard: number, epoch: number): boolean {
    const tag = tagOfSegment(segment)
    return tag === undefined
      ? this.#putBucket(bucketOfSegment(segment)!, shard, epoch)
      : this.#putTag(tag, shard, epoch)
  }

  #putBucket(bucketId: number, shard: number, epoch: number): boolean {
    const known = this.#epochs[bucketId]!
    if (known >= epoch) return false
    this.#arraysOfOwn()
    if (known > 0) this.#count(this.#owners[bucketId]!, -1)
    this.#count(shard, 1)
    this.#owners[bucketId] = shard
    this.#epochs[bucketId] = epoch
    return true
  }

  #putTag(tag: string, shard: number, epoch: number): boolean {
    const hash = murmur3(tag, this.seed)
    const bucketId = hash % this.#owners.length
    const bag = this.#bags[bucketId]
    const at = bag ? findTag(bag, hash, tag) : 0
    if (at !== 0 && epochAt(bag!, at) >= epoch) return false
    const own = this.#arraysOfOwn()
    const mine = bag && own[bucketId] === 0 ? bag.slice() : bag
    own[bucketId] = 1
    this.#count(shard, 1)
    if (at !== 0) {
      this.#count(shardAt(mine!, at), -1)
      setPlace(mine!, at, shard, epoch)
      this.#bags[bucketId] = mine
    } else {
      this.#bags[bucketId] = addTag(mine, hash, tag, shard, epoch)
      this.#tags++
      this.#filter.add(hash)
      if (this.#next || this.#filter.isFull) this.#refilter(hash)
    }
    return true
  }

  /** Goes on with the filter that takes the place of a full one, a few buckets at a time: nothing ever waits for all. */
  #refilter(hash: number): void {
    this.#next ??= { filter: new TagFilter(2 * Math.max(this.#tags, FIRST_TAGS)), bucketId: 0 }
    const { filter } = this.#next
    filter.add(hash)
    const end = Math.min(this.buckets, this.#next.bucketId + BUCKETS_A_STEP)
    for (; this.#next.bucketId < end; this.#next.bucketId++) {
      const bag = this.#bags[this.#next.bucketId]
      if (bag) for (const at of entriesOf(bag)) filter.add(bag[at]!)
    }
    if (end < this.buckets) return
    this.#filter = filter
    this.#next = undefined
  }

  /** Forgets a tag that is no segment any more; false if it was none. */
  fold(tag: string): boolean {
    const hash = murmur3(tag, this.seed)
    const bucketId = hash % this.#owners.length
    const bag = this.#bags[bucketId]
    const at = bag ? findTag(bag, hash, tag) : 0
    if (at === 0) return false
    const own = this.#arraysOfOwn()
    this.#count(shardAt(bag!, at), -1)
    this.#bags[bucketId] = withoutTag(bag!, at)
    this.#tags--
    own[bucketId] = 1
    return true
  }

  /** A table with the same assignments, which from here on goes its own way. */
  fork(shards = this.shards): AssignmentTable {
    const fork = new AssignmentTable(0, this.seed, shards)
    this.#own = undefined
    fork.#own = undefined
    fork.#owners = this.#owners
    fork.#epochs = this.#epochs
    fork.#bags = this.#bags
    fork.#held = this.#held.slice()
    fork.#tags = this.#tags
    fork.#filter = this.#filter
    return fork
  }

  /** Whether both have the same carved tags in a bucket, at the same places; then they keep them once. */
  share(bucketId: number, other: AssignmentTable): boolean {
    const bag = other.#bags[bucketId]
    if (this.#bags[bucketId] === bag) return true
    if (this.shards !== other.shards || !haveSame(this.#bags[bucketId], bag)) return false
    this.#arraysOfOwn()[bucketId] = 0
    if (other.#own) other.#own[bucketId] = 0
    this.#bags[bucketId] = bag
    return true
  }

  /** Gives back the room that was kept for more tags. */
  trim(): void {
    const own = this.#arraysOfOwn()
    this.#bags.forEach((bag, bucketId) => {
      if (bag && own[bucketId] === 1) this.#bags[bucketId] = trimmed(bag)
    })
  }

  /** Tags carved out of a bucket. */
  carvedIn(bucketId: number): number {
    const bag = this.#bags[bucketId]
    return bag ? countOf(bag) : 0
  }

  #count(shard: number, more: number): void {
    this.#held[shard] = (this.#held[shard] ?? 0) + more
  }

  #arraysOfOwn(): Uint8Array {
    if (this.#own) return this.#own
    this.#owners = this.#owners.slice()
    this.#epochs = this.#epochs.slice()
    this.#bags = this.#bags.slice()
    this.#own = new Uint8Array(this.#owners.length)
    return this.#own
  }
}
