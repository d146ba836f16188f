import { Placement } from '../placement/assignment'
import { AssignmentTable, type Place } from '../placement/assignment-table'
import type { FenceRecord, Proof } from '../placement/fence'
import { proofOf } from '../placement/fence'
import {
  bucketOfSegment,
  bucketSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
  tagSegment,
} from '../placement/segment'
import type { ShardIndex } from '../placement/shard-index'
import type { TagRule } from '../placement/tag'
import type { Call, Operation } from '../shard-store'
import type { AssignmentEntry, ShardEntry, Topology, TopologyDelta } from '../topology-store'

/** A call and the shard that it is meant for, as an index of the view. */
export interface Aimed extends Call {
  readonly shard: number
}

/**
 * What this router believes of the assignments: the topology's, plus what shards told when they refused. A hint that
 * costs a round trip where it is wrong, never more, because the fences decide. Monotone: a segment's entry is only
 * replaced by one of a higher epoch, so that news may come late, twice and in any order. Epoch 0: only that the segment
 * exists; whoever is asked there will know more.
 *
 * Invariant: where the view has a bucket at epoch e it has the tags carved out of it as of e, or later news of them.
 */
export class View {
  readonly seed: number
  readonly tagOf: TagRule
  /** Called when a tag is no segment any more. */
  onFold: (tag: string, bucketId: number) => void = () => {}
  readonly #table: AssignmentTable
  #entries: readonly ShardEntry[] = []
  /** Commits that their target may not know of yet, until it has served an operation that carried them. */
  readonly #proofs = new Map<SegmentId, Proof>()
  #placement: Placement | undefined
  #revision = 0

  /** `index`: how whoever shares the table numbers the shards. */
  constructor(topology: Topology, tagOf: TagRule, index?: ShardIndex) {
    this.seed = topology.seed
    this.tagOf = tagOf
    this.#table = AssignmentTable.of(topology, index)
    this.#setShards(topology.shards)
    this.#revision = topology.revision
  }

  get buckets(): number {
    return this.#table.buckets
  }

  /** The topology's revision up to which the view has everything. */
  get revision(): number {
    return this.#revision
  }

  /** The topology's shards, in its order. */
  get shards(): readonly ShardEntry[] {
    return this.#entries
  }

  shardId(index: number): ShardId {
    return this.#table.shards.idOf(index)
  }

  /** The index of a shard, which it keeps for the life of the view. */
  indexOf(shard: ShardId): number {
    return this.#table.shards.numberOf(shard)
  }

  bucketOfTag(tag: string): number {
    return this.#table.bucketOfTag(tag)
  }

  /** The bucket that a segment is, or would be carved out of. */
  bucketOf(segment: SegmentId): number {
    return this.#table.bucketOf(segment)
  }

  /** The index of the shard where a key is believed to live. */
  shardOf(key: string): number {
    return this.#table.shardOfTag(this.tagOf(key))
  }

  /** A client operation as it should be sent now. */
  aim(key: string, operation: Operation): Aimed {
    const tag = this.tagOf(key)
    const hash = this.#table.hashOf(tag)
    const bucketId = this.#table.bucketOfTag(tag, hash)
    const own = this.#table.placeOfTag(tag, hash)
    const segment = own ? tagSegment(tag) : bucketSegment(bucketId)
    const { shard, epoch } = own ?? this.#table.placeOfBucket(bucketId)
    if (this.#proofs.size > 0) {
      const proof = this.#proofs.get(segment)
      if (proof?.epoch === epoch) return { shard, segment, bucketId, epoch, key, tag, operation, proof }
    }
    return { shard, segment, bucketId, epoch, key, tag, operation }
  }

  /** Where a segment is believed to be; undefined for a tag that is not carved out. */
  placeOf(segment: SegmentId): Place | undefined {
    return this.#table.placeOf(segment)
  }

  proofFor(segment: SegmentId): Proof | undefined {
    return this.#proofs.get(segment)
  }

  /** The target has served an operation at this epoch: nobody needs to prove the commit to it any more. */
  settle(segment: SegmentId, epoch: number): void {
    const proof = this.#proofs.get(segment)
    if (proof && proof.epoch <= epoch) this.#proofs.delete(segment)
  }

  /** The tags that are carved out of a bucket. */
  carvedOf(bucketId: number): string[] {
    return this.#table.tagsOf(bucketId)
  }

  /** How many segments a shard has, by its index. */
  heldBy(shard: number): number {
    return this.#table.heldBy(shard)
  }

  /** Every segment, buckets first, and the index of its shard. */
  segments(): IterableIterator<{ segment: SegmentId; bucketId: number; shard: number }> {
    return this.#table.segments()
  }

  /** The assignments as they are believed to be now. Immutable; the same object until something changes. */
  get placement(): Placement {
    this.#placement ??= this.#snapshot()
    return this.#placement
  }

