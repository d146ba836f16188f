import { ErrorCode, ForeshardError, isForeshardError } from '../../errors'
import type { Ledger, LedgerIdentity } from '../ledger'
import { type BucketKeeper, RowBucket } from './row-bucket'
import type { RowMap } from './row-map'
import { decodeJson, encodeJson, MissingRows, RowTable } from './row-table'

/** Steps that are committed together, and bytes of values from which on no more join them. */
const MOST_OF_A_GROUP = 256
const GROUP_BYTES = 4 * 1024 * 1024
/** Buckets whose having a record is one row. */
const KEPT_TOGETHER = 256
/** Writing steps between two looks at what has expired. */
const STEPS_BETWEEN_REAPS = 32

interface Job {
  readonly step: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

type Left = readonly (readonly [bucketId: number, log: number])[]

/**
 * A shard in the rows of a map. Steps run one after the other, over rows in memory: one that lacks a row is run again when
 * it is loaded. Those that wait meanwhile are committed together, and none is answered before.
 */
export class RowLedger implements Ledger, BucketKeeper {
  readonly table: RowTable
  readonly #map: RowMap
  readonly #buckets = new Map<number, RowBucket>()
  #waiting: Job[] = []
  #running = false
  #steps = 0
  /** Of values that the group at hand writes. */
  #bytes = 0
  /** Where the next look at what has expired begins: the nth bucket, after a place. */
  #reaped: [nth: number, place: number] = [0, 0]
  #opened: Promise<void> | undefined

  constructor(map: RowMap) {
    this.#map = map
    this.table = new RowTable(map)
  }

  open(): Promise<void> {
    this.#opened ??= (async () => {
      try {
        await this.#map.open?.()
      } catch (error) {
        this.#opened = undefined
        throw error
      }
    })()
    return this.#opened
  }

  async close(): Promise<void> {
    if (!this.#opened) return
    this.#opened = undefined
    // After everything that was asked for before.
    await this.read(() => {}).catch(() => {})
    this.table.forget()
    await this.#map.close?.()
  }

  read<T>(step: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ step, resolve: resolve as (value: unknown) => void, reject })
      if (!this.#running) void this.#run()
    })
  }

  write<T>(step: () => T): Promise<T> {
    return this.read(step)
  }

  async #run(): Promise<void> {
    this.#running = true
    // Whoever else asks in this turn comes along.
    await undefined
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MOST_OF_A_GROUP)
      try {
        const settled = await this.#settle(group)
        this.#waiting.unshift(...group.splice(settled.length))
        if (this.table.changed) await this.table.commit()
        for (const answer of settled) answer()
      } catch (error) {
        // What was written is not known, and what was read may never have been.
        this.table.forget()
        for (const { reject } of group) reject(error)
      }
      this.table.endGroup()
    }
    this.#running = false
  }

  /** Runs the steps in their order; answers what each of them is to be told. */
  async #settle(group: readonly Job[]): Promise<(() => void)[]> {
    const settled: (() => void)[] = []
    this.#bytes = 0
    while (settled.length < group.length && this.#bytes < GROUP_BYTES) {
      const { step, resolve, reject } = group[settled.length]!
      const bytes = this.#bytes
      try {
        const answer = step()
        this.table.keepStep()
        settled.push(() => resolve(answer))
      } catch (error) {
        this.table.dropStep()
        if (error instanceof MissingRows)
          await this.#load(this.#missing(error, group.slice(settled.length + 1)))
        else settled.push(() => reject(error))
        this.#bytes = bytes
      }
    }
    return settled
  }

  /** A failure to read happens before anything is written. */
  async #load(names: readonly string[]): Promise<void> {
    try {
      await this.table.load(names)
    } catch (cause) {
      if (isForeshardError(cause)) throw cause
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `rows could not be read: ${message}`, { cause })
    }
  }

  /** What this step lacks, and those after it as far as they come without it: one request instead of many. */
  #missing({ names }: MissingRows, rest: readonly Job[]): string[] {
    const missing = [...names]
    for (const { step } of rest) {
      try {
        step()
      } catch (error) {
        if (error instanceof MissingRows) missing.push(...error.names)
      }
      this.table.dropStep()
    }
    return missing
  }

  get identity(): LedgerIdentity | undefined {
    return this.table.read('identity', decodeJson<LedgerIdentity>)
  }

  setIdentity(identity: LedgerIdentity): void {
    this.table.write('identity', identity, encodeJson)
  }

  bucket(bucketId: number): RowBucket {
    let bucket = this.#buckets.get(bucketId)
    if (!bucket) {
      bucket = new RowBucket(bucketId, this)
      this.#buckets.set(bucketId, bucket)
    }
    return bucket
  }

  buckets(): Iterable<number> {
    return this.#entered()
  }

  enter(bucketId: number): void {
    const row = keptRow(bucketId)
    const kept = this.table.read(row, decodeNumbers) ?? new Set()
    if (!kept.has(bucketId)) this.table.write(row, new Set([...kept, bucketId]), encodeNumbers)
  }

  #entered(): number[] {
    const rows: string[] = []
    for (let id = 0; id < this.identity!.buckets; id += KEPT_TOGETHER) rows.push(keptRow(id))
    this.table.want(rows)
    return rows.flatMap((row) => [...(this.table.read(row, decodeNumbers) ?? [])])
  }

  size(): { keys: number; bytes: number } {
    return this.table.read('size', decodeJson<{ keys: number; bytes: number }>) ?? { keys: 0, bytes: 0 }
  }

  count(keys: number, bytes: number): void {
    this.#bytes += Math.max(0, bytes)
    const size = this.size()
    this.table.write('size', { keys: size.keys + keys, bytes: size.bytes + bytes }, encodeJson)
  }

  leave(bucketId: number, log: number): void {
    this.table.write('left', [...this.#left(), [bucketId, log]], encodeJson)
  }

  #left(): Left {
    return this.table.read('left', decodeJson<Left>) ?? []
  }

  /** Some rows at a time; a step that is run again comes here again. */
  reap(now: number): void {
    const [log, ...rest] = this.#left()
    if (log && this.bucket(log[0]).eraseLog(log[1]))
      this.table.write('left', rest.length === 0 ? undefined : rest, encodeJson)
    if (++this.#steps < STEPS_BETWEEN_REAPS) return
    const [nth, place] = this.#reaped
    const bucketId = this.#entered()[nth]
    const next = bucketId === undefined ? undefined : this.bucket(bucketId).reap(now, place)
    this.#reaped = next !== undefined ? [nth, next] : bucketId === undefined ? [0, 0] : [nth + 1, 0]
    this.#steps = 0
  }
}

function keptRow(bucketId: number): string {
  return `kept${Math.floor(bucketId / KEPT_TOGETHER)}`
}

function encodeNumbers(numbers: ReadonlySet<number>): Uint8Array {
  return encodeJson([...numbers])
}

function decodeNumbers(row: Uint8Array): ReadonlySet<number> {
  return new Set(decodeJson<number[]>(row))
}
