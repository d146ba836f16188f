import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { checkKey } from '../placement/key'
import { isTagSegment } from '../placement/segment'
import type { NativeCommand, NativeReply, Operation } from '../shard-store'
import type { Tracker } from '../tracking/tracker'
import type { TrackingAttributes } from '../tracking/tracking-attributes'
import type { Codec } from './codec'
import { closedError, type Dispatcher, type Outcome } from './dispatcher'
import type { Observers } from './observers'
import {
  checkDeleteOptions,
  checkLabels,
  checkSetOptions,
  checkUpdateOptions,
  type DeleteOptions,
  expiryOf,
  type OperationLabels,
  type SetOptions,
  type UpdateOptions,
} from './operation-options'
import type { ShardSet } from './shard-set'

/** A value and its version. Versions are opaque: equal ones mean that no write came between. */
export interface Versioned<T> {
  value: T
  version: number
}

const DEFAULT_ATTEMPTS = 16

const GET: Operation = { kind: 'get' }
const HAS: Operation = { kind: 'has' }
const DELETE: Operation = { kind: 'delete' }

export interface OperationsOptions {
  readonly dispatcher: Dispatcher
  readonly shards: ShardSet
  readonly tracker: Tracker
  readonly observers: Observers
  readonly codec: Codec
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
}

/** The operations on one key, and what all operations share: checks before, tracking after. */
export class Operations {
  readonly #dispatcher: Dispatcher
  readonly #shards: ShardSet
  readonly #tracker: Tracker
  readonly #observers: Observers
  readonly #codec: Codec
  readonly #clock: Clock
  readonly #random: Random
  readonly #signal: AbortSignal

  constructor(options: OperationsOptions) {
    this.#dispatcher = options.dispatcher
    this.#shards = options.shards
    this.#tracker = options.tracker
    this.#observers = options.observers
    this.#codec = options.codec
    this.#clock = options.clock
    this.#random = options.random
    this.#signal = options.signal
  }

  async get(key: string, labels?: OperationLabels): Promise<unknown> {
    this.checkKey(key)
    checkLabels(labels)
    const outcome = await this.#dispatcher.one(key, GET)
    return this.read(outcome, labels)
  }

  async has(key: string, labels?: OperationLabels): Promise<boolean> {
    this.checkKey(key)
    checkLabels(labels)
    const outcome = await this.#dispatcher.one(key, HAS)
    this.#record(outcome, false, 0, labels)
    return outcome.done.applied
  }

  async getWithVersion(key: string, labels?: OperationLabels): Promise<Versioned<unknown> | undefined> {
    this.checkKey(key)
    checkLabels(labels)
    const outcome = await this.#dispatcher.one(key, GET)
    const { version } = outcome.done
    const value = this.read(outcome, labels)
    return outcome.done.value === undefined ? undefined : { value, version }
  }

  async set(
    key: string,
    value: unknown,
    options?: SetOptions,
  ): Promise<TrackingAttributes & { version: number }> {
    this.checkKey(key)
    const operation = this.setting(value, options)
    const outcome = await this.#dispatcher.one(key, operation)
    const attributes = this.written(outcome, operation.value.byteLength, options)
    if (!outcome.done.applied) throw conflict(outcome, options?.ifVersion)
    return attributes
  }

  async delete(key: string, options?: DeleteOptions): Promise<TrackingAttributes & { deleted: boolean }> {
    this.checkKey(key)
    checkDeleteOptions(options)
    const ifVersion = options?.ifVersion
    const operation: Operation = ifVersion === undefined ? DELETE : { kind: 'delete', ifVersion }
    const outcome = await this.#dispatcher.one(key, operation)
    const { version: _, ...attributes } = this.written(outcome, 0, options)
    const { applied, version } = outcome.done
    if (!applied && ifVersion !== undefined && version !== ifVersion) throw conflict(outcome, ifVersion)
    return { ...attributes, deleted: applied }
  }

