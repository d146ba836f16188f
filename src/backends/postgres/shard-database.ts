import type { Clock } from '../../clock'
import { ErrorCode, ForeshardError } from '../../errors'
import type { ShardBinding } from '../../shard-store'
import {
  type Admission,
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
import type { Names } from './names'

/** SQLSTATE: disk full, out of memory, other limits of the server's resources but its connections. */
const FULL = /^53(?!300)/
const READ_ONLY = '25006'

export interface ShardDatabaseOptions {
  readonly names: Names
  readonly migrate: boolean
  readonly durable: boolean
  readonly timeoutMs: number
  readonly clock: Clock | undefined
  readonly newId: () => string
}

/** The database of a shard: runs statements on it and says what became of them. */
export class ShardDatabase {
  readonly connection: PostgresConnection
  readonly names: Names
  readonly #options: ShardDatabaseOptions
  readonly #bind: Statement
  readonly #identify: Statement
  #shard = ''
  /** What `bind` answered last. */
  #incarnation = ''
  /** A connection led to another incarnation: nothing is served until it is bound again. */
  #replaced = false
  /** Connections that are known to lead to this incarnation. */
  #admitted = new WeakSet<object>()

  constructor(connection: PostgresConnection, options: ShardDatabaseOptions) {
    const { names } = options
    this.connection = connection
    this.names = names
    this.#options = options
    this.#bind = new Statement(
      `insert into ${names.of('shard')} (id, topology, shard, buckets) values ($1::text, $2::text, $3::text, $4::integer)
       on conflict do nothing`,
    )
    // The first eight digits of a WAL file's name are the timeline: a promoted standby and a restored backup begin another.
    this.#identify = new Statement(
      `select id, topology, shard, buckets::text, (select system_identifier::text from pg_control_system()),
         case when pg_is_in_recovery() then '' else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end,
         '${names.of('shard')}'::regclass::oid::text
       from ${names.of('shard')}`,
    )
  }

  get incarnation(): string | undefined {
    return this.#incarnation === '' ? undefined : this.#incarnation
  }

  /** What functions take for the time: null lets them ask the server. */
  get time(): number | null {
    const { clock } = this.#options
    return clock ? Math.floor(clock.now()) : null
  }

  async bind({
    topologyId,
    shard,
    buckets,
  }: ShardBinding): Promise<{ incarnation: string; buckets: number }> {
    this.#shard ||= shard
    const { names, migrate, durable, timeoutMs, newId } = this.#options
    await this.#meaningOf(() => ensureTables(this.connection, names, migrate))
    let rows = await this.#answer(this.#identify, [])
    if (rows.length === 0) {
      await this.#answer(this.#bind, [newId(), topologyId, shard, buckets])
      rows = await this.#answer(this.#identify, [])
    }
    const [, storedTopology, storedShard, storedBuckets] = rows[0]!
    const stored = { topologyId: storedTopology, shard: storedShard, buckets: storedBuckets } as const
    for (const [field, wanted] of Object.entries({ topologyId, shard, buckets: String(buckets) }))
      if (stored[field as keyof typeof stored] !== wanted)
        throw new ForeshardError(
          ErrorCode.SHARD_MISMATCH,
          `the tables ${names.of('*')} belong to ${field} ${JSON.stringify(stored[field as keyof typeof stored])}, not to ` +
            `${JSON.stringify(wanted)}; open them as what they are, or give others (options.table, options.schema)`,
          { field, shard },
        )
    const incarnation = this.#incarnationOf(rows)
    if (durable) await this.#meaningOf(() => checkDurable(this.connection, timeoutMs))
    this.#shard = shard
    if (incarnation !== this.#incarnation) this.#admitted = new WeakSet()
    this.#incarnation = incarnation
    this.#replaced = false
    return { incarnation, buckets }
  }

  #incarnationOf(rows: readonly Row[]): string {
    const [id, , , , system, timeline, table] = rows[0] ?? []
    if (timeline === '') throw this.unavailable('is a standby, which takes no writes; connect to its primary')
    return [id, system, timeline, table].join('.')
  }

  /** A new connection may lead to another server than the last one, or to an older state: it is looked at first. */
  readonly #admit: Admission = async (connection, look) => {
    if (this.#admitted.has(connection)) return
    this.#replaced = this.#incarnationOf(await look(this.#identify)) !== this.#incarnation
    if (this.#replaced) throw this.#mismatch()
    this.#admitted.add(connection)
  }

  #mismatch(): ForeshardError {
    return new ForeshardError(
      ErrorCode.SHARD_MISMATCH,
      `shard ${this.#shard} was restored or failed over and may have lost its last steps; open it again, so that its ` +
        'fences are compared',
      { shard: this.#shard },
    )
  }

  /** A statement without effects. @throws SHARD_UNAVAILABLE. */
  async read(statement: Statement, parameters: readonly Cell[]): Promise<Row[]> {
    try {
      return await this.write(statement, parameters)
    } catch (error) {
      if (error instanceof ForeshardError) throw error
      throw this.unavailable(`does not answer: ${(error as Error).message}`, error)
    }
  }

  /** @throws SHARD_UNAVAILABLE and SHARD_FULL when it certainly had no effect; anything else when that is not known. */
  write(statement: Statement, parameters: readonly Cell[]): Promise<Row[]> {
    if (this.#replaced) return Promise.reject(this.#mismatch())
    return this.#answer(statement, parameters, this.#admit)
  }

  #answer(statement: Statement, parameters: readonly Cell[], admit?: Admission): Promise<Row[]> {
    const { timeoutMs } = this.#options
    return this.#meaningOf(() => retried(() => this.connection.run(statement, parameters, timeoutMs, admit)))
  }

  async #meaningOf<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      if (error instanceof NotSent) throw this.unavailable(`cannot be reached: ${error.message}`, error.cause)
      if (!(error instanceof Refused)) throw error
      if (FULL.test(error.code))
        throw new ForeshardError(
          ErrorCode.SHARD_FULL,
          `shard ${this.#shard} has no room left: ${error.message}; add disk or memory, or move segments away`,
          { shard: this.#shard, cause: error.cause },
        )
      const hint = error.code === READ_ONLY ? '; this is a standby or read-only, connect to the primary' : ''
      throw this.unavailable(`refuses: ${error.message}${hint}`, error.cause)
    }
  }

  unavailable(why: string, cause?: unknown): ForeshardError {
    const shard = this.#shard
    return new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `shard ${shard} ${why}`, { shard, cause })
  }
}
