import { invalid } from '../../errors'
import { type FenceRecord, NO_FENCE } from '../../placement/fence'
import { bucketSegment, isTagSegment, type SegmentId } from '../../placement/segment'
import type { Ledger, LedgerBucket, LedgerIdentity, LoggedChange, StoredEntry } from '../ledger'
import { ChangeLog } from './change-log'
import { ExpiryQueue } from './expiry-queue'

/** Entries passed over before a walk pauses: a page stays short also where a tag's keys are few in a large bucket. */
const PASSED_AT_ONCE = 10_000

type Writable<T> = { -readonly [K in keyof T]: T[K] }

interface MemoryEntry extends Writable<StoredEntry> {
  /** Its place in the order of insertion; entries are walked by it. */
  readonly place: number
  gone: boolean
}

/** A shard in the memory of this process. A step is a synchronous block, and so atomic. */
export class MemoryLedger implements Ledger {
  readonly #buckets: MemoryBucket[] = []
  readonly #totals = new Totals()
  #identity: LedgerIdentity | undefined

  read<T>(step: () => T): T {
    return step()
  }

  write<T>(step: () => T): T {
    return step()
  }

  get identity(): LedgerIdentity | undefined {
    return this.#identity
  }

  setIdentity(identity: LedgerIdentity): void {
    this.#identity = identity
  }

  bucket(bucketId: number): MemoryBucket {
    let bucket = this.#buckets[bucketId]
    if (!bucket) {
      bucket = new MemoryBucket(bucketId, this.#totals)
      this.#buckets[bucketId] = bucket
    }
    return bucket
  }

  *buckets(): Iterable<number> {
    for (const id in this.#buckets) yield Number(id)
  }

  reap(now: number, limit: number): void {
    const { expiries } = this.#totals
    for (; limit > 0; limit--) {
      const first = expiries.peek()
      if (!first || first.at > now) break
      expiries.pop()
      const bucket = this.bucket(first.bucketId)
      if (bucket.get(first.key)?.expiresAt === first.at) bucket.delete(first.key)
    }
    if (expiries.length > 2 * this.#totals.expiring + 1024)
      expiries.compact((it) => this.bucket(it.bucketId).get(it.key)?.expiresAt === it.at)
  }

  size(): { keys: number; bytes: number } {
    return { keys: this.#totals.keys, bytes: this.#totals.bytes }
  }

  get expiriesRemembered(): number {
    return this.#totals.expiries.length
  }

  open(): void {}

  close(): void {}
}

/** What the buckets of one shard count together. */
class Totals {
  keys = 0
  bytes = 0
  /** Entries that have an expiry. */
  expiring = 0
  readonly expiries = new ExpiryQueue()
}

class MemoryBucket implements LedgerBucket {
  readonly bucketId: number
  ticket = 0
  exporting: SegmentId | '' = ''
  readonly #totals: Totals
  readonly #home: SegmentId
  #record: Writable<FenceRecord> | undefined
  #tags: Map<SegmentId, Writable<FenceRecord>> | undefined
  #logs: Map<SegmentId, ChangeLog> | undefined
  readonly #entries = new Map<string, MemoryEntry>()
  /** Ascending by place; what is gone is taken out when it is the half. */
  #order: MemoryEntry[] = []
  #places = 0

  constructor(bucketId: number, totals: Totals) {
    this.bucketId = bucketId
    this.#totals = totals
    this.#home = bucketSegment(bucketId)
  }

  record(segment: SegmentId): FenceRecord {
    if (segment === this.#home) return this.#record ?? NO_FENCE
    return this.#tags?.get(segment) ?? NO_FENCE
  }

  tags(): Iterable<SegmentId> {
    return this.#tags?.keys() ?? []
  }

  putRecord(segment: SegmentId, record: FenceRecord): void {
    // A copy of its own: seq is counted in place.
    const own = { ...record }
    if (!isTagSegment(segment)) this.#record = own
    else {
      this.#tags ??= new Map()
      this.#tags.set(segment, own)
    }
  }

  putSeq(segment: SegmentId, seq: number): void {
    const record = segment === this.#home ? this.#record : this.#tags?.get(segment)
    record!.seq = seq
  }

  putTicket(ticket: number): void {
    this.ticket = ticket
  }

  putExporting(segment: SegmentId | ''): void {
    this.exporting = segment
  }

  get(key: string): StoredEntry | undefined {
    return this.#entries.get(key)
  }

  put(key: string, tag: string, value: Uint8Array, version: number, expiresAt: number): void {
    const copy = Buffer.from(value)
    const entry = this.#entries.get(key)
    if (entry) {
      this.#count(entry, -1)
      entry.value = copy
      entry.version = version
      entry.expiresAt = expiresAt
      this.#count(entry, 1)
    } else {
      const fresh = { key, tag, value: copy, version, expiresAt, place: ++this.#places, gone: false }
      this.#entries.set(key, fresh)
      this.#order.push(fresh)
      this.#count(fresh, 1)
    }
    if (expiresAt !== 0) this.#totals.expiries.push({ at: expiresAt, bucketId: this.bucketId, key })
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    entry.gone = true
    this.#count(entry, -1)
    if (this.#order.length > 2 * this.#entries.size + 64) this.#order = this.#order.filter((it) => !it.gone)
  }

  #count(entry: MemoryEntry, sign: 1 | -1): void {
    this.#totals.keys += sign
    this.#totals.bytes += sign * entry.value.byteLength
    if (entry.expiresAt !== 0) this.#totals.expiring += sign
  }

  /** A cursor is the place of the last entry shown, and the last place there was at the beginning of the scan. */
  walk(
    { tag, without }: { tag?: string; without?: (tag: string) => boolean },
    cursor: string | undefined,
    visit: (entry: StoredEntry) => boolean,
  ): string | undefined {
    const [after, end] = cursor === undefined ? [0, this.#places] : parseCursor(cursor)
    let passed = 0
    for (let i = this.#indexAfter(after); i < this.#order.length; i++) {
      const entry = this.#order[i]!
      if (entry.place > end) return undefined
      const shown = !entry.gone && (tag === undefined || entry.tag === tag) && !without?.(entry.tag)
      if (shown ? !visit(entry) : ++passed === PASSED_AT_ONCE)
        return i + 1 < this.#order.length && entry.place < end ? `${entry.place}.${end}` : undefined
    }
    return undefined
  }

  #indexAfter(place: number): number {
    let low = 0
    let high = this.#order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#order[middle]!.place > place) high = middle
      else low = middle + 1
    }
    return low
  }

  log(segment: SegmentId, seq: number, key: string, tag: string): void {
    this.#logs ??= new Map()
    let log = this.#logs.get(segment)
    if (!log) {
      log = new ChangeLog()
      this.#logs.set(segment, log)
    }
    log.add(seq, key, tag)
  }

  logged(segment: SegmentId, after: number, limit: number): LoggedChange[] {
    return this.#logs?.get(segment)?.after(after, limit) ?? []
  }

  clearLog(segment: SegmentId): void {
    this.#logs?.delete(segment)
  }
}

function parseCursor(cursor: string): [number, number] {
  const found = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor)
  if (!found) throw invalid('cursor', 'is not one that this store gave')
  return [Number(found[1]), Number(found[2])]
}