  /** Reads, lets `fn` make the next value, writes it if nobody wrote meanwhile, or else begins again. */
  async update(
    key: string,
    fn: (value: unknown) => unknown,
    options: UpdateOptions = {},
  ): Promise<TrackingAttributes & { version: number; value: unknown }> {
    if (typeof fn !== 'function') throw invalid('fn', 'must be a function from the value to the next one')
    this.checkKey(key)
    checkUpdateOptions(options)
    const { attempts = DEFAULT_ATTEMPTS, ttlMs } = options
    if (ttlMs !== undefined) this.#expiry(ttlMs)
    for (let attempt = 1; ; attempt++) {
      const found = await this.#dispatcher.one(key, GET)
      const { version: ifVersion, expiresAt: kept = 0 } = found.done
      const value = await fn(this.read(found, options))
      // An absolute time: however long this takes, what is written expires when what was read would have.
      const expiresAt = ttlMs === undefined ? kept : this.#expiry(ttlMs)
      const data = this.#encode(value)
      const outcome = await this.#dispatcher.one(key, { kind: 'set', value: data, expiresAt, ifVersion })
      const attributes = this.written(outcome, data.byteLength, options)
      if (outcome.done.applied) return { ...attributes, value }
      if (attempt === attempts)
        throw new ForeshardError(
          ErrorCode.VERSION_CONFLICT,
          `update of ${shown(key)} lost ${attempts} races; raise options.attempts, or write less often`,
          { cause: conflict(outcome, ifVersion) },
        )
      // Whoever won will not be alone next time either.
      await this.#clock.sleep(this.#random() * Math.min(50, 2 ** attempt), this.#signal).catch(() => {
        throw closedError()
      })
    }
  }

  /** Refuses what no store could keep, and everything once the router is closed. */
  checkKey(key: string, field?: string): void {
    if (this.#signal.aborted) throw closedError()
    checkKey(key, this.#shards.keyRules, field)
  }

  /** The operation that writes a value, found to be sound. */
  setting(value: unknown, options: SetOptions | undefined): Extract<Operation, { kind: 'set' }> {
    if (options === undefined) return { kind: 'set', value: this.#encode(value), expiresAt: 0 }
    checkSetOptions(options)
    const { ttlMs, ifVersion } = options
    const expiresAt = ttlMs === undefined ? 0 : this.#expiry(ttlMs)
    const data = this.#encode(value)
    return ifVersion === undefined
      ? { kind: 'set', value: data, expiresAt }
      : { kind: 'set', value: data, expiresAt, ifVersion }
  }

  /** Tracks a read and gives its value, undefined for an absent key. */
  read(outcome: Outcome, labels?: OperationLabels): unknown {
    const { value } = outcome.done
    this.#record(outcome, false, value === undefined ? 0 : value.byteLength, labels)
    return value === undefined ? undefined : this.#codec.decode(value)
  }

  /** Tracks a write and labels it. */
  written(
    outcome: Outcome,
    bytes: number,
    labels?: OperationLabels,
  ): TrackingAttributes & { version: number } {
    const accessScore = this.#record(outcome, true, bytes, labels)
    const { call, done } = outcome
    const { bucketId, segment } = call
    return { sequenceNumber: done.seq, bucketId, segment, accessScore, version: done.version }
  }

  /** Tracks commands of a store's server: an access of each key that they name. */
  commanded(
    outcome: Outcome,
    commands: readonly NativeCommand[],
    replies: readonly NativeReply[],
    labels?: OperationLabels,
  ): void {
    for (const [i, { argv, reads, writes }] of commands.entries()) {
      const reply = replies[i]
      let bytes = 0
      if (writes.length > 0) for (const it of argv) bytes += it.length
      else if (reply instanceof Uint8Array) bytes = reply.byteLength
      for (const place of reads) this.#record(outcome, false, bytes, labels, String(argv[place]))
      for (const place of writes) this.#record(outcome, true, bytes, labels, String(argv[place]))
    }
  }

  decode(bytes: Uint8Array): unknown {
    return this.#codec.decode(bytes)
  }

  get observed(): boolean {
    return this.#observers.any
  }

  #expiry(ttlMs: number): number {
    return expiryOf(ttlMs, this.#clock.now(), this.#shards.withoutTtl)
  }

  #encode(value: unknown): Uint8Array {
    const data = this.#codec.encode(value)
    if (data.byteLength > this.#shards.maxValueBytes)
      throw new ForeshardError(
        ErrorCode.INVALID_VALUE,
        `value has ${data.byteLength} bytes; these stores keep at most ${this.#shards.maxValueBytes}: split it`,
        { field: 'value' },
      )
    return data
  }

  #record(
    { call }: Outcome,
    write: boolean,
    bytes: number,
    labels: OperationLabels | undefined,
    key = call.key,
  ): number {
    const { segment, bucketId } = call
    const now = this.#clock.now()
    const tag = isTagSegment(segment) ? call.tag : undefined
    if (this.#observers.any)
      this.#observers.tell({
        timestamp: now,
        key,
        operation: write ? 'write' : 'read',
        queryType: labels?.queryType,
        transactionId: labels?.transactionId,
        userProfile: labels?.userProfile,
        bytes,
      })
    return this.#tracker.record(now, key, bucketId, tag, write, bytes)
  }
}

export function conflict({ call, done }: Outcome, wanted: number | undefined): ForeshardError {
  const found = done.version === 0 ? 'it is absent' : `it is at ${done.version}`
  return new ForeshardError(
    ErrorCode.VERSION_CONFLICT,
    `${shown(call.key)} is not at version ${wanted}: ${found}; read it again, or use update()`,
    { field: 'options.ifVersion' },
  )
}
