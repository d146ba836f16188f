import { setMaxListeners } from 'node:events'
import { Breather, type Clock, type Random } from '../clock'
import { invalid, shown } from '../errors'
import type { ReshardingProgress, ReshardingReport } from '../migrator/progress'
import { checkFields, type Fields } from '../options'
import type { Location, Placement } from '../placement/assignment'
import type { ShardAssignmentMap, ShardId } from '../placement/segment'
import type { CommandSet, ShardStore } from '../shard-store'
import type { HistoryEntry } from '../topology-store'
import type { TrackingAttributes } from '../tracking/tracking-attributes'
import { closedError } from './dispatcher'
import { listEntries } from './entry-listing'
import { RouterEmitter, type RouterEvents } from './events'
import { type EntryToSet, getMany, setMany } from './many'
import type { AddShardOptions, DrainShardOptions } from './membership'
import { accessScoreOf, measure, type RouterMetrics } from './metrics'
import { NativeCommands } from './native-commands'
import type { AccessListener } from './observers'
import { openDeployment } from './opening'
import type { DeleteOptions, OperationLabels, SetOptions, UpdateOptions } from './operation-options'
import type { Versioned } from './operations'
import { type CheckedOptions, checkOptions, type RouterOptions } from './options'
import { assemble, type Parts } from './parts'
import type { Resharding, RollbackPreview } from './resharding'
import type { ReshardingOptions, RollbackOptions } from './resharding-options'

export interface EntriesOptions {
  /** Only keys that start with it. Where it holds a whole `{tag}`, only that tag's bucket is read. */
  prefix?: string
}

const ENTRIES_FIELDS: Fields<EntriesOptions> = { prefix: true }
const PREVIEW_FIELDS: Fields<Pick<RollbackOptions, 'to'>> = { to: true }

/**
 * Routes keys to shards, tracks how they are used, and has them moved. Every method that returns a promise rejects with
 * a ForeshardError: INVALID_… for a caller's mistake, found before anything is sent; SHARD_UNAVAILABLE where a shard did
 * not answer and nothing happened; OUTCOME_UNKNOWN where a write may or may not have been applied; TOO_MANY_REFUSALS
 * where no shard admitted to own a segment in time; CLOSED after `close`.
 */
export class ShardRouter {
  readonly #parts: Parts
  readonly #events: RouterEmitter
  readonly #abort: AbortController
  readonly #clock: Clock
  readonly #random: Random
  readonly #closeMs: number
  #closing: Promise<void> | undefined

  /**
   * Opens the topology, founding it if there is none, and the stores of its shards.
   * @throws INVALID_ARGUMENT naming the option; TOPOLOGY_MISMATCH; SHARD_MISMATCH; nothing is left open.
   */
  static async open(options: RouterOptions): Promise<ShardRouter> {
    const checked = checkOptions(options)
    const events = new RouterEmitter()
    const abort = new AbortController()
    // Every operation that waits for another try listens to it.
    setMaxListeners(0, abort.signal)
    const parts = assemble(checked, await openDeployment(checked), events, abort.signal)
    const router = new ShardRouter(checked, parts, events, abort)
    try {
      await parts.readmission.admit()
    } catch (error) {
      await router.close().catch(() => {})
      throw error
    }
    return router
  }

  private constructor(options: CheckedOptions, parts: Parts, events: RouterEmitter, abort: AbortController) {
    this.#parts = parts
    this.#events = events
    this.#abort = abort
    this.#clock = options.clock
    this.#random = options.random
    this.#closeMs = options.closeMs
    parts.feed.start(options.clock, options.random, options.pollMs)
    parts.readmission.start(options.pollMs)
    parts.migrator?.start()
  }

  /** The value of a key, undefined where there is none. */
  get<T = unknown>(key: string, labels?: OperationLabels): Promise<T | undefined> {
    return this.#parts.operations.get(key, labels) as Promise<T | undefined>
  }

  has(key: string, labels?: OperationLabels): Promise<boolean> {
    return this.#parts.operations.has(key, labels)
  }

  /** With `ifVersion` rejects with VERSION_CONFLICT, having written nothing, where the key is at another version. */
  set(key: string, value: unknown, options?: SetOptions): Promise<TrackingAttributes & { version: number }> {
    return this.#parts.operations.set(key, value, options)
  }

  /** `deleted`: whether there was something to delete. */
  delete(key: string, options?: DeleteOptions): Promise<TrackingAttributes & { deleted: boolean }> {
    return this.#parts.operations.delete(key, options)
  }

