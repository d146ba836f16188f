import { type BucketFences, type FenceRecord, NO_FENCE } from '../../placement/fence'
import {
  bucketSegment,
  isTagSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
} from '../../placement/segment'
import type { FenceListing } from '../../shard-store'

/** The fences of one bucket on one shard, as they were when the shard last said. */
export class BucketMirror implements BucketFences {
  readonly bucketId: number
  ticket = 0
  readonly #records = new Map<SegmentId, FenceRecord>()

  constructor(bucketId: number) {
    this.bucketId = bucketId
  }

  get exporting(): SegmentId | '' {
    for (const [segment, { export: ticket }] of this.#records) if (ticket !== 0) return segment
    return ''
  }

  record(segment: SegmentId): FenceRecord {
    return this.#records.get(segment) ?? NO_FENCE
  }

  *tags(): Iterable<SegmentId> {
    for (const segment of this.#records.keys()) if (isTagSegment(segment)) yield segment
  }

  get records(): Iterable<readonly [SegmentId, FenceRecord]> {
    return this.#records
  }

  get isEmpty(): boolean {
    return this.#records.size === 0
  }

  put(segment: SegmentId, record: FenceRecord): void {
    this.#records.set(segment, record)
  }

  /** Takes in what the shard says now; answers what went back (I6). */
  take(listings: readonly FenceListing[]): string[] {
    const back: string[] = []
    for (const { segment, record, bucketTicket } of listings) {
      if (bucketTicket < this.ticket)
        back.push(`the ticket of #${this.bucketId} went back to ${bucketTicket}`)
      this.ticket = bucketTicket
      const before = this.record(segment)
      for (const field of ['epoch', 'ticket', 'seq'] as const)
        if (record[field] < before[field])
          back.push(`${field} of ${segment} went back from ${before[field]} to ${record[field]}`)
      // Of one attempt at an import: an older batch over a newer one.
      const goesOn = before.state === 'importing' && record.state === 'importing'
      if (goesOn && before.ticket === record.ticket && record.nextBatch < before.nextBatch)
        back.push(`${segment} took batch ${record.nextBatch - 1} after batch ${before.nextBatch - 1}`)
      if (record.state !== 'none' || record.epoch > 0 || record.ticket > 0 || this.#records.has(segment))
        this.put(segment, record)
    }
    return back
  }
}

/** The fences of all shards. */
export class FenceMirror {
  readonly #shards = new Map<ShardId, Map<number, BucketMirror>>()
  readonly #tags = new Map<number, Set<SegmentId>>()

  bucket(shard: ShardId, bucketId: number): BucketMirror {
    let buckets = this.#shards.get(shard)
    if (!buckets) {
      buckets = new Map()
      this.#shards.set(shard, buckets)
    }
    let bucket = buckets.get(bucketId)
    if (!bucket) {
      bucket = new BucketMirror(bucketId)
      buckets.set(bucketId, bucket)
    }
    return bucket
  }

  epochAt(shard: ShardId, segment: SegmentId): number {
    for (const bucket of this.#shards.get(shard)?.values() ?? []) {
      const { epoch } = bucket.record(segment)
      if (epoch > 0) return epoch
    }
    return 0
  }

  /** The bucket itself and every tag of it that ever was a segment. */
  segments(bucketId: number, also?: SegmentId): { segment: SegmentId; bucketId: number }[] {
    let tags = this.#tags.get(bucketId)
    if (also !== undefined && isTagSegment(also)) {
      tags ??= new Set()
      tags.add(also)
      this.#tags.set(bucketId, tags)
    }
    return [bucketSegment(bucketId), ...(tags ?? [])].map((segment) => ({ segment, bucketId }))
  }

  /** Whether the import of a segment that stands here has been committed by its source. */
  isCommitted(shard: ShardId, bucketId: number, segment: SegmentId): boolean {
    const { state, epoch, ticket } = this.bucket(shard, bucketId).record(segment)
    if (state !== 'importing') return false
    for (const [, record] of this.#of(bucketId, segment))
      if (
        record.state === 'moved' &&
        record.epoch === epoch &&
        record.ticket === ticket &&
        record.peer === shard
      )
        return true
    return false
  }

  /** What is wrong with a bucket (I1, I2, I4), after any step; undefined where nothing is. */
  contradiction(bucketId: number): string | undefined {
    const home = bucketSegment(bucketId)
    for (const [shard, buckets] of this.#shards)
      for (const [segment, record] of buckets.get(bucketId)?.records ?? [])
        if (record.holdUntil !== 0 && (record.state !== 'owned' || record.export === 0))
          return `I4: ${segment} has a hold on ${shard} and no export`
    const own = this.#governor(bucketId, home)
    if (own === undefined) return undefined
    if (typeof own === 'string') return own
    for (const { segment } of this.segments(bucketId)) {
      if (segment === home) continue
      const inside = !own.carved.has(tagOfSegment(segment)!)
      const governor = this.#governor(bucketId, segment, inside)
      if (typeof governor === 'string') return governor
      if (inside && governor)
        return `I1: ${segment} is owned, and ${home} is owned or given away with it inside`
      if (!inside && !governor) return `I2: ${segment} is carved out of ${home} and nobody owns it`
    }
    return undefined
  }

  /** The record that governs a segment: its owner's, or that of its commit. In words what cannot be. */
  #governor(bucketId: number, segment: SegmentId, mayBeGone = false): FenceRecord | string | undefined {
    let owner: ShardId | undefined
    let latest: FenceRecord | undefined
    let known = false
    for (const [shard, record] of this.#of(bucketId, segment)) {
      known = true
      if (record.state === 'owned') {
        if (owner !== undefined) return `I1: ${segment} is owned by ${owner} and by ${shard}`
        owner = shard
      } else if (record.state === 'moved' && record.epoch > (latest?.epoch ?? 0)) latest = record
    }
    if (owner !== undefined) return this.bucket(owner, bucketId).record(segment)
    if (!known || mayBeGone) return undefined
    if (!latest) return `I2: nobody owns ${segment}, and nobody gave it away`
    if (this.isCommitted(latest.peer, bucketId, segment)) return latest
    const { state, epoch } = this.bucket(latest.peer, bucketId).record(segment)
    return `I2: ${segment} was given to ${latest.peer} @ ${latest.epoch}, which has it ${state} @ ${epoch}`
  }

  *#of(bucketId: number, segment: SegmentId): Iterable<readonly [ShardId, FenceRecord]> {
    for (const [shard, buckets] of this.#shards) {
      const record = buckets.get(bucketId)?.record(segment)
      if (record && record !== NO_FENCE) yield [shard, record]
    }
  }
}
