import type { Clock } from '../../clock'
import { ErrorCode, isForeshardError } from '../../errors'
import type { FenceCommand, FenceRecord } from '../../placement/fence'
import { decide } from '../../placement/fence-table'
import {
  bucketSegment,
  isTagSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
} from '../../placement/segment'
import type {
  Answer,
  Call,
  Changes,
  ChangesRequest,
  EraseRequest,
  FenceListing,
  IngestRequest,
  Page,
  ReadAs,
  Refusal,
  ScanRequest,
  SegmentAt,
  ShardStore,
} from '../../shard-store'
import { Chronicle, describe } from './chronicle'
import { type BucketMirror, FenceMirror } from './fence-mirror'
import { Truth } from './truth'

/**
 * Looks at the bare stores of a deployment, below all faults, after every atomic step: fences against the invariants of
 * docs/protocol.md and against the table, answers and copies against what was truly written. Its own looks are
 * part of the step: they are asked for in the same instant, stores answer in the order in which they were asked, and nobody
 * hears of a step before it was looked at, however long a store takes: whoever goes on from it finds the mirror up to date.
 */
export class Watch {
  readonly fences = new FenceMirror()
  checks = 0
  readonly #truth = new Truth()
  readonly #stores = new Map<ShardId, ShardStore>()
  readonly #clock: Clock
  readonly #chronicle: Chronicle

  constructor(clock: Clock, complain: (what: string) => void) {
    this.#clock = clock
    this.#chronicle = new Chronicle(clock, complain)
  }

  /** How often each row of the fence table was taken. */
  get rows(): Record<string, number> {
    return this.#chronicle.rows
  }

  store(shard: ShardId, store: ShardStore): ShardStore {
    this.#stores.set(shard, store)
    return {
      supports: store.supports,
      open: (binding) => store.open(binding),
      execute: (calls) => this.#execute(shard, store, calls),
      step: (at, command) => this.#step(shard, store, at, command),
      found: (buckets) => {
        const done = store.found(buckets)
        for (const bucketId of buckets)
          this.#look(shard, store, bucketId, bucketSegment(bucketId), { step: 'found' })
        return done
      },
      fences: (segments) => store.fences(segments),
      scan: (request) => this.#scan(shard, store, request),
      changes: (request) => {
        return this.#after(store.changes(request), (page) => this.#checkChanges(shard, request, page))
      },
      ingest: (request) => this.#ingest(shard, store, request),
      erase: (request) => this.#erase(shard, store, request),
      size: () => store.size(),
      close: () => store.close(),
    }
  }

  /** The epoch of a segment's record on a shard, 0 where there is none. */
  epochAt(shard: ShardId, segment: SegmentId): number {
    return this.fences.epochAt(shard, segment)
  }

  // --- client operations ---

