import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { type FenceCommand, type FenceRecord, isProtected } from '../placement/fence'
import { decide } from '../placement/fence-table'
import { bucketSegment, isTagSegment, tagOfSegment } from '../placement/segment'
import type {
  Answer,
  Call,
  Changes,
  ChangesRequest,
  Entry,
  EraseAnswer,
  EraseRequest,
  FenceListing,
  IngestRequest,
  Page,
  ReadAs,
  ScanRequest,
  SegmentAt,
  ShardBinding,
  ShardStore,
  ShardSupports,
  StepAnswer,
} from '../shard-store'
import { answerCall, applyChange, isLive, mayWrite } from './client-operation'
import { entryDigest } from './entry-digest'
import type { Ledger, LedgerBucket, LedgerIdentity, StoredEntry } from './ledger'
import { RequestChecks } from './request-checks'

/** Expired entries that every write takes away: more than the one that it may add. */
const REAPED_BY_A_WRITE = 2
/** Buckets founded in one transaction. */
const FOUNDED_AT_ONCE = 4096

export interface LedgerStoreOptions {
  readonly supports: ShardSupports
  /** The store's own clock; without it that of the first binding. */
  readonly clock?: Clock
  /** Names a ledger that is bound for the first time. */
  readonly newIncarnation: () => string
}

/**
 * A shard store over a ledger: all of the protocol, none of the storage. Every method is one `read` or `write` of the
 * ledger, found to be permissible before it changes anything.
 */
export class LedgerStore implements ShardStore {
  readonly supports: ShardSupports
  readonly #ledger: Ledger
  readonly #options: LedgerStoreOptions
  readonly #checks: RequestChecks
  #clock: Clock | undefined
  /** How many have it open: each closes for itself alone. */
  #openers = 0

  /** What lies under a store of this kind, for inspections; undefined for any other. */
  static ledgerOf(store: ShardStore): Ledger | undefined {
    return #ledger in store ? (store as LedgerStore).#ledger : undefined
  }

  constructor(ledger: Ledger, options: LedgerStoreOptions) {
    this.#ledger = ledger
    this.#options = options
    this.supports = options.supports
    this.#checks = new RequestChecks(options.supports)
    this.#clock = options.clock
  }

  async open(binding: ShardBinding): Promise<{ incarnation: string }> {
    this.#openers++
    try {
      await this.#ledger.open()
      const { buckets, incarnation } = await this.#bind(binding)
      this.#checks.buckets = buckets
      this.#clock ??= binding.clock
      return { incarnation }
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #bind(binding: ShardBinding): Promise<LedgerIdentity> {
    const ledger = this.#ledger
    const { topologyId, shard, buckets } = binding
    const identity =
      (await ledger.read(() => ledger.identity)) ??
      (await ledger.write(() => {
        // Another process may have been faster.
        if (!ledger.identity)
          ledger.setIdentity({ topologyId, shard, buckets, incarnation: this.#options.newIncarnation() })
        return ledger.identity!
      }))
    for (const field of ['topologyId', 'shard', 'buckets'] as const)
      if (identity[field] !== binding[field])
        throw new ForeshardError(
          ErrorCode.SHARD_MISMATCH,
          `this store belongs to ${field} ${shown(identity[field])}, not to ${shown(binding[field])}; open it as what it is, or give an empty store`,
          { field, shard },
        )
    return identity
  }

  /** Closes it for one opener; the last one closes the ledger. What a closed store held is there when it is opened again. */
  async close(): Promise<void> {
    if (this.#openers === 0 || --this.#openers > 0) return
    await this.#ledger.close()
  }

  async execute(calls: readonly Call[]): Promise<Answer[]> {
    const clock = this.#ready()
    this.#checks.calls(calls)
    let writes = 0
    for (const call of calls) if (mayWrite(call)) writes++
    if (writes === 0) return this.#ledger.read(() => this.#answer(calls, clock))
    return this.#ledger.write(() => {
      const answers = this.#answer(calls, clock)
      this.#ledger.reap(clock.now(), writes * REAPED_BY_A_WRITE)
      return answers
    })
  }

  #answer(calls: readonly Call[], clock: Clock): Answer[] {
    const answers = new Array<Answer>(calls.length)
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!
      answers[i] = answerCall(this.#ledger.bucket(call.bucketId), call, clock)
    }
    return answers
  }

  async step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer> {
    const clock = this.#ready()
    this.#checks.step(at, command)
    return this.#ledger.write(() => this.#decide(this.#ledger.bucket(at.bucketId), at, command, clock))
  }

  #decide(bucket: LedgerBucket, at: SegmentAt, command: FenceCommand, clock: Clock): StepAnswer {
    const decision = decide(bucket, at.segment, command, clock.now())
    const record = { ...decision.record }
    if (decision.ok) applyChange(bucket, decision.change)
    return { ok: decision.ok, record }
  }

