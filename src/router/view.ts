import { Placement } from '../placement/assignment'
import type { FenceRecord, Proof } from '../placement/fence'
import { proofOf } from '../placement/fence'
import { murmur3 } from '../placement/hash'
import {
  bucketOfSegment,
  bucketSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
  tagSegment,
} from '../placement/segment'
import type { TagRule } from '../placement/tag'
import type { Call, Operation } from '../shard-store'
import type { AssignmentEntry, ShardEntry, Topology, TopologyDelta } from '../topology-store'

/** A call and the shard that it is meant for, as an index of the view. */
export interface Aimed extends Call {
  readonly shard: number
}

/** Where a segment is believed to be. Epoch 0: only that it exists; whoever is asked there will know more. */
interface Place {
  readonly shard: number
  readonly epoch: number
}

/**
 * What this router believes of the assignments: the topology's, plus what shards told when they refused. A hint that
 * costs a round trip where it is wrong, never more, because the fences decide. Monotone: a segment's entry is only
 * replaced by one of a higher epoch, so that news may come late, twice and in any order.
 *
 * Invariant: where the view has a bucket at epoch e it has the tags carved out of it as of e, or later news of them.
 */
export class View {
  readonly seed: number
  readonly tagOf: TagRule
  /** Called when a tag is no segment any more. */
  onFold: (tag: string, bucketId: number) => void = () => {}
  readonly #ids: ShardId[] = []
  readonly #indices = new Map<ShardId, number>()
  #entries: readonly ShardEntry[] = []
  readonly #owners: Int32Array
  readonly #epochs: Float64Array
  readonly #carvedIn: Uint32Array
  readonly #carved = new Map<string, Place>()
  readonly #tagsOf = new Map<number, Set<string>>()
  /** Commits that their target may not know of yet, until it has served an operation that carried them. */
  readonly #proofs = new Map<SegmentId, Proof>()
  #placement: Placement | undefined
  #revision = 0

  constructor(topology: Topology, tagOf: TagRule) {
    this.seed = topology.seed
    this.tagOf = tagOf
    this.#owners = new Int32Array(topology.buckets)
    this.#epochs = new Float64Array(topology.buckets)
    this.#carvedIn = new Uint32Array(topology.buckets)
    this.load(topology)
  }

  get buckets(): number {
    return this.#owners.length
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
    return this.#ids[index]!
  }

  /** The index of a shard, which it keeps for the life of the view. */
  indexOf(shard: ShardId): number {
    let index = this.#indices.get(shard)
    if (index === undefined) {
      index = this.#ids.push(shard) - 1
      this.#indices.set(shard, index)
      this.#placement = undefined
    }
    return index
  }

  bucketOfTag(tag: string): number {
    return murmur3(tag, this.seed) % this.#owners.length
  }

  /** The bucket that a segment is, or would be carved out of. */
  bucketOf(segment: SegmentId): number {
    const tag = tagOfSegment(segment)
    return tag === undefined ? bucketOfSegment(segment)! : this.bucketOfTag(tag)
  }

  /** The index of the shard where a key is believed to live. */
  shardOf(key: string): number {
    const tag = this.tagOf(key)
    const bucketId = this.bucketOfTag(tag)
    const own = this.#carvedIn[bucketId]! > 0 ? this.#carved.get(tag) : undefined
    return own ? own.shard : this.#owners[bucketId]!
  }

  /** A client operation as it should be sent now. */
  aim(key: string, operation: Operation): Aimed {
    const tag = this.tagOf(key)
    const bucketId = this.bucketOfTag(tag)
    const own = this.#carvedIn[bucketId]! > 0 ? this.#carved.get(tag) : undefined
    const segment = own ? tagSegment(tag) : bucketSegment(bucketId)
    const shard = own ? own.shard : this.#owners[bucketId]!
    const epoch = own ? own.epoch : this.#epochs[bucketId]!
    if (this.#proofs.size > 0) {
      const proof = this.#proofs.get(segment)
      if (proof?.epoch === epoch) return { shard, segment, bucketId, epoch, key, tag, operation, proof }
    }
    return { shard, segment, bucketId, epoch, key, tag, operation }
  }

