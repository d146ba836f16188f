import { systemRandom } from '../../clock'
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
import { checkChange, checkFounding } from '../topology-checks'
import { connectionOf } from './client'
import { type CommonOptions, checkCommonOptions, TIMEOUT_MS } from './common-options'
import {
  type Cell,
  NotSent,
  type PostgresConnection,
  Refused,
  type Row,
  retried,
  Statement,
} from './connection'
import { checkDurable } from './durability'
import { ensureTables } from './migrate'
import { Names } from './names'
import { readDeltas, readTopology } from './sql/topology'
import { changeParameters, decodeDelta, decodeTopology, foundingParameters } from './topology-rows'

/** Finished reshardings that are remembered, and so can be rolled back. */
const HISTORY = 32
/** Changes that a reader may be behind before it has to read the topology in full. */
const DELTAS = 4096
/** Postgres takes messages of less than 8,000. */
const MESSAGE_BYTES = 7_900

export type PostgresTopologyOptions = CommonOptions

const FIELDS: Fields<PostgresTopologyOptions> = {
  schema: true,
  table: true,
  migrate: true,
  durable: true,
  timeoutMs: true,
  clock: true,
  random: true,
}

/**
 * The topology in tables of a Postgres database (12 or later), which may also hold shards; `pool` is a Pool of the package
 * "pg", or a PGlite. It stays the caller's: `close` leaves it open.
 */
export function postgresTopology(pool: object, options: PostgresTopologyOptions = {}): TopologyStore {
  return new PostgresTopology(pool, options)
}

class PostgresTopology implements TopologyStore {
  readonly supports: TopologyStore['supports']
  readonly #connection: PostgresConnection
  readonly #names: Names
  readonly #options: PostgresTopologyOptions
  readonly #timeoutMs: number
  readonly #newId: () => string
  readonly #listeners = new Set<(delta?: TopologyDelta) => void>()
  readonly #statements: Readonly<
    Record<'read' | 'deltas' | 'create' | 'commit' | 'ticket' | 'lease', Statement>
  >
  /** The last revision of which the listeners were told. */
  #told = 0
  #subscription: Promise<(() => Promise<void>) | undefined> | undefined
  #buckets = 0
  #openers = 0