  async found(buckets: readonly number[]): Promise<void> {
    const clock = this.#ready()
    this.#checks.founding(buckets)
    for (let from = 0; from < buckets.length; from += FOUNDED_AT_ONCE)
      await this.#ledger.write(() => {
        for (const bucketId of buckets.slice(from, from + FOUNDED_AT_ONCE)) {
          const at = { segment: bucketSegment(bucketId), bucketId }
          this.#decide(this.#ledger.bucket(bucketId), at, { step: 'found' }, clock)
        }
      })
  }

  async fences(segments?: readonly SegmentAt[]): Promise<FenceListing[]> {
    this.#ready()
    this.#checks.segments(segments)
    return this.#ledger.read(() => {
      const listings: FenceListing[] = []
      const list = (bucket: LedgerBucket, at: SegmentAt, record: FenceRecord) =>
        listings.push({
          segment: at.segment,
          bucketId: at.bucketId,
          record: { ...record },
          bucketTicket: bucket.ticket,
        })
      if (segments) {
        for (const at of segments) {
          const bucket = this.#ledger.bucket(at.bucketId)
          list(bucket, at, bucket.record(at.segment))
        }
        return listings
      }
      for (const bucketId of this.#ledger.buckets()) {
        const bucket = this.#ledger.bucket(bucketId)
        const own = bucket.record(bucketSegment(bucketId))
        if (own.state !== 'none' || own.epoch > 0 || own.ticket > 0)
          list(bucket, { segment: bucketSegment(bucketId), bucketId }, own)
        for (const segment of bucket.tags()) list(bucket, { segment, bucketId }, bucket.record(segment))
      }
      return listings
    })
  }

  async scan(request: ScanRequest): Promise<Page> {
    const clock = this.#ready()
    this.#checks.scan(request)
    return this.#ledger.read(() => {
      const bucket = this.#ledger.bucket(request.bucketId)
      const record = bucket.record(request.segment)
      if (!mayRead(record, request.as)) return { ok: false as const, record: { ...record } }
      const entries: Entry[] = []
      const take = (entry: StoredEntry) => entries.push(toEntry(entry, request.want))
      if (request.keys) {
        for (const { key, tag } of request.keys) {
          if (!contains(request, record, tag)) continue
          const entry = bucket.get(key, tag)
          if (isLive(entry, clock)) take(entry)
        }
        return { ok: true as const, entries, seq: record.seq }
      }
      let room = request.maxBytes ?? Number.POSITIVE_INFINITY
      const next = bucket.walk(rangeOf(request, record), request.cursor, (entry) => {
        if (isLive(entry, clock)) {
          take(entry)
          room -= entry.value.byteLength
        }
        return entries.length < request.limit && room > 0
      })
      return { ok: true as const, entries, seq: record.seq, next }
    })
  }

  async changes(request: ChangesRequest): Promise<Changes> {
    const clock = this.#ready()
    this.#checks.changes(request)
    return this.#ledger.read(() => {
      const bucket = this.#ledger.bucket(request.bucketId)
      const record = bucket.record(request.segment)
      if (!mayRead(record, { role: 'source', ticket: request.ticket }))
        return { ok: false as const, record: { ...record } }
      const changes = bucket.logged(request.segment, request.after, request.limit).map((change) => {
        const entry = bucket.get(change.key, change.tag)
        return isLive(entry, clock) ? { ...change, entry: toEntry(entry, 'values') } : { ...change }
      })
      return { ok: true as const, changes, seq: record.seq }
    })
  }

  async ingest(request: IngestRequest): Promise<StepAnswer> {
    const clock = this.#ready()
    this.#checks.batch(request)
    for (const [i, { entry }] of request.changes.entries())
      if (entry?.format !== undefined)
        throw new ForeshardError(
          ErrorCode.NOT_SUPPORTED,
          `changes[${i}].entry has the format ${shown(entry.format)}, which this store cannot read`,
        )
    const { segment, epoch, ticket, batch } = request
    return this.#ledger.write(() => {
      const bucket = this.#ledger.bucket(request.bucketId)
      const now = clock.now()
      const decision = decide(bucket, segment, { step: 'ingest', epoch, ticket, batch }, now)
      const answer = { ok: decision.ok, record: { ...decision.record } }
      // Refused, or the repetition of a batch that was applied already: late duplicates undo newer batches.
      if (!decision.ok || decision.change.records.length === 0) return answer
      for (const { tag } of request.changes)
        if (!contains(request, decision.record, tag))
          throw invalid('changes', `hold a key of tag ${shown(tag)}, which ${segment} does not contain`)
      applyChange(bucket, decision.change)
      for (const { key, tag, entry } of request.changes) {
        if (entry && (entry.expiresAt === 0 || entry.expiresAt > now))
          bucket.put(key, tag, entry.value!, entry.version, entry.expiresAt)
        else bucket.delete(key, tag)
      }
      return answer
    })
  }

  async erase(request: EraseRequest): Promise<EraseAnswer> {
    const clock = this.#ready()
    this.#checks.erasure(request)
    const { segment } = request
    const command = (empty: boolean): FenceCommand =>
      request.step === 'sweep'
        ? { step: 'sweep', ticket: request.ticket, empty }
        : { step: 'purge', epoch: request.epoch }
    return this.#ledger.write(() => {
      const bucket = this.#ledger.bucket(request.bucketId)
      const decision = decide(bucket, segment, command(false), clock.now())
      if (!decision.ok) return { ok: false as const, record: { ...decision.record } }
      // A sweep that was finished before: what lies there now was ingested.
      if (request.step === 'sweep' && decision.record.loading)
        return { ok: true as const, deleted: 0, done: true, record: { ...decision.record } }

      const doomed: StoredEntry[] = []
      const range = {
        tag: tagOfSegment(segment),
        without: (tag: string) => isProtected(bucket, segment, tag),
      }
      let cursor: string | undefined
      do {
        cursor = bucket.walk(range, cursor, (entry) => doomed.push(entry) < request.limit)
      } while (cursor !== undefined && doomed.length < request.limit)
      for (const { key, tag } of doomed) bucket.delete(key, tag)
      const done = cursor === undefined
      const answer = this.#decide(bucket, request, command(done), clock)
      return { ok: true as const, deleted: doomed.length, done, record: answer.record }
    })
  }

  async size(): Promise<{ keys: number; bytes: number }> {
    this.#ready()
    return this.#ledger.read(() => this.#ledger.size())
  }

  #ready(): Clock {
    if (this.#openers === 0 || !this.#clock)
      throw new ForeshardError(ErrorCode.CLOSED, 'the store is not open; a router opens it and closes it')
    return this.#clock
  }
}

function mayRead(record: FenceRecord, as: ReadAs): boolean {
  if (as.role === 'owner') return record.state === 'owned' && record.epoch === as.epoch
  if (as.role === 'source') return record.state === 'owned' && as.ticket !== 0 && record.export === as.ticket
  return record.state === 'importing' && record.ticket === as.ticket
}

/** Whether the keys of a tag belong to the segment: a bucket contains all of its tags but those carved out. */
function contains(at: SegmentAt, record: FenceRecord, tag: string): boolean {
  return isTagSegment(at.segment) ? tagOfSegment(at.segment) === tag : !record.carved.has(tag)
}

function rangeOf(at: SegmentAt, record: FenceRecord) {
  if (isTagSegment(at.segment)) return { tag: tagOfSegment(at.segment)! }
  return record.carved.size === 0 ? {} : { without: (tag: string) => record.carved.has(tag) }
}

function toEntry(entry: StoredEntry, want: ScanRequest['want']): Entry {
  const { key, tag, version, expiresAt, value } = entry
  return want === 'values'
    ? { key, tag, version, expiresAt, value }
    : { key, tag, version, expiresAt, digest: entryDigest(key, value, version, expiresAt) }
}