  getWithVersion<T = unknown>(key: string, labels?: OperationLabels): Promise<Versioned<T> | undefined> {
    return this.#parts.operations.getWithVersion(key, labels) as Promise<Versioned<T> | undefined>
  }

  /**
   * Optimistic read-modify-write: `fn` gets the value, undefined for an absent key, and returns the next one, or a promise
   * of it; it is called again where another write came between. The new value expires when the old one
   * would have; `ttlMs` gives it a time to live of its own.
   */
  update<T = unknown>(
    key: string,
    fn: (value: T | undefined) => T | Promise<T>,
    options?: UpdateOptions,
  ): Promise<TrackingAttributes & { version: number; value: T }> {
    return this.#parts.operations.update(key, fn as (value: unknown) => unknown, options) as Promise<
      TrackingAttributes & { version: number; value: T }
    >
  }

  /** The values of the keys that are there, in the order given; one request a shard, one transaction to observers. */
  getMany<T = unknown>(keys: Iterable<string>, labels?: OperationLabels): Promise<Map<string, T>> {
    return getMany(keys, labels, this.#parts) as Promise<Map<string, T>>
  }

  /**
   * Writes many entries, one request a shard. Where some fail the rest is written; the error's `failed` tells which and
   * why. Of entries with the same key the last one counts.
   */
  setMany(
    entries: Iterable<EntryToSet>,
    labels?: OperationLabels,
  ): Promise<Map<string, TrackingAttributes & { version: number }>> {
    return setMany(entries, labels, this.#parts)
  }

  /**
   * Every live key once, with its value, also while segments move: a key that lives throughout is listed, a key that is
   * written or deleted meanwhile may be. In no order. Memory: the keys of the buckets that are being read.
   */
  async *entries<T = unknown>(options: EntriesOptions = {}): AsyncGenerator<[key: string, value: T]> {
    checkFields(options, ENTRIES_FIELDS, 'options')
    const { prefix = '' } = options
    if (typeof prefix !== 'string') throw invalid('options.prefix', `must be a string, not ${shown(prefix)}`)
    this.#open()
    const breather = new Breather(this.#clock)
    for await (const page of listEntries(prefix, this.#parts.listing)) {
      await breather.rest()
      for (const { key, value } of page) {
        this.#open()
        if (key.startsWith(prefix)) yield [key, this.#parts.operations.decode(value!) as T]
      }
    }
  }

  /**
   * The commands of the servers that the shards are, for wrappers that have the shape of such a server's client.
   * @throws NOT_SUPPORTED naming a shard whose store does not run them.
   */
  nativeCommands(set: CommandSet): NativeCommands {
    this.#open()
    const { signal } = this.#abort
    return new NativeCommands(set, { ...this.#parts, clock: this.#clock, random: this.#random, signal })
  }

  /** Where a key is believed to be. No I/O: an operation may find that it has moved. */
  getShardLocation(key: string): ShardId {
    this.#parts.operations.checkKey(key)
    return this.#parts.view.shardId(this.#parts.view.shardOf(key))
  }

  locate(key: string): Location {
    this.#parts.operations.checkKey(key)
    const { shard, segment, bucketId, epoch } = this.#parts.view.aim(key, LOCATING)
    return { shard: this.#parts.view.shardId(shard), segment, bucketId, epoch }
  }

  /** The assignments as they are believed to be now: immutable, and the same object until something changes. */
  get placement(): Placement {
    return this.#parts.view.placement
  }

  /** How a key or segment was used through this router. */
  accessScore(of: string): number {
    return accessScoreOf(of, this.#parts, this.#clock.now())
  }

  /**
   * Has segments moved to other shards. A tag that is no segment yet is carved out of its bucket first.
   * @param confidence 0 to 1, how likely the move is for the better; under the router's threshold it is not accepted.
   * @throws INVALID_ARGUMENT, UNKNOWN_SHARD, UNKNOWN_SEGMENT naming the entry; nothing is changed.
   */
  async requestResharding(
    confidence: number,
    map: ShardAssignmentMap,
    options: ReshardingOptions = {},
  ): Promise<Resharding> {
    this.#open()
    return this.#parts.reshardings.request(confidence, map, options)
  }

  /** The resharding of this router that is under way, or its last one; one of no segments where there was none. */
  monitorReshardingProgress(): ReshardingProgress {
    return this.#parts.reshardings.progress()
  }

  /** Finished reshardings, oldest first, rollbacks among them: of all processes, as far as the topology remembers. One reading of it. */
  async history(): Promise<readonly HistoryEntry[]> {
    this.#open()
    return this.#parts.reshardings.history()
  }

  /**
   * Back to the assignment before the resharding `to`; by default before the newest that still stands. It is a resharding
   * itself, and enters the history. Repeated, it walks further back; a rollback is undone by `to: its own id`.
   */
  async rollback(options: RollbackOptions = {}): Promise<Resharding> {
    this.#open()
    return this.#parts.reshardings.rollback(options)
  }

  /** What `rollback` with the same `to` would move; undefined where nothing stands. @throws INVALID_ARGUMENT for an unknown `to`. */
  async previewRollback(options: Pick<RollbackOptions, 'to'> = {}): Promise<RollbackPreview | undefined> {
    checkFields(options, PREVIEW_FIELDS, 'options')
    this.#open()
    return this.#parts.reshardings.previewRollback(options)
  }

  /**
   * Undoes what a resharding has not cut over yet, whoever asked for it and whichever process carries it out; what has been
   * cut over is finished. False where no such resharding is under way, or this router does not migrate.
   */
  async cancelResharding(id: string): Promise<boolean> {
    if (typeof id !== 'string') throw invalid('id', `must be the id of a resharding, not ${shown(id)}`)
    this.#open()
    return this.#parts.reshardings.cancel(id)
  }

  /**
   * This process copies nothing more until `resumeResharding`; what is past the copy is finished, and plans are neither undone
   * nor left to others. False if it was paused already, or does not migrate.
   */
  pauseResharding(): boolean {
    this.#open()
    return this.#parts.reshardings.pause(true)
  }

  /** Goes on with what `pauseResharding` had stand still. False if nothing did. */
  resumeResharding(): boolean {
    this.#open()
    return this.#parts.reshardings.pause(false)
  }

  /**
   * Lets a shard join and moves its share of the buckets to it, 1/(n+1) with equal weights; none moves between the others.
   * Resolves when that is done; look at `monitorReshardingProgress` meanwhile, and cancel by the signal.
   * `rebalance: false`: it joins empty. Every router of the deployment needs the store: a shard that another one added is
   * attached by the same call, and nothing is moved.
   */
  async addShard(id: ShardId, store: ShardStore, options: AddShardOptions = {}): Promise<Resharding> {
    this.#open()
    return this.#parts.membership.add(id, store, options)
  }

  /**
   * Moves everything that a shard has to the others, by weight; it takes nothing any more. Resolves when it owns nothing,
   * with the reports of the plans that it took. It stays in the topology, draining, so that routers that still name it
   * open as before; `remove: true` takes it out, and closes its store here.
   */
  async drainShard(id: ShardId, options: DrainShardOptions = {}): Promise<ReshardingReport[]> {
    this.#open()
    return this.#parts.membership.drain(id, options)
  }

  metrics(): RouterMetrics {
    return measure(this.#parts, this.#clock.now())
  }

  /** Calls `listener` with every access of this router, as an entry of an access log; returns the function that ends it. */
  observe(listener: AccessListener): () => void {
    if (typeof listener !== 'function') throw invalid('listener', 'must be a function of an access log entry')
    return this.#parts.observers.add(listener)
  }

  on<E extends keyof RouterEvents>(event: E, listener: (...args: RouterEvents[E]) => void): this {
    this.#events.on(event, listener)
    return this
  }

  once<E extends keyof RouterEvents>(event: E, listener: (...args: RouterEvents[E]) => void): this {
    this.#events.once(event, listener)
    return this
  }

  off<E extends keyof RouterEvents>(event: E, listener: (...args: RouterEvents[E]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  /**
   * Ends everything: operations that a shard is answering finish, those that wait between two tries reject with CLOSED, a
   * resharding stops where it is and is finished by another router or the next one. Stores and topology are closed.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { dispatcher, readmission, migrator, feed, shards } = this.#parts
    this.#abort.abort(closedError())
    const waiting = new AbortController()
    const late = this.#clock.sleep(this.#closeMs, waiting.signal).catch(() => {})
    await Promise.race([dispatcher.idle(), late])
    waiting.abort()
    const failures: unknown[] = []
    // In this order: whoever uses a thing is closed before it.
    for (const part of [readmission, migrator, feed, shards])
      try {
        await part?.close()
      } catch (error) {
        failures.push(error)
      }
    this.#events.removeAllListeners()
    if (failures.length > 0) throw failures[0]
  }

  #open(): void {
    if (this.#abort.signal.aborted) throw closedError()
  }
}

const LOCATING = { kind: 'get' } as const