  constructor(pool: object, options: PostgresTopologyOptions) {
    checkFields(options, FIELDS, 'options')
    checkCommonOptions(options)
    const { timeoutMs = TIMEOUT_MS, random = systemRandom } = options
    this.#connection = connectionOf(pool)
    const names = new Names(options)
    this.#names = names
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#newId = () => `postgres-${Math.floor(random() * 2 ** 48).toString(16)}`
    const calling = (name: string, parameters: number) => Statement.calling(names.of(name), parameters)
    this.#statements = {
      read: new Statement(readTopology(names)),
      deltas: new Statement(readDeltas(names)),
      create: calling('create_1', 7),
      commit: calling('commit_1', 21),
      ticket: calling('ticket_1', 1),
      lease: calling('lease_1', 5),
    }
    const { embedded } = this.#connection
    this.supports = { durable: options.durable ?? !embedded, multiProcess: !embedded }
  }

  async open(founding: Founding): Promise<Topology> {
    await this.#meaningOf(async () => {
      await ensureTables(this.#connection, this.#names, this.#options.migrate ?? true)
      if (this.supports.durable) await checkDurable(this.#connection, this.#timeoutMs)
    })
    let rows = await this.#read(this.#statements.read, [])
    if (!decodeTopology(rows)) {
      checkFounding(founding)
      await this.#run(this.#statements.create, foundingParameters(this.#newId(), founding))
      rows = await this.#read(this.#statements.read, [])
    }
    const topology = decodeTopology(rows)
    if (!topology) throw gone()
    this.#buckets = topology.buckets
    this.#openers++
    return topology
  }

  async read(): Promise<Topology> {
    this.#ready()
    const topology = decodeTopology(await this.#read(this.#statements.read, []))
    if (!topology) throw gone()
    return topology
  }

  /** Closes it for one opener. The pool is its owner's to close. */
  async close(): Promise<void> {
    if (this.#openers === 0 || --this.#openers > 0) return
    this.#listeners.clear()
    await this.#unsubscribe()
  }

  async changesSince(revision: number): Promise<TopologyDelta[] | undefined> {
    this.#ready()
    const rows = await this.#read(this.#statements.deltas, [revision])
    if (rows.length === 0) throw gone()
    const behind = Number(rows[0]![0]) - revision
    if (behind === 0) return []
    if (rows[0]![1] === null || rows.length !== behind) return undefined
    return rows.map((row) => decodeDelta(String(row[1])))
  }

  async commit(change: TopologyChange): Promise<number | undefined> {
    this.#ready()
    checkChange(change, this.#buckets)
    const limits = [HISTORY, DELTAS, this.#names.channel, MESSAGE_BYTES]
    const [row] = await this.#run(this.#statements.commit, [...changeParameters(change), ...limits])
    if (!row) return undefined
    const [revision, taken, stranger] = row
    if (stranger !== null) {
      const index = Number(stranger)
      throw unknownShard(`change.assignments[${index}].shard`, change.assignments![index]!.shard)
    }
    if (this.#listeners.size > 0) this.#tellOwn(change, Number(revision), Number(taken))
    return Number(revision)
  }

  async drawTicket(): Promise<number> {
    this.#ready()
    // One that was drawn and lost is a number that nobody uses.
    const [row] = await this.#read(this.#statements.ticket, [this.#time])
    return Number(row![0])
  }

  async acquireLease(holder: string, durationMs: number): Promise<Lease | undefined> {
    this.#ready()
    if (typeof holder !== 'string' || holder === '') throw invalid('holder', 'must be a name')
    checkDuration(durationMs)
    const row = await this.#lease('acquire', holder, durationMs, null)
    return row && { holder, term: Number(row[0]), expiresAt: Number(row[1]) }
  }

  async renewLease(holder: string, term: number, durationMs: number): Promise<boolean> {
    this.#ready()
    checkDuration(durationMs)
    return (await this.#lease('renew', holder, durationMs, term)) !== undefined
  }

  async releaseLease(holder: string, term: number): Promise<void> {
    this.#ready()
    await this.#lease('release', holder, 0, term)
  }

  async #lease(
    what: string,
    holder: string,
    durationMs: number,
    term: number | null,
  ): Promise<Row | undefined> {
    const name = Buffer.from(holder).toString('hex')
    return (await this.#run(this.#statements.lease, [what, name, durationMs, term, this.#time]))[0]
  }

  /** By LISTEN, on a connection of the pool; where none can be spared there is the caller's polling. */
  watch(listener: (delta?: TopologyDelta) => void): () => void {
    this.#ready()
    const own = (delta?: TopologyDelta) => listener(delta)
    this.#listeners.add(own)
    this.#subscription ??= this.#connection
      .listen(this.#names.channel, (message) => this.#hear(message))
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

  #hear(message: string | undefined): void {
    if (message === undefined) for (const listener of [...this.#listeners]) listener()
    else if (/^\d+$/.test(message)) this.#tell(Number(message), undefined)
    else {
      const delta = deltaOf(message, this.#buckets)
      if (delta) this.#tell(delta.revision, delta)
    }
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
    await (await subscription)?.()
  }

  get #time(): number | null {
    const { clock } = this.#options
    return clock ? Math.floor(clock.now()) : null
  }

  /** Without effects, or with none that anybody would miss. */
  async #read(statement: Statement, parameters: readonly Cell[]): Promise<Row[]> {
    try {
      return await this.#run(statement, parameters)
    } catch (error) {
      throw isForeshardError(error) ? error : unavailable(error)
    }
  }

  #run(statement: Statement, parameters: readonly Cell[]): Promise<Row[]> {
    return this.#meaningOf(() => retried(() => this.#connection.run(statement, parameters, this.#timeoutMs)))
  }

  async #meaningOf<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw error instanceof NotSent || error instanceof Refused ? unavailable(error) : error
    }
  }

  #ready(): void {
    if (this.#openers === 0)
      throw new ForeshardError(ErrorCode.CLOSED, 'the topology is not open; a router opens it and closes it')
  }
}

/** A change as it was told; undefined for what is none: whoever hears it reads the changes. */
function deltaOf(message: string, buckets: number): TopologyDelta | undefined {
  try {
    const delta = decodeDelta(message)
    checkChange(delta, buckets)
    return delta
  } catch {
    return undefined
  }
}

function gone(): ForeshardError {
  return new ForeshardError(
    ErrorCode.TOPOLOGY_CORRUPT,
    'the topology is gone from Postgres; restore its tables from a backup',
  )
}

function unavailable(error: unknown): ForeshardError {
  const { message, cause } = error as Error
  return new ForeshardError(ErrorCode.TOPOLOGY_UNAVAILABLE, `the topology's Postgres: ${message}`, {
    cause: cause ?? error,
  })
}

function checkDuration(durationMs: number): void {
  if (!Number.isFinite(durationMs) || durationMs <= 0)
    throw invalid('durationMs', 'must be a number of ms above 0')
}
