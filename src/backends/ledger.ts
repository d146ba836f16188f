import type { BucketFences, FenceRecord } from '../placement/fence'
import type { SegmentId, ShardId } from '../placement/segment'

/**
 * What an embedded store keeps of one shard: fences, entries, change logs. Everything here is synchronous and called
 * only inside `read` or `write`; the protocol on top of it is ledger-store.ts, the same for every ledger.
 */
export interface Ledger {
  /** Runs `step` on one state of the ledger, not older than the call. */
  read<T>(step: () => T): T | Promise<T>
  /** Runs `step` as one atomic step: everything it changed is kept before the answer is given, or nothing is. */
  write<T>(step: () => T): T | Promise<T>
  readonly identity: LedgerIdentity | undefined
  setIdentity(identity: LedgerIdentity): void
  bucket(bucketId: number): LedgerBucket
  /** Buckets that have a record, of their own or of a tag. */
  buckets(): Iterable<number>
  /** Deletes up to `limit` entries that expired at `now` or before, and other remains that nobody can see. */
  reap(now: number, limit: number): void
  /** Entries and bytes of their values, those included that expired and are not yet reaped. */
  size(): { keys: number; bytes: number }
  open(): void | Promise<void>
  close(): void | Promise<void>
}

/** Whose data a ledger holds. Set once. */
export interface LedgerIdentity {
  readonly topologyId: string
  readonly shard: ShardId
  readonly buckets: number
  /** Differs between two ledgers, and so after one was lost. */
  readonly incarnation: string
}

/** An entry as the ledger keeps it, valid inside the step that read it; also when it has expired. */
export interface StoredEntry {
  readonly key: string
  readonly tag: string
  readonly value: Uint8Array
  readonly version: number
  /** 0: never. */
  readonly expiresAt: number
}

export interface LoggedChange {
  readonly seq: number
  readonly key: string
  readonly tag: string
}

/**
 * One bucket: its fences, and the entries of all its tags, carved out or not. A record is valid inside the step that
 * read it, because a ledger may count its `seq` in place: whoever hands it out copies it.
 */
export interface LedgerBucket extends BucketFences {
  putRecord(segment: SegmentId, record: FenceRecord): void
  putSeq(segment: SegmentId, seq: number): void
  putTicket(ticket: number): void
  putExporting(segment: SegmentId | ''): void

  get(key: string, tag: string): StoredEntry | undefined
  /** Keeps a copy of `value`. */
  put(key: string, tag: string, value: Uint8Array, version: number, expiresAt: number): void
  delete(key: string, tag: string): void
  /**
   * Shows entries to `visit` until it answers false, and says where to go on, or undefined at the end. Between two
   * walks entries may come and go: one that stays is shown exactly once, any other at most once. May pause earlier,
   * also without having shown anything. `visit` changes nothing.
   */
  walk(
    range: { readonly tag?: string; readonly without?: (tag: string) => boolean },
    cursor: string | undefined,
    visit: (entry: StoredEntry) => boolean,
  ): string | undefined

  /** Notes in the segment's log that the key changed; only its last change is kept. `seq` grows from call to call. */
  log(segment: SegmentId, seq: number, key: string, tag: string): void
  /** The oldest changes with a seq above `after`, ascending. */
  logged(segment: SegmentId, after: number, limit: number): LoggedChange[]
  /** Empties the log, at a cost that does not depend on its length. */
  clearLog(segment: SegmentId): void
}
