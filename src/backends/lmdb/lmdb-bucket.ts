import { invalid } from '../../errors'
import { type FenceRecord, NO_FENCE } from '../../placement/fence'
import { bucketSegment, type SegmentId, tagOfSegment, tagSegment } from '../../placement/segment'
import { decodeEntry, encodeEntry } from '../entry-row'
import type { LedgerBucket, LoggedChange, StoredEntry } from '../ledger'
import { decodeFence, encodeFence, tagOfFence, tailOfFence } from './fence-row'
import type { Records } from './lmdb-environment'
import {
  bucketKey,
  clearedLogKey,
  entryKey,
  expiryKey,
  justAfter,
  keyOfEntryKey,
  logIndexKey,
  logKey,
  prefixOf,
  readUInt64,
  tagFenceKey,
  tagHashOf,
  within,
} from './record-key'

/** Entries passed over before a walk pauses. */
const PASSED_AT_ONCE = 10_000
const NOTHING = Buffer.of(0)

interface Fence {
  readonly key: Buffer
  record: FenceRecord
  /** Of its change log; 0 where the segment has no record yet. */
  log: number
  tail: string
}

/** ticket, the segment whose export stands, and the number of the next log. */
interface BucketRow {
  ticket: number
  exporting: SegmentId | ''
  nextLog: number
}

/** One bucket as one step sees it: what was read is remembered until the step ends, and no longer. */
export class LmdbBucket implements LedgerBucket {
  readonly bucketId: number
  readonly #records: Records
  readonly #count: (keys: number, bytes: number) => void
  readonly #fences = new Map<SegmentId, Fence>()
  #row: BucketRow | undefined
  #last: { key: string; entry: StoredEntry | undefined } | undefined

  constructor(bucketId: number, records: Records, count: (keys: number, bytes: number) => void) {
    this.bucketId = bucketId
    this.#records = records
    this.#count = count
  }

  record(segment: SegmentId): FenceRecord {
    return this.#fence(segment).record
  }

