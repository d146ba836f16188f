import { type Clock, type Random, systemRandom } from '../../clock'
import { ErrorCode, ForeshardError, invalid, isForeshardError } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { unknownShard } from '../../placement/assignment'
import type {
  Founding,
  Lease,
  Topology,
  TopologyChange,
  TopologyDelta,
  TopologyStore,
} from '../../topology-store'
import { checkTimeAndChance } from '../injected'
import { checkChange, checkFounding } from '../topology-checks'
import { connectionOf } from './client'
import type { Argument, RedisConnection, Reply } from './connection'
import { failureOf } from './failure'
import { CHANGES_SINCE_LUA, COMMIT_LUA, CREATE_LUA, LEASE_LUA, TICKET_LUA } from './lua/topology'
import { connected } from './patience'
import { checkFlag, checkPrefix } from './redis-options'
import { Script } from './script'
import { changeArguments, decodeDelta, decodeMessage, foundingArguments } from './topology-fields'
import { readTopology, type TopologyReading } from './topology-reading'

const CREATE = new Script(CREATE_LUA)
const CHANGES_SINCE = new Script(CHANGES_SINCE_LUA)
const COMMIT = new Script(COMMIT_LUA)
const TICKET = new Script(TICKET_LUA)
const LEASE = new Script(LEASE_LUA)

/** Changes in one answer. */
const DELTAS_PAGE = 256
/** A longer change is told by its revision alone. */
const MESSAGE_BYTES = 1 << 16

export interface RedisTopologyOptions {
  /** What its keys begin with; another one for each topology on a server. */
  prefix?: string
  /** Whether the server keeps what it acknowledged over a restart (AOF). */
  durable?: boolean
  /** Judges the lease in place of the server's clock, for simulations. */
  clock?: Clock
  random?: Random
}

/** The topology on a Redis (6.2 or later) or Valkey server, which may also be one of the shards. */
export function redisTopology(client: object, options: RedisTopologyOptions = {}): TopologyStore {
  return new RedisTopology(client, options)
}

const FIELDS: Fields<RedisTopologyOptions> = { prefix: true, durable: true, clock: true, random: true }

class RedisTopology implements TopologyStore {
  readonly supports: TopologyStore['supports']
  readonly #connection: RedisConnection
  readonly #keys: Readonly<Record<'t' | 'a' | 'd' | 'h' | 'r', string>>
  readonly #channel: string
  readonly #clock: Clock | undefined
  readonly #newId: () => string
  readonly #listeners = new Set<(delta?: TopologyDelta) => void>()
  /** The last revision of which the listeners were told. */
  #told = 0
  #subscription: Promise<(() => void) | undefined> | undefined
  #buckets = 0
  #openers = 0

  constructor(client: object, options: RedisTopologyOptions) {
    checkFields(options, FIELDS, 'options')
    const { prefix = '~foreshard:', durable = false, clock, random = systemRandom } = options
    checkPrefix(prefix)
    checkFlag(durable, 'options.durable')
    checkTimeAndChance(clock, random)
    this.#connection = connectionOf(client)
    const t = `${prefix}t`
    this.#keys = { t, a: `${t}:a`, d: `${t}:d`, h: `${t}:h`, r: `${t}:r` }
    this.#channel = `${t}:changes`
    this.#clock = clock
    this.#newId = () => `redis-${Math.floor(random() * 2 ** 48).toString(16)}`
    this.supports = { durable, multiProcess: true }
  }

