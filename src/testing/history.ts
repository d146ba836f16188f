import type { Clock } from '../clock'
import { ErrorCode, isForeshardError } from '../errors'
import type { HistoryOperation } from './linearizability'
import { ProcessDied, type SimulatedProcess } from './simulated-process'

/** What of a router, or of anything that stands in for one, is put on record. */
export interface RecordedStore {
  get(key: string): Promise<unknown>
  has(key: string): Promise<boolean>
  set(key: string, value: unknown, options?: { ttlMs?: number; ifVersion?: number }): Promise<unknown>
  delete(key: string, options?: { ifVersion?: number }): Promise<{ deleted: boolean }>
  getWithVersion(key: string): Promise<{ value: unknown; version: number } | undefined>
  update(key: string, next: (value: unknown) => unknown): Promise<unknown>
  getMany(keys: readonly string[]): Promise<ReadonlyMap<string, unknown>>
  setMany(entries: ReadonlyMap<string, unknown>): Promise<unknown>
}

/** Certainly without effect, by the meaning of the code. VERSION_CONFLICT is an answer where a version was asked for. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  ErrorCode.SHARD_UNAVAILABLE,
  ErrorCode.SHARD_FULL,
  ErrorCode.TOO_MANY_REFUSALS,
])

type Kind = HistoryOperation['kind']

/**
 * Puts operations on record for checkLinearizable. Its time is the count of events seen, not a clock: two events in one
 * millisecond still have an order, so nothing is taken for concurrent that was not.
 */
export class History {
  readonly operations: HistoryOperation[] = []
  /** Errors that no operation may end with. */
  readonly unexpected: { key: string; kind: Kind; error: unknown }[] = []
  readonly outcomes = { ok: 0, failed: 0, unknown: 0 }
  lastError: unknown
  /** Of values written with a time to live: their absolute expiry, by the clock of the process that wrote them. */
  readonly expiries = new Map<unknown, number>()
  /** Values that were read after they had expired. */
  readonly revived: { key: string; value: unknown; lateMs: number }[] = []
  readonly #clock: Clock
  #events = 0
  #expirations = 0

  /** `clock` is the one that the shards judge expiries by. */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The client functions of one process; every call at once with another takes a strand of its own. */
  client(strand: string, store: RecordedStore, process: SimulatedProcess): Client {
    return new Client(this, strand, mortal(store, process), process.clock)
  }

  /** From its expiry on the value may be gone at any moment, as if somebody had deleted it. */
  expires(key: string, value: unknown, at: number): void {
    this.expiries.set(value, at)
    const process = `expiry ${++this.#expirations}`
    const expire = () => {
      const input = { expect: value, value: undefined }
      this.add({ process, key, kind: 'cas', input, invokedAt: this.now(), outcome: 'unknown' })
    }
    // A ms early: what else happens in that ms may come before. By a clock that is behind it may be over already.
    const ms = at - 1 - this.#clock.now()
    if (ms > 0) this.#clock.sleep(ms).then(expire)
    else expire()
  }

  /** What an update writes expires when what it read would have. */
  inherits(key: string, value: unknown, from: unknown): void {
    const at = this.expiries.get(from)
    if (at === undefined) this.expiries.delete(value)
    else this.expires(key, value, at)
  }

  read(key: string, value: unknown, invokedAtMs: number): void {
    const at = this.expiries.get(value)
    if (at !== undefined && at <= invokedAtMs) this.revived.push({ key, value, lateMs: invokedAtMs - at })
  }

  get clock(): Clock {
    return this.#clock
  }

  now(): number {
    return ++this.#events
  }

  add(operation: HistoryOperation): void {
    if (!String(operation.process).startsWith('expiry')) this.outcomes[operation.outcome]++
    this.operations.push(operation)
  }

  outcomeOf(error: unknown, key: string, kind: Kind): 'failed' | 'unknown' {
    this.lastError = error
    if (error instanceof ProcessDied || isForeshardError(error, ErrorCode.OUTCOME_UNKNOWN)) return 'unknown'
    if (isForeshardError(error) && WITHOUT_EFFECT.has(error.code)) return 'failed'
    this.unexpected.push({ key, kind, error })
    return 'unknown'
  }
}

/** Each method makes the call and never throws: what became of it is in the history. */
export class Client {
  readonly #history: History
  readonly #process: string
  readonly #store: RecordedStore
  /** Of the process. */
  readonly #clock: Clock

  constructor(history: History, process: string, store: RecordedStore, clock: Clock) {
    this.#history = history
    this.#process = process
    this.#store = store
    this.#clock = clock
  }

  async get(key: string): Promise<void> {
    await this.#record('get', key, undefined, () => this.#store.get(key))
  }

  async has(key: string): Promise<void> {
    await this.#record('has', key, undefined, () => this.#store.has(key))
  }

  async set(key: string, value: unknown, options: { ttlMs?: number } = {}): Promise<void> {
    if (options.ttlMs !== undefined)
      this.#history.expires(key, value, Math.floor(this.#clock.now() + options.ttlMs))
    await this.#record('set', key, value, async () => void (await this.#store.set(key, value, options)))
  }

