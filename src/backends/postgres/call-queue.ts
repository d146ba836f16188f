import { ErrorCode, isForeshardError } from '../../errors'
import { governing, NO_FENCE } from '../../placement/fence'
import { bucketSegment, tagSegment } from '../../placement/segment'
import type { Answer, Call, Refusal } from '../../shard-store'
import { decodeAnswer, encodeCalls, type Kind, kindOf } from './call-batch'
import type { Row } from './connection'
import { StoredFences } from './fence-rows'
import type { ShardDatabase } from './shard-database'
import type { ShardFunctions } from './shard-functions'

/** Calls of one statement: so that none holds its locks for long. */
const CALLS_AT_ONCE = 128
const BYTES_AT_ONCE = 1 << 20
/** Statements of one kind that are under way at a time; what is asked for meanwhile travels together. */
const MOST_LANES = 4
/** After so many writes some of what has expired is taken away, more than they may have added. */
const WRITES_BEFORE_REAPING = 256

/** Calls that wait to be sent: of one who asked, of one kind, and no key twice among writes. */
interface Waiting {
  readonly calls: readonly Call[]
  resolve(answers: Answer[]): void
  reject(error: unknown): void
}

/** Sends what is asked for together: one statement carries many operations, each atomic by itself. */
export class CallQueue {
  readonly #database: ShardDatabase
  readonly #functions: ShardFunctions
  readonly #lanes: Record<Kind, Lanes>
  #unreaped = 0

  constructor(database: ShardDatabase, functions: ShardFunctions) {
    this.#database = database
    this.#functions = functions
    const lanes = () => Math.max(1, Math.min(MOST_LANES, database.connection.lanes >> 1))
    this.#lanes = {
      read: new Lanes(lanes, (batch) => this.#send('read', batch)),
      write: new Lanes(lanes, (batch) => this.#send('write', batch)),
    }
  }

  async execute(calls: readonly Call[]): Promise<Answer[]> {
    const answers: Answer[] = []
    // One part after the other: each sees those before it.
    for (const part of inParts(calls))
      try {
        const pieces = inPieces(part.calls)
        const lanes = this.#lanes[part.kind]
        const settled = await Promise.allSettled(pieces.map((piece) => lanes.add(piece)))
        const failed = settled.find((it) => it.status === 'rejected')
        if (failed && settled.some((it) => it.status === 'fulfilled')) throw partly(failed.reason)
        if (failed) throw failed.reason
        for (const it of settled) answers.push(...(it as PromiseFulfilledResult<Answer[]>).value)
      } catch (error) {
        throw answers.length > 0 ? partly(error) : error
      }
    return answers
  }

  async #send(kind: Kind, batch: readonly Waiting[]): Promise<void> {
    const calls = batch.flatMap((it) => it.calls)
    let answers: Answer[]
    try {
      const parameters = encodeCalls(kind, calls, this.#database.time)
      const rows =
        kind === 'read'
          ? await this.#database.read(this.#functions.read, parameters)
          : await this.#database.write(this.#functions.write, parameters)
      answers = await this.#answers(kind, calls, rows)
    } catch (error) {
      // A write that finds no room makes all that travel with it fail; the others may do without.
      if (batch.length > 1 && isForeshardError(error, ErrorCode.SHARD_FULL))
        for (const it of batch) await this.#send(kind, [it])
      else for (const it of batch) it.reject(error)
      return
    }
    let at = 0
    for (const it of batch) {
      it.resolve(answers.slice(at, at + it.calls.length))
      at += it.calls.length
    }
    if (kind === 'write') await this.#reap(calls.length)
  }

  async #answers(kind: Kind, calls: readonly Call[], rows: readonly Row[]): Promise<Answer[]> {
    const decoded = rows.map((row) => decodeAnswer(kind, row))
    const refused = calls.filter((_, i) => typeof decoded[i] === 'string')
    if (refused.length === 0) return decoded as Answer[]
    const fences = await this.#fencesOf(refused)
    return decoded.map((answer, i) => {
      if (typeof answer !== 'string') return answer
      return refusal(calls[i]!, answer, fences.get(calls[i]!)!)
    })
  }

