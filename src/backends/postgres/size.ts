import { Statement } from './connection'
import type { ShardDatabase } from './shard-database'

/** Entries that are counted one by one; of more, as many as Postgres believes there are. */
const COUNTED = 10_000

/** Live keys and bytes of their values: exact for a small shard, for a large one by the planner's statistics. */
export class SizeEstimate {
  readonly #database: ShardDatabase
  readonly #count: Statement
  readonly #guess: Statement

  constructor(database: ShardDatabase) {
    this.#database = database
    const entry = database.names.of('entry')
    const now = 'coalesce($1::double precision, floor(extract(epoch from clock_timestamp()) * 1000))'
    this.#count = new Statement(
      `select count(*)::double precision, coalesce(sum(bytes) filter (where live), 0)::double precision,
         count(*) filter (where live)::double precision
       from (select octet_length(value) as bytes, expires = 0 or expires > ${now} as live from ${entry}
         limit ${COUNTED + 1}) s`,
    )
    this.#guess = new Statement(
      `select greatest(reltuples, ${COUNTED})::double precision from pg_class where oid = '${entry}'::regclass`,
    )
  }

  async read(): Promise<{ keys: number; bytes: number }> {
    const [seen, bytes, keys] = (await this.#database.read(this.#count, [this.#database.time]))[0]!.map(
      Number,
    ) as [number, number, number]
    if (seen <= COUNTED) return { keys, bytes }
    const [guess] = (await this.#database.read(this.#guess, []))[0]!.map(Number) as [number]
    return { keys: Math.round((guess * keys) / seen), bytes: Math.round((guess * bytes) / seen) }
  }
}