  #execute(shard: ShardId, store: ShardStore, calls: readonly Call[]): Promise<Answer[]> {
    const answer = store.execute(calls)
    const activating = calls.filter((call) => call.proof && this.#record(shard, call).state === 'importing')
    const own = this.#after(answer, (answers) => {
      for (const [i, call] of calls.entries()) this.#answered(shard, call, answers[i]!)
    })
    for (const { segment, bucketId, epoch } of activating) {
      this.#look(shard, store, bucketId, segment)
      this.#compare(shard, { segment, bucketId }, { role: 'owner', epoch }, 'as it was activated')
    }
    return own
  }

  #answered(shard: ShardId, call: Call, answer: Answer): void {
    const { segment, bucketId, epoch, key, tag, proof } = call
    const bucket = this.fences.bucket(shard, bucketId)
    if (proof && bucket.record(segment).state === 'importing') {
      const decision = decide(bucket, segment, { step: 'activate', proof }, this.#clock.now())
      if (decision.ok) {
        this.#chronicle.took(
          shard,
          bucketId,
          segment,
          { step: 'activate', proof },
          decision.row,
          decision.record,
        )
        bucket.put(segment, decision.record)
      }
    }
    const record = bucket.record(segment)
    const owns = record.state === 'owned' && record.epoch === epoch && !record.carved.has(tag)
    const what = `${call.operation.kind} ${key} as ${segment} @ ${epoch}`
    if (!answer.ok) {
      this.#refused(shard, bucketId, what, owns, record, answer)
      return
    }
    this.checks++
    if (!owns) {
      this.#chronicle.problem(
        bucketId,
        `I1: ${shard} served ${what}, and has that ${record.state} @ ${record.epoch}`,
      )
      return
    }
    const wrong = this.#truth.carriedOut(call, answer, this.#clock.now())
    if (wrong) this.#chronicle.problem(bucketId, `I3: ${shard}: ${wrong}`)
    if (answer.seq > record.seq) {
      bucket.put(segment, { ...record, seq: answer.seq })
      this.#chronicle.tell(bucketId, `${shard}: ${what}, seq ${answer.seq}`)
    }
  }

  #refused(
    shard: ShardId,
    bucketId: number,
    what: string,
    owns: boolean,
    record: FenceRecord,
    { reason }: Refusal,
  ): void {
    if (reason === 'elsewhere') {
      if (owns) this.#chronicle.problem(bucketId, `I7: ${shard} owns it and refused ${what}`)
    } else if (!owns || record.export === 0 || this.#clock.now() >= record.holdUntil)
      this.#chronicle.problem(bucketId, `I7: ${shard} held ${what} back without a hold`)
  }

  // --- steps of migrators ---

  #step(shard: ShardId, store: ShardStore, at: SegmentAt, command: FenceCommand) {
    const { segment, bucketId } = at
    const before = this.#record(shard, at)
    const answer = store.step(at, command)
    const look = this.#look(shard, store, bucketId, segment, command, answer)
    // The commit: from now on the target's copy is all there is.
    if (command.step === 'cutover' && before.state === 'owned' && before.export === command.ticket)
      this.#compare(before.peer, at, { role: 'target', ticket: command.ticket }, 'as the handoff committed')
    // What was retained is a base to build on.
    if (command.step === 'prepare' && before.state === 'moved' && command.base !== undefined)
      this.#compare(shard, at, { role: 'target', ticket: command.ticket }, 'that was kept', command.base)
    if (command.step === 'activate' && before.state === 'importing')
      this.#compare(shard, at, { role: 'owner', epoch: command.proof.epoch }, 'as it was activated')
    return this.#heldBack(answer, look)
  }

  #ingest(shard: ShardId, store: ShardStore, request: IngestRequest) {
    const { segment, bucketId, epoch, ticket, batch } = request
    const { state, epoch: now } = this.#record(shard, request)
    const committed = this.fences.isCommitted(shard, bucketId, segment)
    const answer = store.ingest(request)
    const step = { step: 'ingest', epoch, ticket, batch } as const
    const look = this.#look(shard, store, bucketId, segment, step, answer)
    if (state === 'owned') this.#compare(shard, request, { role: 'owner', epoch: now }, 'after a late batch')
    if (committed) this.#compare(shard, request, { role: 'target', ticket }, 'after a late batch')
    return this.#heldBack(answer, look)
  }

  /** Afterwards nothing is gone that a live record governs (I8). */
  #erase(shard: ShardId, store: ShardStore, request: EraseRequest) {
    const { segment, bucketId } = request
    const answer = store.erase(request)
    const step: FenceCommand =
      request.step === 'sweep'
        ? { step: 'sweep', ticket: request.ticket, empty: false }
        : { step: 'purge', epoch: request.epoch }
    const look = this.#look(shard, store, bucketId, segment, step, answer)
    for (const [other, record] of this.fences.bucket(shard, bucketId).records) {
      const at = { segment: other, bucketId }
      const when = `after a ${request.step} of ${segment}`
      if (record.state === 'owned') this.#compare(shard, at, { role: 'owner', epoch: record.epoch }, when)
      else if (this.fences.isCommitted(shard, bucketId, other))
        this.#compare(shard, at, { role: 'target', ticket: record.ticket }, when)
    }
    return this.#heldBack(answer, look)
  }

  /** Nothing may build on a copy of which keys are gone. */
  #checkSpoiled(shard: ShardId, bucketId: number, segment: SegmentId): void {
    const tag = tagOfSegment(segment)
    for (const [other, { state, intact, carved }] of this.fences.bucket(shard, bucketId).records) {
      const held = other === segment || (tag !== undefined && !isTagSegment(other) && !carved.has(tag))
      if (state === 'moved' && intact && held)
        this.#chronicle.problem(
          bucketId,
          `the copy of ${other} on ${shard} counts as intact, and keys of it were deleted`,
        )
    }
  }

  // --- what is read for a copy ---

  #scan(shard: ShardId, store: ShardStore, request: ScanRequest): Promise<Page> {
    return this.#after(store.scan(request), (page) => {
      if (!page.ok || request.as.role === 'target') return
      this.checks++
      for (const entry of page.entries) {
        const wrong = this.#truth.differs(entry, this.#clock.now())
        if (wrong)
          this.#chronicle.problem(request.bucketId, `I3: ${shard}, which owns ${request.segment}: ${wrong}`)
      }
    })
  }

  #checkChanges(shard: ShardId, request: ChangesRequest, answer: Changes): void {
    if (!answer.ok) return
    this.checks++
    const { segment, bucketId, after, limit } = request
    const { changes } = answer
    const complain = (what: string) =>
      this.#chronicle.problem(bucketId, `I3: the change log of ${segment} on ${shard}: ${what}`)
    const now = this.#clock.now()
    const told = new Set<string>()
    for (const { key, entry } of changes) {
      told.add(key)
      const wrong = entry ? this.#truth.differs(entry, now) : undefined
      if (wrong) complain(wrong)
      else if (!entry && this.#truth.has(key, now)) complain(`${key} is told as deleted, and is there`)
    }
    // Of a full page only what lies before its end can be missing.
    const until = changes.length < limit ? Number.POSITIVE_INFINITY : changes.at(-1)!.seq
    const { carved } = this.#record(shard, request)
    const untold = this.#truth.untold(segment, bucketId, carved, told, after, until)
    if (untold) complain(untold)
  }

  // --- looks ---

  /** Reads the fences of a bucket in the instant after a step, and checks them once the step is answered. */
  #look(
    shard: ShardId,
    store: ShardStore,
    bucketId: number,
    segment: SegmentId,
    command?: FenceCommand,
    answer?: Promise<{ ok: boolean; deleted?: number }>,
  ): Promise<void> {
    let ok: boolean | undefined
    let deleted = 0
    answer?.then(
      (it) => {
        ok = it.ok
        deleted = it.deleted ?? 0
      },
      () => {},
    )
    const looked = store.fences(this.fences.segments(bucketId, segment))
    const check = (listings: readonly FenceListing[]) => {
      this.checks++
      const bucket = this.fences.bucket(shard, bucketId)
      if (command) this.#judge(shard, bucket, segment, command, ok)
      const before = bucket.record(segment)
      const back = bucket.take(listings)
      const { epoch, state } = bucket.record(segment)
      if (ok && command && 'ticket' in command && bucket.ticket < command.ticket)
        this.#chronicle.problem(
          bucketId,
          `I6: ${shard} granted ${describe(command)} of ${segment} and forgot its ticket`,
        )
      if (command?.step === 'split' && epoch > before.epoch) this.#truth.carve(segment, bucketId)
      if (command?.step === 'merge' && state !== before.state) this.#truth.fold(segment, bucketId)
      for (const what of back) this.#chronicle.problem(bucketId, `I6: on ${shard} ${what}`)
      for (const [other, { state, seq }] of bucket.records)
        if (state === 'owned' && seq !== this.#truth.seq(other))
          this.#chronicle.problem(
            bucketId,
            `I3: ${shard} owns ${other} at seq ${seq}, after ${this.#truth.seq(other)} writes`,
          )
      if (deleted > 0) this.#checkSpoiled(shard, bucketId, segment)
      const wrong = this.fences.contradiction(bucketId)
      if (wrong) this.#chronicle.problem(bucketId, wrong)
    }
    return looked.then(check).catch((error) => this.#failed(error))
  }

  /** The same answer, once the look at what it did is over. */
  #heldBack<T>(answer: Promise<T>, look: Promise<void>): Promise<T> {
    return answer.finally(() => look)
  }

  /** Whether the shard granted a step that the table grants, on the fences as they were before. */
  #judge(
    shard: ShardId,
    bucket: BucketMirror,
    segment: SegmentId,
    command: FenceCommand,
    ok: boolean | undefined,
  ): void {
    const decision = decide(bucket, segment, command, this.#clock.now())
    if (ok !== undefined && ok !== decision.ok)
      this.#chronicle.problem(
        bucket.bucketId,
        `${shard} ${ok ? 'granted' : 'refused'} ${command.step} of ${segment}, against the table: it is ${decision.record.state} @ ${decision.record.epoch} there`,
      )
    if (decision.ok)
      this.#chronicle.took(shard, bucket.bucketId, segment, command, decision.row, decision.record)
    else this.#chronicle.tell(bucket.bucketId, `${shard}: refused ${describe(command)} of ${segment}`)
  }

  /** Reads a segment in the instant after a step: it must be all that was ever written and not deleted. */
  #compare(shard: ShardId, at: SegmentAt, as: ReadAs, when: string, base?: number): void {
    const store = this.#stores.get(shard)
    if (!store) return
    const { segment, bucketId } = at
    const check = (page: Page) => {
      // It is not what it was any more: another step came between the look before and this one.
      if (!page.ok) return
      const isBase = base !== undefined && this.#record(shard, at).kept
      if (as.role === 'target' && !isBase && !this.fences.isCommitted(shard, bucketId, segment)) return
      this.checks++
      const { carved } = this.#record(shard, at)
      const now = this.#clock.now()
      const wrong = this.#truth.difference(
        segment,
        bucketId,
        carved,
        page.entries,
        page.next === undefined,
        now,
        base,
      )
      if (wrong) this.#chronicle.problem(bucketId, `I3: the copy of ${segment} on ${shard} ${when}: ${wrong}`)
    }
    store
      .scan({ segment, bucketId, as, want: 'values', limit: 10_000 })
      .then(check)
      .catch((error) => this.#failed(error))
  }

  /** A request that comes when everybody has closed the store is refused, and so is the look at what it did. */
  #failed(error: Error): void {
    if (!isForeshardError(error, ErrorCode.CLOSED)) this.#chronicle.failed(error)
  }

  #record(shard: ShardId, { segment, bucketId }: SegmentAt): FenceRecord {
    return this.fences.bucket(shard, bucketId).record(segment)
  }

  /** The same answer, after it was looked at, before anybody else sees it. */
  #after<T>(answer: Promise<T>, look: (answer: T) => void): Promise<T> {
    return answer.then((it) => {
      look(it)
      return it
    })
  }
}