  /** As much as a refusal tells: of each call the fences of its bucket and its tag. What it tells is as of now. */
  async #fencesOf(calls: readonly Call[]): Promise<Map<Call, StoredFences>> {
    const named = calls.flatMap(({ bucketId, tag }) => [
      { bucketId, segment: bucketSegment(bucketId) },
      { bucketId, segment: tagSegment(tag) },
    ])
    try {
      const rows = await this.#functions.fences(named)
      return new Map(
        calls.map((call, i) => [call, new StoredFences(call.bucketId, rows.slice(2 * i, 2 * i + 2), 0)]),
      )
    } catch {
      // The calls that were carried out are answered all the same.
      return new Map(calls.map((call) => [call, new StoredFences(call.bucketId, [], 0)]))
    }
  }

  async #reap(writes: number): Promise<void> {
    this.#unreaped += writes
    if (this.#unreaped < WRITES_BEFORE_REAPING) return
    const limit = 2 * this.#unreaped
    this.#unreaped = 0
    try {
      await this.#database.write(this.#functions.reap, [limit, this.#database.time])
    } catch {
      // Some other time.
    }
  }
}

function refusal(call: Call, reason: 'held' | 'elsewhere', fences: StoredFences): Refusal {
  if (reason === 'elsewhere') {
    const { segment, record } = governing(fences, call.tag)
    return { ok: false, reason, governs: segment, record, retryAfterMs: 0 }
  }
  const record = fences.record(call.segment)
  const retryAfterMs = record === NO_FENCE ? 1 : Math.max(1, record.holdUntil - fences.now)
  return { ok: false, reason, governs: call.segment, record, retryAfterMs }
}

/** A failure without effect is none where another part was carried out. */
function partly(error: unknown): Error {
  return new Error(`only a part was carried out: ${(error as Error).message}`, { cause: error })
}

/** Reads and writes apart, and a write of a key that was written before in another part. */
function* inParts(calls: readonly Call[]): Iterable<{ kind: Kind; calls: readonly Call[] }> {
  let from = 0
  let keys = new Set<string>()
  for (let i = 0; i <= calls.length; i++) {
    const call = calls[i]
    const kind = i > from ? kindOf(calls[from]!) : call && kindOf(call)
    const fits = call && kindOf(call) === kind && !(kind === 'write' && keys.has(call.key))
    if (!fits && i > from) {
      yield { kind: kind!, calls: from === 0 && i === calls.length ? calls : calls.slice(from, i) }
      from = i
      keys = new Set()
    }
    if (call) keys.add(call.key)
  }
}

/** As many calls as one statement takes. */
function inPieces(calls: readonly Call[]): (readonly Call[])[] {
  const pieces: (readonly Call[])[] = []
  let from = 0
  let bytes = 0
  for (let i = 0; i < calls.length; i++) {
    if (i - from === CALLS_AT_ONCE || bytes >= BYTES_AT_ONCE) {
      pieces.push(calls.slice(from, i))
      from = i
      bytes = 0
    }
    bytes += sizeOf(calls[i]!)
  }
  pieces.push(from === 0 ? calls : calls.slice(from))
  return pieces
}

function sizeOf({ operation }: Call): number {
  return operation.kind === 'set' ? operation.value.byteLength : 0
}

/** A few statements at a time. What is asked for while all are under way is what the next one carries. */
class Lanes {
  readonly #most: () => number
  readonly #send: (batch: readonly Waiting[]) => Promise<void>
  #waiting: Waiting[] = []
  #busy = 0
  #woken = false

  constructor(most: () => number, send: (batch: readonly Waiting[]) => Promise<void>) {
    this.#most = most
    this.#send = send
  }

  add(calls: readonly Call[]): Promise<Answer[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ calls, resolve, reject })
      if (this.#woken || this.#busy >= this.#most()) return
      this.#woken = true
      // After all that is asked for by what the last answers have woken.
      process.nextTick(() => {
        this.#woken = false
        this.#fill()
      })
    })
  }

  #fill(): void {
    while (this.#waiting.length > 0 && this.#busy < this.#most()) {
      this.#busy++
      void this.#send(this.#next()).finally(() => {
        this.#busy--
        this.#fill()
      })
    }
  }

  /** As many as a statement takes, in their order; a key that is there already waits for the next. */
  #next(): Waiting[] {
    const batch: Waiting[] = []
    const left: Waiting[] = []
    const keys = new Set<string>()
    let calls = 0
    let bytes = 0
    for (const it of this.#waiting) {
      const room = batch.length === 0 || (calls + it.calls.length <= CALLS_AT_ONCE && bytes < BYTES_AT_ONCE)
      if (!room || it.calls.some((call) => kindOf(call) === 'write' && keys.has(call.key))) {
        left.push(it)
        continue
      }
      batch.push(it)
      for (const call of it.calls) {
        keys.add(call.key)
        calls++
        bytes += sizeOf(call)
      }
    }
    this.#waiting = left
    return batch
  }
}