  /**
   * Takes in what a shard said of a segment: in a refusal, or in a list of fences. Returns whether it is news.
   * An owned record tells that it is there, a moved one where it went, and both, of a bucket, what is carved out.
   */
  learn(shard: number, segment: SegmentId, record: FenceRecord): boolean {
    const proof = proofOf(record)
    if (record.state !== 'owned' && !proof) return false
    const known = this.placeOf(segment)
    if (known && known.epoch > record.epoch) return false
    let news = this.#put(segment, proof ? this.indexOf(proof.shard) : shard, record.epoch)
    // An import is activated by its commit; a lower epoch's proof would be refused.
    if (proof && this.#proofs.get(segment)?.epoch !== proof.epoch) {
      this.#proofs.set(segment, proof)
      news = true
    }
    const bucketId = bucketOfSegment(segment)
    if (bucketId === undefined) return news
    for (const tag of record.carved) {
      if (this.#table.placeOfTag(tag)) continue
      this.#put(tagSegment(tag), this.#table.placeOfBucket(bucketId).shard, 0)
      news = true
    }
    // Nearly always it names the same tags.
    if (this.#table.carvedIn(bucketId) === record.carved.size) return news
    for (const tag of this.#table.tagsOf(bucketId)) {
      if (record.carved.has(tag) || this.#table.placeOfTag(tag)!.epoch >= record.epoch) continue
      this.#fold(tag)
      news = true
    }
    return news
  }

  /**
   * Takes in a change of the topology. Those of the past have no effect. `published`: what the topology has after it; what is
   * the same there is kept once.
   */
  apply(delta: TopologyDelta, published?: AssignmentTable): void {
    if (delta.shards) this.#setShards(delta.shards)
    for (const entry of delta.assignments ?? []) this.#assign(entry)
    for (const entry of delta.assignments ?? []) if (entry.shard === undefined) this.#unassign(entry)
    this.#revision = Math.max(this.#revision, delta.revision)
    if (!published) return
    for (const bucketId of new Set(delta.assignments?.map(({ segment }) => this.#table.bucketOf(segment))))
      this.#table.share(bucketId, published)
  }

  /** Takes in the whole topology. */
  load(topology: Topology): void {
    this.#setShards(topology.shards)
    const published = AssignmentTable.of(topology, this.#table.shards)
    for (let bucketId = 0; bucketId < this.buckets; bucketId++) {
      const { shard, epoch } = published.placeOfBucket(bucketId)
      this.#put(bucketSegment(bucketId), shard, epoch)
      if (this.#table.share(bucketId, published)) continue
      for (const tag of published.tagsOf(bucketId)) {
        const place = published.placeOfTag(tag)!
        this.#put(tagSegment(tag), place.shard, place.epoch)
      }
      for (const tag of this.#table.tagsOf(bucketId))
        if (!published.placeOfTag(tag) && this.#table.placeOfTag(tag)!.epoch <= epoch) this.#fold(tag)
      this.#table.share(bucketId, published)
    }
    this.#revision = Math.max(this.#revision, topology.revision)
  }

  #assign({ segment, shard, epoch }: AssignmentEntry): void {
    if (shard !== undefined) this.#put(segment, this.indexOf(shard), epoch)
  }

  /** A tag was merged, unless what is known of it came later: its bucket's epoch is above all that the tag had. */
  #unassign({ segment, epoch }: AssignmentEntry): void {
    const tag = tagOfSegment(segment)
    const place = tag === undefined ? undefined : this.#table.placeOfTag(tag)
    if (!place) return
    const bucketEpoch = this.#table.placeOfBucket(this.bucketOfTag(tag!)).epoch
    if (place.epoch <= epoch || place.epoch < bucketEpoch) this.#fold(tag!)
  }

  #put(segment: SegmentId, shard: number, epoch: number): boolean {
    if (!this.#table.put(segment, shard, epoch)) return false
    const proof = this.#proofs.get(segment)
    if (proof && proof.epoch < epoch) this.#proofs.delete(segment)
    this.#placement = undefined
    return true
  }

  #fold(tag: string): void {
    this.#table.fold(tag)
    this.#proofs.delete(tagSegment(tag))
    this.#placement = undefined
    this.onFold(tag, this.bucketOfTag(tag))
  }

  #setShards(entries: readonly ShardEntry[]): void {
    this.#entries = entries
    for (const { id } of entries) this.indexOf(id)
    this.#placement = undefined
  }

  /** Shards in the topology's order, then owners that only a refusal has told of. */
  #snapshot(): Placement {
    const shards = this.#entries.map(({ id, weight }) => ({ id, weight }))
    const listed = new Set(shards.map(({ id }) => id))
    let index = 0
    for (const id of this.#table.shards)
      if (this.#table.heldBy(index++) > 0 && !listed.has(id)) shards.push({ id, weight: 1 })
    return new Placement({ shards, tagOf: this.tagOf, founded: true, table: this.#table.fork() })
  }
}