  async delete(key: string): Promise<void> {
    await this.#record('delete', key, undefined, async () => (await this.#store.delete(key)).deleted)
  }

  /** Reads a version, and writes only if it still stands; `value` undefined deletes. */
  async replace(key: string, value: unknown): Promise<void> {
    const seen = await this.#record('get', key, undefined, async () => {
      const read = await this.#store.getWithVersion(key)
      this.#version = read?.version ?? 0
      return read?.value
    })
    if (!seen) return
    const ifVersion = this.#version
    if (value === undefined && ifVersion === 0) return
    await this.#record('cas', key, { expect: seen.output, value }, () =>
      value === undefined
        ? applied(this.#store.delete(key, { ifVersion }).then(({ deleted }) => deleted))
        : applied(this.#store.set(key, value, { ifVersion }).then(() => true)),
    )
  }

  #version = 0

  /** An optimistic read-modify-write: on record as a conditional write from what it last read. */
  async update(key: string, value: unknown): Promise<void> {
    const input = { expect: undefined as unknown, value }
    const call = () =>
      this.#store.update(key, (now) => {
        input.expect = now
        this.#history.inherits(key, value, now)
        return value
      })
    const invokedAt = this.#history.now()
    const common = { process: this.#process, key, kind: 'cas' as const, input, invokedAt }
    try {
      await call()
      this.#history.add({ ...common, returnedAt: this.#history.now(), outcome: 'ok', output: true })
    } catch (error) {
      const lost = isForeshardError(error, ErrorCode.VERSION_CONFLICT)
      const outcome = lost ? 'failed' : this.#history.outcomeOf(error, key, 'cas')
      this.#history.add({ ...common, returnedAt: this.#history.now(), outcome })
    }
  }

  /** One call, one operation on record for each key: nothing is promised across keys. */
  async getMany(keys: readonly string[]): Promise<void> {
    const invokedAt = this.#history.now()
    const common = { process: this.#process, kind: 'get' as const, invokedAt }
    const invokedAtMs = this.#history.clock.now()
    try {
      const values = await this.#store.getMany(keys)
      const returnedAt = this.#history.now()
      for (const key of keys) {
        this.#history.read(key, values.get(key), invokedAtMs)
        this.#history.add({ ...common, key, returnedAt, outcome: 'ok', output: values.get(key) })
      }
    } catch (error) {
      for (const key of keys)
        this.#history.add({ ...common, key, outcome: this.#history.outcomeOf(error, key, 'get') })
    }
  }

  async setMany(entries: ReadonlyMap<string, unknown>): Promise<void> {
    const invokedAt = this.#history.now()
    const common = { process: this.#process, kind: 'set' as const, invokedAt }
    try {
      await this.#store.setMany(entries)
      const returnedAt = this.#history.now()
      for (const [key, input] of entries)
        this.#history.add({ ...common, key, input, returnedAt, outcome: 'ok' })
    } catch (error) {
      // Some shards may have done their part.
      for (const [key, input] of entries) {
        this.#history.outcomeOf(error, key, 'set')
        this.#history.add({ ...common, key, input, outcome: 'unknown' })
      }
    }
  }

  async #record(
    kind: Kind,
    key: string,
    input: unknown,
    call: () => Promise<unknown>,
  ): Promise<{ output: unknown } | undefined> {
    const common = { process: this.#process, key, kind, input, invokedAt: this.#history.now() }
    const invokedAtMs = this.#history.clock.now()
    try {
      const output = await call()
      if (kind === 'get') this.#history.read(key, output, invokedAtMs)
      this.#history.add({
        ...common,
        returnedAt: this.#history.now(),
        outcome: 'ok',
        output,
      } as HistoryOperation)
      return { output }
    } catch (error) {
      const outcome = this.#history.outcomeOf(error, key, kind)
      const returnedAt = this.#history.now()
      this.#history.add({ ...common, returnedAt, outcome } as HistoryOperation)
      return undefined
    }
  }
}

/** The store as seen from outside the process it lives in. */
function mortal(store: RecordedStore, process: SimulatedProcess): RecordedStore {
  return {
    get: (key) => process.answer(store.get(key)),
    has: (key) => process.answer(store.has(key)),
    set: (key, value, options) => process.answer(store.set(key, value, options)),
    delete: (key, options) => process.answer(store.delete(key, options)),
    getWithVersion: (key) => process.answer(store.getWithVersion(key)),
    update: (key, next) => process.answer(store.update(key, next)),
    getMany: (keys) => process.answer(store.getMany(keys)),
    setMany: (entries) => process.answer(store.setMany(entries)),
  }
}

/** A conditional write that found another version answers false. */
async function applied(write: Promise<boolean>): Promise<boolean> {
  try {
    return await write
  } catch (error) {
    if (isForeshardError(error, ErrorCode.VERSION_CONFLICT)) return false
    throw error
  }
}
