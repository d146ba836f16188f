import type { Clock } from '../../clock'
import { ErrorCode, ForeshardError } from '../../errors'
import type { ShardBinding } from '../../shard-store'
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
    let rows = await this.read(this.#identify, [])
    if (rows.length === 0) {
      await this.write(this.#bind, [newId(), topologyId, shard, buckets])
      rows = await this.read(this.#identify, [])
    }
    const [id, ...rest] = rows[0]!.map(String) as [string, ...string[]]
    const [storedTopology, storedShard, storedBuckets, system, timeline, table] = rest
    const stored = { topologyId: storedTopology, shard: storedShard, buckets: storedBuckets }
    for (const [field, wanted] of Object.entries({ topologyId, shard, buckets: String(buckets) }))
      if (stored[field as keyof typeof stored] !== wanted)
        throw new ForeshardError(
          ErrorCode.SHARD_MISMATCH,
          `the tables ${names.of('*')} belong to ${field} ${JSON.stringify(stored[field as keyof typeof stored])}, not to ` +
            `${JSON.stringify(wanted)}; open them as what they are, or give others (options.table, options.schema)`,
          { field, shard },
        )
    if (timeline === '') throw this.unavailable('is a standby, which takes no writes; connect to its primary')
    if (durable) await this.#meaningOf(() => checkDurable(this.connection, timeoutMs))
    this.#shard = shard
    return { incarnation: [id, system, timeline, table].join('.'), buckets }
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
    const run = () => this.connection.run(statement, parameters, this.#options.timeoutMs)
    return this.#meaningOf(() => retried(run))
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