  /** Where a segment is believed to be; undefined for a tag that is not carved out. */
  placeOf(segment: SegmentId): Place | undefined {
    const tag = tagOfSegment(segment)
    if (tag !== undefined) return this.#carved.get(tag)
    const bucketId = bucketOfSegment(segment)!
    return { shard: this.#owners[bucketId]!, epoch: this.#epochs[bucketId]! }
  }

  proofFor(segment: SegmentId): Proof | undefined {
    return this.#proofs.get(segment)
  }

  /** The target has served an operation at this epoch: nobody needs to prove the commit to it any more. */
  settle(segment: SegmentId, epoch: number): void {
    const proof = this.#proofs.get(segment)
    if (proof && proof.epoch <= epoch) this.#proofs.delete(segment)
  }

  carvedOf(bucketId: number): ReadonlySet<string> {
    return this.#tagsOf.get(bucketId) ?? NO_TAGS
  }

  /** Every segment, buckets first, and the index of its shard. */
  *segments(): IterableIterator<{ segment: SegmentId; bucketId: number; shard: number }> {
    for (let bucketId = 0; bucketId < this.#owners.length; bucketId++)
      yield { segment: bucketSegment(bucketId), bucketId, shard: this.#owners[bucketId]! }
    for (const [tag, { shard }] of this.#carved)
      yield { segment: tagSegment(tag), bucketId: this.bucketOfTag(tag), shard }
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
    for (const tag of this.carvedOf(bucketId)) {
      if (record.carved.has(tag) || this.#carved.get(tag)!.epoch >= record.epoch) continue
      this.#fold(tag)
      news = true
    }
    for (const tag of record.carved) {
      if (this.#carved.has(tag)) continue
      this.#put(tagSegment(tag), this.#owners[bucketId]!, 0)
      news = true
    }
    return news
  }

  /** Takes in a change of the topology. Those of the past have no effect. */
  apply(delta: TopologyDelta): void {
    if (delta.shards) this.#setShards(delta.shards)
    for (const entry of delta.assignments ?? []) this.#assign(entry)
    for (const entry of delta.assignments ?? []) if (entry.shard === undefined) this.#unassign(entry)
    this.#revision = Math.max(this.#revision, delta.revision)
  }

  /** Takes in the whole topology. */
  load(topology: Topology): void {
    this.#setShards(topology.shards)
    const listed = new Set<string>()
    for (const entry of topology.assignments) {
      const tag = tagOfSegment(entry.segment)
      if (tag !== undefined) listed.add(tag)
      this.#assign(entry)
    }
    for (const { segment, epoch } of topology.assignments) {
      const bucketId = bucketOfSegment(segment)
      if (bucketId === undefined) break
      for (const tag of this.carvedOf(bucketId))
        if (!listed.has(tag) && this.#carved.get(tag)!.epoch <= epoch) this.#fold(tag)
    }
    this.#revision = Math.max(this.#revision, topology.revision)
  }

  #assign({ segment, shard, epoch }: AssignmentEntry): void {
    if (shard !== undefined) this.#put(segment, this.indexOf(shard), epoch)
  }

  /** A tag was merged, unless what is known of it came later: its bucket's epoch is above all that the tag had. */
  #unassign({ segment, epoch }: AssignmentEntry): void {
    const tag = tagOfSegment(segment)
    const place = tag === undefined ? undefined : this.#carved.get(tag)
    if (!place) return
    const bucketEpoch = this.#epochs[this.bucketOfTag(tag!)]!
    if (place.epoch <= epoch || place.epoch < bucketEpoch) this.#fold(tag!)
  }

  #put(segment: SegmentId, shard: number, epoch: number): boolean {
    const known = this.placeOf(segment)
    if (known && known.epoch >= epoch) return false
    const tag = tagOfSegment(segment)
    if (tag === undefined) {
      const bucketId = bucketOfSegment(segment)!
      this.#owners[bucketId] = shard
      this.#epochs[bucketId] = epoch
    } else {
      if (!known) {
        const bucketId = this.bucketOfTag(tag)
        this.#carvedIn[bucketId]!++
        const tags = this.#tagsOf.get(bucketId)
        if (tags) tags.add(tag)
        else this.#tagsOf.set(bucketId, new Set([tag]))
      }
      this.#carved.set(tag, { shard, epoch })
    }
    const proof = this.#proofs.get(segment)
    if (proof && proof.epoch < epoch) this.#proofs.delete(segment)
    this.#placement = undefined
    return true
  }

  #fold(tag: string): void {
    const bucketId = this.bucketOfTag(tag)
    this.#carved.delete(tag)
    this.#carvedIn[bucketId]!--
    const tags = this.#tagsOf.get(bucketId)!
    tags.delete(tag)
    if (tags.size === 0) this.#tagsOf.delete(bucketId)
    this.#proofs.delete(tagSegment(tag))
    this.#placement = undefined
    this.onFold(tag, bucketId)
  }

  #setShards(entries: readonly ShardEntry[]): void {
    this.#entries = entries
    for (const { id } of entries) this.indexOf(id)
    this.#placement = undefined
  }

  /** Shards in the topology's order, then owners that only a refusal has told of. */
  #snapshot(): Placement {
    const shards = this.#entries.map(({ id, weight }) => ({ id, weight }))
    const owning = new Set(this.#owners)
    for (const { shard } of this.#carved.values()) owning.add(shard)
    const position = new Map(shards.map(({ id }, i) => [id, i]))
    const at = Int32Array.from(this.#ids, (id, index) => {
      const listed = position.get(id)
      if (listed !== undefined || !owning.has(index)) return listed ?? -1
      return shards.push({ id, weight: 1 }) - 1
    })
    const carved = new Map<string, Place>()
    for (const [tag, { shard, epoch }] of this.#carved) carved.set(tag, { shard: at[shard]!, epoch })
    return new Placement({
      shards,
      seed: this.seed,
      tagOf: this.tagOf,
      owners: this.#owners.map((shard) => at[shard]!),
      epochs: this.#epochs.slice(),
      carved,
    })
  }
}

const NO_TAGS: ReadonlySet<string> = new Set()
