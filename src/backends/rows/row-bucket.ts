import { invalid } from '../../errors'
import { type FenceRecord, NO_FENCE } from '../../placement/fence'
import { bucketSegment, type SegmentId } from '../../placement/segment'
import { decodeEntry, encodeEntry } from '../entry-row'
import type { LedgerBucket, LoggedChange, StoredEntry } from '../ledger'
import { RowList } from './row-list'
import { decodeJson, encodeJson, type RowTable } from './row-table'

/** Entries passed over before a walk pauses. */
const PASSED_AT_ONCE = 10_000
const PLACE_BYTES = 8

interface Head {
  readonly ticket: number
  readonly exporting: SegmentId | ''
  readonly nextLog: number
  /** Carved tags that have a record, as segments. */
  readonly tags: ReadonlySet<SegmentId>
}

interface Fence {
  readonly record: FenceRecord
  /** Of its change log. */
  readonly log: number
}

interface PlacedEntry extends StoredEntry {
  /** In the order of insertion; entries are walked by it. */
  readonly place: number
}

/** Key, tag, and when it expires: enough to pass it over or take it away. */
type Listed = readonly [key: string, tag: string, expiresAt: number]
type Logged = readonly [key: string, tag: string]

export interface BucketKeeper {
  readonly table: RowTable
  /** A bucket gets its first record. */
  enter(bucketId: number): void
  count(keys: number, bytes: number): void
  /** A log is read no more. */
  leave(bucketId: number, log: number): void
}

const NO_HEAD: Head = { ticket: 0, exporting: '', nextLog: 1, tags: new Set() }

/** One bucket in rows: `b` its head, `f` its fences, `e` entries, `o` their order, `l` logs, `i` where a key is in its log. */
export class RowBucket implements LedgerBucket {
  readonly bucketId: number
  readonly #home: SegmentId
  readonly #keeper: BucketKeeper
  readonly #table: RowTable
  readonly #order: RowList<Listed>

  constructor(bucketId: number, keeper: BucketKeeper) {
    this.bucketId = bucketId
    this.#home = bucketSegment(bucketId)
    this.#keeper = keeper
    this.#table = keeper.table
    this.#order = new RowList(this.#table, `o${bucketId}`)
  }

  get ticket(): number {
    return this.#head().ticket
  }

  get exporting(): SegmentId | '' {
    return this.#head().exporting
  }

  putTicket(ticket: number): void {
    this.#putHead({ ticket })
  }

  putExporting(exporting: SegmentId | ''): void {
    this.#putHead({ exporting })
  }

  tags(): Iterable<SegmentId> {
    return this.#head().tags
  }

  record(segment: SegmentId): FenceRecord {
    return this.#fence(segment)?.record ?? NO_FENCE
  }