  #fence(segment: SegmentId): Fence {
    let fence = this.#fences.get(segment)
    if (!fence) {
      const tag = tagOfSegment(segment)
      const key = tag === undefined ? bucketKey(2, this.bucketId) : tagFenceKey(this.bucketId, tag)
      // A bucket keeps its own segments, and says of all others that it has no record.
      const own = tag !== undefined || segment === bucketSegment(this.bucketId)
      const row = own ? this.#records.getBinaryFast(key) : undefined
      fence = { key, ...(row ? decodeFence(row) : { record: NO_FENCE, log: 0, tail: '' }) }
      this.#fences.set(segment, fence)
    }
    return fence
  }

  *tags(): Iterable<SegmentId> {
    const found: SegmentId[] = []
    for (const { value } of this.#records.getRange(within(prefixOf(3, this.bucketId))))
      found.push(tagSegment(tagOfFence(value)!))
    yield* found
  }

  putRecord(segment: SegmentId, record: FenceRecord): void {
    const fence = this.#fence(segment)
    fence.record = record
    fence.tail = tailOfFence(record, tagOfSegment(segment))
    if (fence.log === 0) fence.log = this.#takeLog()
    this.#putFence(fence)
  }

  putSeq(segment: SegmentId, seq: number): void {
    const fence = this.#fence(segment)
    fence.record = { ...fence.record, seq }
    this.#putFence(fence)
  }

  #putFence({ key, record, log, tail }: Fence): void {
    this.#records.put(key, encodeFence(record, log, tail))
  }

  get ticket(): number {
    return this.#bucketRow().ticket
  }

  get exporting(): SegmentId | '' {
    return this.#bucketRow().exporting
  }

  putTicket(ticket: number): void {
    this.#putBucketRow({ ticket })
  }

  putExporting(exporting: SegmentId | ''): void {
    this.#putBucketRow({ exporting })
  }

  #bucketRow(): BucketRow {
    if (!this.#row) {
      const row = this.#records.getBinary(bucketKey(1, this.bucketId))
      this.#row = row
        ? (JSON.parse(row.toString('utf8', 0, row.length)) as BucketRow)
        : { ticket: 0, exporting: '', nextLog: 1 }
    }
    return this.#row
  }

  #putBucketRow(change: Partial<BucketRow>): void {
    this.#row = { ...this.#bucketRow(), ...change }
    this.#records.put(bucketKey(1, this.bucketId), Buffer.from(JSON.stringify(this.#row)))
  }

  /** Numbers of logs are used once: what an ended one left behind is never read again. */
  #takeLog(): number {
    const { nextLog } = this.#bucketRow()
    this.#putBucketRow({ nextLog: nextLog + 1 })
    return nextLog
  }

  get(key: string, tag: string): StoredEntry | undefined {
    if (this.#last?.key === key) return this.#last.entry
    const row = this.#records.getBinaryFast(entryKey(this.bucketId, tagHashOf(tag), key))
    const entry = row && decodeEntry(key, row)
    this.#last = { key, entry }
    return entry
  }

  /** The entry of a record's key, as the index of expiries names it. */
  at(entryKey: Buffer): StoredEntry | undefined {
    const row = this.#records.getBinary(entryKey)
    return row && decodeEntry(keyOfEntryKey(entryKey), row)
  }

  put(key: string, tag: string, value: Uint8Array, version: number, expiresAt: number): void {
    const tagHash = tagHashOf(tag)
    const before = this.get(key, tag)
    if (before && before.expiresAt !== 0 && before.expiresAt !== expiresAt)
      this.#records.remove(expiryKey(before.expiresAt, this.bucketId, tagHash, key))
    const row = encodeEntry(key, tag, value, version, expiresAt)
    this.#records.put(entryKey(this.bucketId, tagHash, key), row)
    if (expiresAt !== 0) this.#records.put(expiryKey(expiresAt, this.bucketId, tagHash, key), NOTHING)
    this.#count(before ? 0 : 1, value.byteLength - (before?.value.byteLength ?? 0))
    this.#last = undefined
  }

  delete(key: string, tag: string): void {
    const before = this.get(key, tag)
    if (!before) return
    const tagHash = tagHashOf(tag)
    this.#records.remove(entryKey(this.bucketId, tagHash, key))
    if (before.expiresAt !== 0) this.#records.remove(expiryKey(before.expiresAt, this.bucketId, tagHash, key))
    this.#count(-1, -before.value.byteLength)
    this.#last = undefined
  }

  /** In the order of the records' keys; a cursor is the key of the last entry. */
  walk(
    { tag, without }: { tag?: string; without?: (tag: string) => boolean },
    cursor: string | undefined,
    visit: (entry: StoredEntry) => boolean,
  ): string | undefined {
    const range = within(prefixOf(4, this.bucketId, tag === undefined ? undefined : tagHashOf(tag)))
    if (cursor !== undefined) range.start = justAfter(this.#parseCursor(cursor))
    let passed = 0
    for (const { key: at, value: row } of this.#records.getRange(range)) {
      const entry = decodeEntry(keyOfEntryKey(at), row)
      const shown = (tag === undefined || entry.tag === tag) && !without?.(entry.tag)
      if (shown ? !visit(entry) : ++passed === PASSED_AT_ONCE) return at.toString('base64url')
    }
    return undefined
  }

  #parseCursor(cursor: string): Buffer {
    const at = Buffer.from(cursor, 'base64url')
    if (
      at.length < 9 ||
      at.toString('base64url') !== cursor ||
      !at.subarray(0, 5).equals(prefixOf(4, this.bucketId))
    )
      throw invalid('cursor', 'is not one that this store gave')
    return at
  }

  log(segment: SegmentId, seq: number, key: string, tag: string): void {
    const { log } = this.#fence(segment)
    const index = logIndexKey(this.bucketId, log, key)
    const before = this.#records.getBinary(index)
    const at = logKey(this.bucketId, log, seq)
    if (before) this.#records.remove(before)
    this.#records.put(at, Buffer.from(JSON.stringify(tag === key ? [key] : [key, tag])))
    this.#records.put(index, at)
  }

  logged(segment: SegmentId, after: number, limit: number): LoggedChange[] {
    const { log } = this.#fence(segment)
    const { end } = within(prefixOf(5, this.bucketId, log))
    const changes: LoggedChange[] = []
    for (const it of this.#records.getRange({
      start: logKey(this.bucketId, log, Math.max(0, after + 1)),
      end,
      limit,
    })) {
      const [key, tag = key] = JSON.parse(it.value.toString()) as [string, string?]
      changes.push({ seq: readUInt64(it.key, 9), key, tag })
    }
    return changes
  }

  clearLog(segment: SegmentId): void {
    const fence = this.#fence(segment)
    if (fence.log === 0 || isEmpty(this.#records, prefixOf(5, this.bucketId, fence.log))) return
    this.#records.put(clearedLogKey(this.bucketId, fence.log), NOTHING)
    fence.log = this.#takeLog()
    this.#putFence(fence)
  }
}

function isEmpty(records: Records, prefix: Buffer): boolean {
  for (const _ of records.getKeys({ ...within(prefix), limit: 1 })) return false
  return true
}
