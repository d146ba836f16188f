import { seededRandom } from '../../src/clock'
import {
  type BucketFences,
  type FenceCommand,
  type FenceRecord,
  isHeld,
  isProtected,
  logsChanges,
  NO_FENCE,
  type Proof,
  proofOf,
  serves,
} from '../../src/placement/fence'
import { decide } from '../../src/placement/fence-table'
import type { SegmentId } from '../../src/placement/segment'

/**
 * A random walk through the fence table, with the network and crash rules of docs/protocol/handoff.pml and split.pml,
 * and what neither model has: retained data, traces and carved tags together, on three shards.
 *
 * One bucket, two keys: `plain` is a key of the bucket, `tagged` one of tag x, which is carved out, moved and merged.
 * Every request a migrator ever sent stays in a bag and may arrive again at any later moment. Clients believe any
 * segment and epoch that ever was, on any shard.
 */

const BUCKET = 0
const B: SegmentId = '#0'
const X: SegmentId = '{x}'
const KEYS = ['plain', 'tagged'] as const
type Key = (typeof KEYS)[number]
const tagOf = (key: Key) => (key === 'tagged' ? 'x' : 'p')
const LEFTOVER = -1
const SEGMENTS = [B, X] as const

class Shard implements BucketFences {
  readonly bucketId = BUCKET
  ticket = 0
  exporting: SegmentId | '' = ''
  readonly records = new Map<SegmentId, FenceRecord>()
  readonly data = new Map<Key, { value: number; version: number }>()
  readonly logs = new Map<SegmentId, Map<Key, number>>([
    [B, new Map()],
    [X, new Map()],
  ])

  constructor(readonly id: string) {}

  record(segment: SegmentId): FenceRecord {
    return this.records.get(segment) ?? NO_FENCE
  }

  *tags(): Iterable<SegmentId> {
    if (this.records.has(X)) yield X
  }

  /** The keys that a segment has here, as its own record sees it. */
  keysOf(segment: SegmentId): Key[] {
    if (segment === X) return ['tagged']
    return this.record(B).carved.has('x') ? ['plain'] : ['plain', 'tagged']
  }
}

type Batch = readonly { key: Key; entry?: { value: number; version: number } }[]
type Request = { shard: number; segment: SegmentId } & (
  | { command: Exclude<FenceCommand, { step: 'ingest' | 'sweep' }>; data?: never }
  | { command: Extract<FenceCommand, { step: 'ingest' }>; data: Batch }
  | { command: { step: 'sweep'; ticket: number }; data?: never }
)
type Reply = { ok: boolean; record: FenceRecord }
/** A migrator asks for one step at a time and is told the reply, or that none came. */
type Migrator = Generator<Request, void, Reply | 'no reply'>

export interface WalkResult {
  steps: number
  commits: number
  writes: number
  kept: number
  broken: string | undefined
  story: string[]
}

export { KEYS, type Key, type Request, SEGMENTS, Shard }

export class Walk {
  readonly shards = ['a', 'b', 'c'].map((id) => new Shard(id))
  readonly truth = new Map<Key, number>()
  /** Shards that serve nobody and answer nothing, by their place. */
  readonly suspended = new Set<number>()
  readonly #random
  readonly #bag: Request[] = []
  readonly #proofs: { segment: SegmentId; proof: Proof }[] = []
  readonly #beliefs: { segment: SegmentId; epoch: number }[] = [{ segment: B, epoch: 1 }]
  #migrators: Migrator[] = []
  #replies = new Map<Migrator, Reply | 'no reply' | undefined>()
  #ticket = 0
  #now = 0
  #value = 10
  readonly #story: string[] = []
  result: WalkResult = { steps: 0, commits: 0, writes: 0, kept: 0, broken: undefined, story: this.#story }

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.shards[0]!.records.set(B, { ...NO_FENCE, state: 'owned', epoch: 1 })
    KEYS.forEach((key, i) => {
      this.truth.set(key, i + 1)
      this.shards[0]!.data.set(key, { value: i + 1, version: 0 })
      for (const shard of this.shards.slice(1)) shard.data.set(key, { value: LEFTOVER, version: 0 })
    })
  }

  run(steps: number): WalkResult {
    try {
      this.live(steps)
      this.#settle()
    } catch (error) {
      this.result.broken = (error as Error).message
    }
    return this.result
  }

