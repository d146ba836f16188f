import { bucketSegment, isTagSegment, type SegmentId, type ShardId } from './segment'

/**
 * The fence: the record by which a shard alone decides whether it serves a segment, the steps that may change it, and
 * what follows from it. The transitions themselves are one table, in fence-table.ts.
 */

export type FenceState = 'none' | 'owned' | 'importing' | 'moved'

/** What one shard holds about one segment. Immutable; `epoch`, `ticket` and `seq` never go back, in no state. */
export interface FenceRecord {
  readonly state: FenceState
  /** +1 with every change of owner, split and merge. Clients must name it exactly. */
  readonly epoch: number
  /** The highest ticket that changed this record. Never forgotten, also when the state returns to none. */
  readonly ticket: number
  /** Number of the segment's last write. Travels with the segment. */
  readonly seq: number
  /** Where to: of an export, or of a moved segment. '' otherwise. */
  readonly peer: ShardId
  /** owned: the ticket of the handoff in progress, or 0. */
  readonly export: number
  /** owned with an export: writes are answered "retry" before this time (ms since the epoch), or 0. */
  readonly holdUntil: number
  /** owned with an export: its one hold has been used. */
  readonly held: boolean
  /** owned: the change log is complete since activation, when seq was `base`. */
  readonly trace: boolean
  readonly base: number
  /** importing: leftovers are swept, batches are accepted. */
  readonly loading: boolean
  /** importing: the retained data was kept, only changes follow. */
  readonly kept: boolean
  /** importing: number of the batch expected next, from 1. */
  readonly nextBatch: number
  /** moved: the data is complete as of seq; no purge has begun. */
  readonly intact: boolean
  /** buckets only: the tags carved out of it. */
  readonly carved: ReadonlySet<string>
}

const NOTHING_CARVED: ReadonlySet<string> = new Set()

/** What a shard knows of a segment that it never had. */
export const NO_FENCE: FenceRecord = Object.freeze({
  state: 'none',
  epoch: 0,
  ticket: 0,
  seq: 0,
  peer: '',
  export: 0,
  holdUntil: 0,
  held: false,
  trace: false,
  base: 0,
  loading: false,
  kept: false,
  nextBatch: 0,
  intact: false,
  carved: NOTHING_CARVED,
})

/** All fences of one bucket on one shard: its own, and those of the tags carved out of it. */
export interface BucketFences {
  readonly bucketId: number
  /** The highest ticket of any step on any segment of the bucket: so that a split ends every older attempt. */
  readonly ticket: number
  /** The one segment of the bucket whose export stands, or ''. */
  readonly exporting: SegmentId | ''
  record(segment: SegmentId): FenceRecord
  /** The tags of this bucket that have a record here, whatever its state. */
  tags(): Iterable<SegmentId>
}

/** The commit of a handoff, as the source recorded it: whoever shows it to the target activates it. */
export interface Proof {
  readonly shard: ShardId
  readonly epoch: number
  readonly ticket: number
  readonly seq: number
}

/** `epoch` is always the source's epoch e of the handoff; the target will own the segment at e + 1. */
export type FenceCommand =
  | { readonly step: 'found' }
  | { readonly step: 'export'; readonly epoch: number; readonly ticket: number; readonly peer: ShardId }
  | {
      readonly step: 'prepare'
      readonly epoch: number
      readonly ticket: number
      /** The source's trace base, where it has one: retained data of that seq may be kept. */
      readonly base?: number
      /** Of a bucket: the tags carved out of it at the source. */
      readonly carved?: readonly string[]
    }
  | { readonly step: 'sweep'; readonly ticket: number; readonly empty: boolean }
  | { readonly step: 'ingest'; readonly epoch: number; readonly ticket: number; readonly batch: number }
  | { readonly step: 'hold'; readonly epoch: number; readonly ticket: number; readonly durationMs: number }
  | { readonly step: 'cutover'; readonly epoch: number; readonly ticket: number; readonly seq: number }
  | { readonly step: 'activate'; readonly proof: Proof }
  | { readonly step: 'abort'; readonly epoch: number; readonly ticket: number }
  | { readonly step: 'discard'; readonly ticket: number }
  | { readonly step: 'untrace'; readonly epoch: number }
  | { readonly step: 'purge'; readonly epoch: number }
  /** On a tag: carve it out of its bucket, whose epoch is named. */
  | { readonly step: 'split'; readonly epoch: number; readonly ticket: number }
  /** On a tag: fold it back into its bucket, whose epoch is named. */
  | { readonly step: 'merge'; readonly epoch: number; readonly ticket: number }
  /** After a shard lost state: what this shard is to the segment from `epoch` on. */
  | {
      readonly step: 'restore'
      readonly epoch: number
      readonly ticket: number
      /** Whom the segment has moved to; '' makes this shard its owner. */
      readonly peer: ShardId
      /** Of an owner: no write was ever numbered so high. */
      readonly seq: number
      /** Of an owner that is none: only if its copy is complete as of when it moved away. */
      readonly intact: boolean
      /** Of a bucket: the tags carved out of it. */
      readonly carved?: readonly string[]
    }

export type FenceStep = FenceCommand['step']

/** Whether a client that names this segment and epoch is served: I1 and I3 rest on the exact comparison. */
export function serves(record: FenceRecord, epoch: number, tag: string): boolean {
  return (
    record.state === 'owned' &&
    record.epoch === epoch &&
    (record.carved.size === 0 || !record.carved.has(tag))
  )
}

/** Whether writes are held at `now`. A hold ends by itself; without an export there is none. */
export function isHeld(record: FenceRecord, now: number): boolean {
  return record.export !== 0 && now < record.holdUntil
}

/** Whether a write must be entered into the change log. */
export function logsChanges(record: FenceRecord): boolean {
  return record.export !== 0 || record.trace
}

/** The commit that a moved record testifies to. */
export function proofOf(record: FenceRecord): Proof | undefined {
  return record.state === 'moved'
    ? { shard: record.peer, epoch: record.epoch, ticket: record.ticket, seq: record.seq }
    : undefined
}

/**
 * Whether a sweep or purge of `segment` must spare a key with this tag, because another record governs it (I8): a
 * carved tag's record protects its keys from the bucket's sweeps, an owned or importing bucket that contains the tag
 * protects them from the tag's. A moved bucket protects nothing.
 */
export function isProtected(fences: BucketFences, segment: SegmentId, tag: string): boolean {
  if (!isTagSegment(segment)) return fences.record(`{${tag}}`).state !== 'none'
  const bucket = fences.record(bucketSegment(fences.bucketId))
  return (bucket.state === 'owned' || bucket.state === 'importing') && !bucket.carved.has(tag)
}

/**
 * What this shard can say about who governs a key, for a caller that was refused: the tag's own record, or the
 * bucket's where that contains the tag.
 */
export function governing(fences: BucketFences, tag: string): { segment: SegmentId; record: FenceRecord } {
  const home = bucketSegment(fences.bucketId)
  const bucket = fences.record(home)
  const own: SegmentId = `{${tag}}`
  const record = fences.record(own)
  if (record.state === 'owned' || record.state === 'importing') return { segment: own, record }
  if (bucket.state === 'owned' || bucket.state === 'importing')
    return bucket.carved.has(tag) ? { segment: own, record } : { segment: home, record: bucket }
  // Both are history here: the later one leads further.
  if (bucket.carved.has(tag) || record.epoch > bucket.epoch) return { segment: own, record }
  return { segment: home, record: bucket }
}