  putRecord(segment: SegmentId, record: FenceRecord): void {
    const known = this.#fence(segment)
    if (!known) {
      this.#keeper.enter(this.bucketId)
      if (segment !== this.#home) this.#putHead({ tags: new Set([...this.#head().tags, segment]) })
    }
    this.#putFence(segment, { record: { ...record }, log: known?.log ?? this.#takeLog() })
  }

  putSeq(segment: SegmentId, seq: number): void {
    const { record, log } = this.#fence(segment)!
    this.#putFence(segment, { record: { ...record, seq }, log })
  }

  get(key: string): StoredEntry | undefined {
    return this.#entry(key)
  }

  put(key: string, tag: string, value: Uint8Array, version: number, expiresAt: number): void {
    const before = this.#entry(key)
    const place = before?.place ?? this.#order.last + 1
    if (before?.expiresAt !== expiresAt) this.#order.put(place, [key, tag, expiresAt])
    const entry: PlacedEntry = { key, tag, value: Buffer.from(value), version, expiresAt, place }
    this.#table.write(this.#entryRow(key), entry, encodePlaced)
    this.#keeper.count(before ? 0 : 1, value.byteLength - (before?.value.byteLength ?? 0))
  }

  delete(key: string): void {
    const before = this.#entry(key)
    if (!before) return
    this.#order.remove(before.place)
    this.#table.write(this.#entryRow(key), undefined, encodePlaced)
    this.#keeper.count(-1, -before.value.byteLength)
  }

  /** A cursor is the place of the last entry shown, and the last place there was at the beginning of the scan. */
  walk(
    { tag, without }: { tag?: string; without?: (tag: string) => boolean },
    cursor: string | undefined,
    visit: (entry: StoredEntry) => boolean,
  ): string | undefined {
    const [after, end] = cursor === undefined ? [0, this.#order.last] : parseCursor(cursor)
    let passed = 0
    for (const items of this.#order.after(after)) {
      const shown = items.filter(([, [, its]]) => (tag === undefined || its === tag) && !without?.(its))
      this.#table.want(shown.map(([, [key]]) => this.#entryRow(key)))
      for (const [place, [key]] of shown) {
        if (place > end) return undefined
        if (!visit(this.#entry(key)!)) return place < end ? `${place}.${end}` : undefined
      }
      passed += items.length - shown.length
      const last = items.at(-1)![0]
      if (last >= end) return undefined
      if (passed >= PASSED_AT_ONCE) return `${last}.${end}`
    }
    return undefined
  }

  /** Deletes what expired among the few entries after this place; answers the last of them, undefined at the end. */
  reap(now: number, after: number): number | undefined {
    for (const items of this.#order.after(after)) {
      const expired = items.filter(([, [, , expiresAt]]) => expiresAt !== 0 && expiresAt <= now)
      this.#table.want(expired.map(([, [key]]) => this.#entryRow(key)))
      for (const [, [key]] of expired) this.delete(key)
      return items.at(-1)![0]
    }
    return undefined
  }

  log(segment: SegmentId, seq: number, key: string, tag: string): void {
    const { log } = this.#fence(segment)!
    const list = this.#logOf(log)
    const index = this.#indexRow(log, key)
    const before = this.#table.read<number>(index, decodeJson)
    if (before !== undefined) list.remove(before)
    list.put(seq, [key, tag])
    this.#table.write(index, seq, encodeJson)
  }

  logged(segment: SegmentId, after: number, limit: number): LoggedChange[] {
    const log = this.#fence(segment)?.log
    const changes: LoggedChange[] = []
    if (log === undefined) return changes
    for (const items of this.#logOf(log).after(after)) {
      for (const [seq, [key, tag]] of items) {
        if (changes.length === limit) break
        changes.push({ seq, key, tag })
      }
      if (changes.length === limit) break
    }
    // Whoever reads changes reads their entries too.
    this.#table.want(changes.map(({ key }) => this.#entryRow(key)))
    return changes
  }

  clearLog(segment: SegmentId): void {
    const fence = this.#fence(segment)
    if (!fence || this.#logOf(fence.log).last === 0) return
    this.#keeper.leave(this.bucketId, fence.log)
    this.#putFence(segment, { record: fence.record, log: this.#takeLog() })
  }

  /** Takes away some rows of a log that was left; true when nothing is left of it. */
  eraseLog(log: number): boolean {
    const items = this.#logOf(log).takeSome()
    for (const [key] of items ?? []) this.#table.write(this.#indexRow(log, key), undefined, encodeJson)
    return items === undefined
  }

  #logOf(log: number): RowList<Logged> {
    return new RowList(this.#table, `l${this.bucketId}.${log}`)
  }

  /** Numbers of logs are used once. */
  #takeLog(): number {
    const { nextLog } = this.#head()
    this.#putHead({ nextLog: nextLog + 1 })
    return nextLog
  }

  #head(): Head {
    return this.#table.read(`b${this.bucketId}`, decodeHead) ?? NO_HEAD
  }

  #putHead(change: Partial<Head>): void {
    this.#table.write(`b${this.bucketId}`, { ...this.#head(), ...change }, encodeHead)
  }

  #fence(segment: SegmentId): Fence | undefined {
    // A bucket keeps its own segments, and says of all others that it has no record.
    if (segment !== this.#home && !this.#head().tags.has(segment)) return undefined
    return this.#table.read(this.#fenceRow(segment), decodeFence)
  }

  #putFence(segment: SegmentId, fence: Fence): void {
    this.#table.write(this.#fenceRow(segment), fence, encodeFence)
  }

  #fenceRow(segment: SegmentId): string {
    return segment === this.#home ? `f${this.bucketId}` : `f${this.bucketId}${segment}`
  }

  #entry(key: string): PlacedEntry | undefined {
    return this.#table.read(this.#entryRow(key), (row) => decodePlaced(key, row))
  }

  #entryRow(key: string): string {
    return `e${this.bucketId}:${key}`
  }

  #indexRow(log: number, key: string): string {
    return `i${this.bucketId}.${log}:${key}`
  }
}

/** The place, in 8 bytes, before the entry. */
function encodePlaced({ key, tag, value, version, expiresAt, place }: PlacedEntry): Uint8Array {
  const at = Buffer.allocUnsafe(PLACE_BYTES)
  at.writeDoubleLE(place)
  return Buffer.concat([at, encodeEntry(key, tag, value, version, expiresAt)])
}

function decodePlaced(key: string, row: Uint8Array): PlacedEntry {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength)
  return { ...decodeEntry(key, bytes.subarray(PLACE_BYTES)), place: bytes.readDoubleLE(0) }
}

function encodeHead({ ticket, exporting, nextLog, tags }: Head): Uint8Array {
  return encodeJson([ticket, exporting, nextLog, ...tags])
}

function decodeHead(row: Uint8Array): Head {
  const [ticket, exporting, nextLog, ...tags] =
    decodeJson<[number, SegmentId | '', number, ...SegmentId[]]>(row)
  return { ticket, exporting, nextLog, tags: new Set(tags) }
}

function encodeFence({ record, log }: Fence): Uint8Array {
  return encodeJson({ log, ...record, carved: [...record.carved] })
}

function decodeFence(row: Uint8Array): Fence {
  const { log, carved, ...record } = decodeJson<Fence & Omit<FenceRecord, 'carved'> & { carved: string[] }>(
    row,
  )
  return { log, record: { ...record, carved: new Set(carved) } as FenceRecord }
}

function parseCursor(cursor: string): [number, number] {
  const found = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor)
  if (!found) throw invalid('cursor', 'is not one that this store gave')
  return [Number(found[1]), Number(found[2])]
}