  async open(founding: Founding): Promise<Topology> {
    await this.#connect()
    let topology = await readTopology(this.#reading)
    if (!topology) {
      checkFounding(founding)
      await this.#run(CREATE, [this.#keys.t], foundingArguments(this.#newId(), founding))
      topology = await readTopology(this.#reading)
    }
    if (!topology) throw gone()
    this.#buckets = topology.buckets
    this.#openers++
    return topology
  }

  async read(): Promise<Topology> {
    this.#ready()
    const topology = await readTopology(this.#reading)
    if (!topology) throw gone()
    return topology
  }

  get #reading(): TopologyReading {
    return {
      keys: this.#keys,
      send: (command) => this.#ask(() => this.#connection.send(command)),
      changesSince: (revision) => this.#changesSince(revision),
    }
  }

  /** Closes it for one opener. The client is its owner's to close. */
  async close(): Promise<void> {
    if (this.#openers === 0 || --this.#openers > 0) return
    this.#listeners.clear()
    await this.#unsubscribe()
  }

  async changesSince(revision: number): Promise<TopologyDelta[] | undefined> {
    this.#ready()
    return this.#changesSince(revision)
  }

  async #changesSince(revision: number): Promise<TopologyDelta[] | undefined> {
    const { t, d } = this.#keys
    const deltas: TopologyDelta[] = []
    for (let after = revision; ; after += DELTAS_PAGE) {
      const page = await this.#run(CHANGES_SINCE, [t, d], [String(after), String(DELTAS_PAGE)])
      if (page === null) return undefined
      for (const it of page as Reply[]) deltas.push(decodeDelta(it))
      if ((page as Reply[]).length < DELTAS_PAGE) return deltas
    }
  }

  async commit(change: TopologyChange): Promise<number | undefined> {
    this.#ready()
    checkChange(change, this.#buckets)
    const { t, a, d, h, r } = this.#keys
    const args = changeArguments(change, this.#channel, MESSAGE_BYTES)
    const reply = (await this.#run(COMMIT, [t, a, d, h, r], args)) as Reply[] | null
    if (reply === null) return undefined
    const [revision, taken] = [Number(reply[0]), Number(reply[1])]
    if (String(reply[0]) === 'unknown')
      throw unknownShard(`change.assignments[${taken}].shard`, change.assignments![taken]!.shard)
    if (this.#listeners.size > 0 && revision > 0) this.#tellOwn(change, revision, taken)
    return revision
  }

  async drawTicket(): Promise<number> {
    this.#ready()
    return Number(await this.#run(TICKET, [this.#keys.t], [this.#time]))
  }

  async acquireLease(holder: string, durationMs: number): Promise<Lease | undefined> {
    this.#ready()
    if (typeof holder !== 'string' || holder === '') throw invalid('holder', 'must be a name')
    checkDuration(durationMs)
    const reply = await this.#lease('acquire', holder, durationMs, '')
    return reply && { holder, term: Number(reply[0]), expiresAt: Number(reply[1]) }
  }

  async renewLease(holder: string, term: number, durationMs: number): Promise<boolean> {
    this.#ready()
    checkDuration(durationMs)
    return (await this.#lease('renew', holder, durationMs, String(term))) !== undefined
  }

  async releaseLease(holder: string, term: number): Promise<void> {
    this.#ready()
    await this.#lease('release', holder, 0, String(term))
  }

  async #lease(what: string, holder: string, durationMs: number, term: string): Promise<Reply[] | undefined> {
    const args = [this.#time, what, holder, String(durationMs), term]
    return ((await this.#run(LEASE, [this.#keys.t], args)) as Reply[] | null) ?? undefined
  }

  /** By pub/sub, on a connection that is duplicated from the client; where that fails there is the caller's polling. */
  watch(listener: (delta?: TopologyDelta) => void): () => void {
    this.#ready()
    const own = (delta?: TopologyDelta) => listener(delta)
    this.#listeners.add(own)
    this.#subscription ??= this.#connection
      .subscribe(this.#channel, (message) => this.#hear(message))
      .catch(() => undefined)
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) void this.#unsubscribe()
    }
  }

  /** Whoever listens in this process need not wait for the message. */
  #tellOwn(change: TopologyChange, revision: number, taken: number): void {
    const { expect: _, ...made } = structuredClone(change)
    const isWhole = taken === (change.assignments?.length ?? 0)
    queueMicrotask(() => this.#tell(revision, isWhole ? { ...made, revision } : undefined))
  }

  #hear(message: string): void {
    const delta = decodeMessage(message, this.#buckets)
    this.#tell(delta?.revision ?? Number(message), delta)
  }

  /** A revision once, and none after a later one: whoever finds that one is missing asks. */
  #tell(revision: number, delta: TopologyDelta | undefined): void {
    if (revision <= this.#told) return
    this.#told = revision
    for (const listener of [...this.#listeners]) listener(delta)
  }

  async #unsubscribe(): Promise<void> {
    const subscription = this.#subscription
    this.#subscription = undefined
    const end = await subscription
    end?.()
  }

  get #time(): string {
    return this.#clock ? String(Math.floor(this.#clock.now())) : ''
  }

  async #connect(): Promise<void> {
    try {
      await connected(this.#connection)
    } catch (error) {
      throw unavailable(error)
    }
  }

  #run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    return this.#ask(() => script.run(this.#connection, keys, args))
  }

  async #ask(send: () => Promise<Reply>): Promise<Reply> {
    if (!this.#connection.ready) throw unavailable(new Error('the client is not connected'))
    try {
      return await send()
    } catch (error) {
      if (isForeshardError(error) || failureOf(error) === 'unknown') throw error
      throw unavailable(error)
    }
  }

  #ready(): void {
    if (this.#openers === 0)
      throw new ForeshardError(ErrorCode.CLOSED, 'the topology is not open; a router opens it and closes it')
  }
}

function gone(): ForeshardError {
  return new ForeshardError(
    ErrorCode.TOPOLOGY_CORRUPT,
    'the topology is gone from Redis; restore its keys from a backup',
  )
}

function unavailable(cause: unknown): ForeshardError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new ForeshardError(ErrorCode.TOPOLOGY_UNAVAILABLE, `the topology's Redis: ${message}`, { cause })
}

function checkDuration(durationMs: number): void {
  if (!Number.isFinite(durationMs) || durationMs <= 0)
    throw invalid('durationMs', 'must be a number of ms above 0')
}