  /** So many steps, each of which keeps the invariants, or throws. */
  live(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.#step()
      this.result.steps++
      this.#check()
    }
  }

  /** A ticket that nobody has. */
  drawTicket(): number {
    return ++this.#ticket
  }

  /** One request from outside the walk, which may arrive again like any other. */
  send(request: Request): Reply {
    this.#bag.push(request)
    return this.#deliver(request, 'rescue')
  }

  /** Who serves a key: one shard, or nobody while a commit is not yet activated. */
  ownersOf(key: Key) {
    return this.#owners(key)
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!
  }

  #step(): void {
    const roll = this.#random()
    if (roll < 0.08 && this.#migrators.length < 3) this.#migrators.push(this.#newMigrator())
    else if (roll < 0.6 && this.#migrators.length) this.#advance(this.#pick(this.#migrators))
    else if (roll < 0.68 && this.#bag.length) this.#deliver(this.#pick(this.#bag), 'again')
    else if (roll < 0.72 && this.#proofs.length) this.#activateByRouter()
    else if (roll < 0.74) this.#now += 40
    else if (roll < 0.76) this.#endGrace()
    else this.#client()
  }

  // --- the shard: one atomic step ---

  #deliver(request: Request, note = ''): Reply {
    const shard = this.shards[request.shard]!
    const { segment } = request
    if (this.suspended.has(request.shard) && note !== 'rescue') return { ok: false, record: NO_FENCE }
    let command = request.command as FenceCommand
    if (command.step === 'sweep') command = { ...command, empty: this.#erasable(shard, segment).length === 0 }
    const decision = decide(shard, segment, command, this.#now)
    if (!decision.ok) return decision
    const repeat = decision.row.guard.startsWith('repeat')
    if (!repeat) this.#tell(`${shard.id}: ${command.step} ${segment} ${describeCommand(command)} ${note}`)
    const before = new Map(shard.records)
    for (const [at, record] of decision.change.records) shard.records.set(at, record)
    if (decision.change.ticket !== undefined) {
      if (decision.change.ticket < shard.ticket) throw new Error('I6: a bucket ticket went back')
      shard.ticket = decision.change.ticket
    }
    if (decision.change.exporting !== undefined) shard.exporting = decision.change.exporting
    for (const at of decision.change.clearLogs ?? []) shard.logs.get(at)!.clear()
    for (const [at, record] of shard.records) {
      const old = before.get(at)
      if (old && (record.epoch < old.epoch || record.ticket < old.ticket || record.seq < old.seq))
        throw new Error(`I6: ${at} went back on ${shard.id}`)
      if (record.state === 'owned') this.#beliefs.push({ segment: at, epoch: record.epoch })
    }
    if (this.#beliefs.length > 60) this.#beliefs.splice(0, 20)
    if (!repeat) this.#effects(shard, segment, command, request)
    return decision
  }

  #effects(shard: Shard, segment: SegmentId, command: FenceCommand, request: Request): void {
    if (command.step === 'ingest')
      for (const { key, entry } of request.data!) {
        if (entry) shard.data.set(key, { ...entry })
        else shard.data.delete(key)
      }
    if ((command.step === 'sweep' && !command.empty) || command.step === 'purge') {
      const [key] = this.#erasable(shard, segment)
      if (key) shard.data.delete(key)
    }
    if (command.step === 'cutover') {
      this.result.commits++
      this.#proofs.push({ segment, proof: proofOf(shard.record(segment))! })
    }
    if (command.step === 'prepare' && shard.record(segment).kept) this.result.kept++
  }

  #erasable(shard: Shard, segment: SegmentId): Key[] {
    const inside: readonly Key[] = segment === X ? ['tagged'] : KEYS
    return inside.filter((key) => shard.data.has(key) && !isProtected(shard, segment, tagOf(key)))
  }

  // --- clients and routers ---

  #client(): void {
    const shard = this.#pick(this.shards)
    const key = this.#pick(KEYS)
    const belief = this.#pick(this.#beliefs)
    const record = shard.record(belief.segment)
    if (this.suspended.has(this.shards.indexOf(shard))) return
    if (belief.segment === X && key !== 'tagged') return
    if (!serves(record, belief.epoch, tagOf(key))) return
    if (this.#random() < 0.4) {
      const seen = shard.data.get(key)?.value
      if (seen !== this.truth.get(key)) throw new Error(`a read of ${key} at ${shard.id} was stale`)
      return
    }
    if (isHeld(record, this.#now)) return
    const seq = record.seq + 1
    shard.records.set(belief.segment, { ...record, seq })
    if (this.#random() < 0.3) {
      shard.data.delete(key)
      this.truth.delete(key)
    } else {
      shard.data.set(key, { value: ++this.#value, version: seq })
      this.truth.set(key, this.#value)
    }
    if (logsChanges(record)) shard.logs.get(belief.segment)!.set(key, seq)
    this.result.writes++
    this.#tell(
      `client: ${key} = ${this.truth.get(key) ?? 'deleted'} at ${shard.id} through ${belief.segment}, seq ${seq}`,
    )
  }

  #activateByRouter(): void {
    const { segment, proof } = this.#pick(this.#proofs)
    const shard = this.shards.findIndex((it) => it.id === proof.shard)
    this.#deliver({ shard, segment, command: { step: 'activate', proof } }, 'by a router')
  }

  /** The grace period of some owner's trace ends. */
  #endGrace(): void {
    const shard = this.#pick(this.shards)
    for (const segment of SEGMENTS) {
      const record = shard.record(segment)
      if (record.state === 'owned' && record.trace)
        this.#deliver({
          shard: this.shards.indexOf(shard),
          segment,
          command: { step: 'untrace', epoch: record.epoch },
        })
    }
  }

  // --- migrators ---

  #advance(migrator: Migrator): void {
    const reply = this.#replies.get(migrator)
    const next = reply === undefined ? migrator.next() : migrator.next(reply)
    if (next.done) {
      this.#forget(migrator)
      return
    }
    this.#bag.push(next.value)
    if (this.#bag.length > 80) this.#bag.splice(0, 20)
    const roll = this.#random()
    if (roll < 0.02) this.#forget(migrator)
    else if (roll < 0.05 || this.suspended.has(next.value.shard)) this.#replies.set(migrator, 'no reply')
    else if (roll < 0.08) {
      this.#deliver(next.value, '(reply lost)')
      this.#replies.set(migrator, 'no reply')
    } else this.#replies.set(migrator, this.#deliver(next.value))
  }

  #forget(migrator: Migrator): void {
    this.#migrators = this.#migrators.filter((other) => other !== migrator)
    this.#replies.delete(migrator)
  }

  #newMigrator(): Migrator {
    const owned = this.shards.flatMap((shard, i) =>
      SEGMENTS.filter((segment) => shard.record(segment).state !== 'none').map((segment) => ({ i, segment })),
    )
    if (owned.length === 0) return this.#nothing()
    const { i, segment } = this.#pick(owned)
    const roll = this.#random()
    const ticket = ++this.#ticket
    if (roll < 0.15) return this.#one(i, X, { step: 'split', epoch: this.shards[i]!.record(B).epoch, ticket })
    if (roll < 0.25) return this.#one(i, X, { step: 'merge', epoch: this.shards[i]!.record(B).epoch, ticket })
    const to = this.#pick([0, 1, 2].filter((other) => other !== i))
    return this.#handoff(ticket, segment, i, to)
  }

  *#nothing(): Migrator {}

  *#one(
    shard: number,
    segment: SegmentId,
    command: Extract<FenceCommand, { step: 'split' | 'merge' }>,
  ): Migrator {
    yield { shard, segment, command }
  }

  /** docs/protocol.md section 3, with the choice at every step to give up waiting. */
  *#handoff(ticket: number, segment: SegmentId, a: number, b: number): Migrator {
    const source = this.shards[a]!
    const first = source.record(segment)
    if (first.state === 'moved') {
      yield* this.#finish(segment, first, a)
      return
    }
    if (first.state !== 'owned') return
    const e = first.epoch
    const at = (command: Exclude<FenceCommand, { step: 'ingest' | 'sweep' }>): Request => ({
      shard: a,
      segment,
      command,
    })
    const peer = this.shards[b]!.id

    let reply = yield at({ step: 'export', epoch: e, ticket, peer })
    if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
    if (!reply.ok) return
    const base = reply.record.trace ? reply.record.base : undefined
    const carved = [...reply.record.carved]
    let n = reply.record.seq

    const prepare: FenceCommand = {
      step: 'prepare',
      epoch: e,
      ticket,
      carved,
      ...(base === undefined ? {} : { base }),
    }
    reply = yield { shard: b, segment, command: prepare }
    if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
    if (!reply.ok) return
    let batch = 0
    if (reply.record.kept) n = base!
    else {
      for (let loading = false; !loading; ) {
        reply = yield { shard: b, segment, command: { step: 'sweep', ticket } }
        if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
        if (!reply.ok) return
        loading = reply.record.loading
      }
      for (const key of source.keysOf(segment)) {
        const record = source.record(segment)
        if (record.state !== 'owned' || record.export !== ticket) return
        const entry = source.data.get(key)
        if (!entry) continue
        reply = yield this.#batch(b, segment, e, ticket, ++batch, [{ key, entry: { ...entry } }])
        if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
        if (!reply.ok) return
      }
    }
    for (let held = false; ; ) {
      const record = source.record(segment)
      if (record.state !== 'owned' || record.export !== ticket) return
      const [oldest] = [...source.logs.get(segment)!].filter(([, seq]) => seq > n).sort((x, y) => x[1] - y[1])
      if (oldest) {
        const [key, seq] = oldest
        const entry = source.data.get(key)
        reply = yield this.#batch(b, segment, e, ticket, ++batch, [
          { key, ...(entry ? { entry: { ...entry } } : {}) },
        ])
        if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
        if (!reply.ok) return
        n = seq
        continue
      }
      n = record.seq
      reply = yield at({ step: 'cutover', epoch: e, ticket, seq: n })
      if (reply === 'no reply') return yield* this.#abort(segment, a, b, e, ticket)
      if (reply.ok) return yield* this.#finish(segment, reply.record, a)
      if (reply.record.state !== 'owned' || reply.record.export !== ticket) return
      if (!held) {
        held = true
        yield at({ step: 'hold', epoch: e, ticket, durationMs: 100 })
      }
    }
  }

  #batch(
    shard: number,
    segment: SegmentId,
    epoch: number,
    ticket: number,
    batch: number,
    data: Batch,
  ): Request {
    return { shard, segment, command: { step: 'ingest', epoch, ticket, batch }, data }
  }

  *#abort(segment: SegmentId, a: number, b: number, epoch: number, ticket: number): Migrator {
    const reply = yield { shard: a, segment, command: { step: 'abort', epoch, ticket } }
    if (reply === 'no reply') return
    if (reply.ok) yield { shard: b, segment, command: { step: 'discard', ticket } }
    else if (reply.record.state === 'moved' && reply.record.epoch === epoch + 1)
      yield* this.#finish(segment, reply.record, a)
  }

  *#finish(segment: SegmentId, moved: FenceRecord, a: number): Migrator {
    const proof = proofOf(moved)!
    const b = this.shards.findIndex((it) => it.id === proof.shard)
    const reply = yield { shard: b, segment, command: { step: 'activate', proof } }
    if (reply === 'no reply' || !reply.ok || this.#random() < 0.5) return
    for (let i = 0; i < 3; i++) yield { shard: a, segment, command: { step: 'purge', epoch: proof.epoch } }
  }

  // --- what must hold ---

  #owners(key: Key): { shard: Shard; segment: SegmentId }[] {
    return this.shards.flatMap((shard, i) =>
      SEGMENTS.filter((segment) => {
        if (this.suspended.has(i)) return false
        if (segment === X && key !== 'tagged') return false
        const record = shard.record(segment)
        return serves(record, record.epoch, tagOf(key))
      }).map((segment) => ({ shard, segment })),
    )
  }

  #check(): void {
    for (const key of KEYS) {
      const owners = this.#owners(key)
      if (owners.length > 1)
        throw new Error(
          `I1: ${key} is served by ${owners.map((o) => `${o.shard.id} as ${o.segment}`).join(' and ')}`,
        )
      const [owner] = owners
      if (owner && owner.shard.data.get(key)?.value !== this.truth.get(key))
        throw new Error(
          `I3: ${key} is ${owner.shard.data.get(key)?.value} at its owner ${owner.shard.id}, last acknowledged ${this.truth.get(key)}`,
        )
    }
    for (const shard of this.shards)
      for (const [segment, record] of shard.records)
        if (record.holdUntil && !(record.state === 'owned' && record.export))
          throw new Error(`I4: stray hold on ${segment}`)
  }

  /** Faults stop: every committed handoff can be activated, and then every key has one owner with the truth. */
  #settle(): void {
    for (const { segment, proof } of this.#proofs)
      this.#deliver({
        shard: this.shards.findIndex((s) => s.id === proof.shard),
        segment,
        command: { step: 'activate', proof },
      })
    this.#check()
    for (const key of KEYS) if (this.#owners(key).length !== 1) throw new Error(`I2: nobody serves ${key}`)
  }

  #tell(line: string): void {
    this.#story.push(line.trim())
    if (this.#story.length > 60) this.#story.shift()
  }
}

function describeCommand(command: FenceCommand): string {
  const { step: _, ...rest } = command
  return JSON.stringify(rest)
}
