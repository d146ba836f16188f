import { connectionOf } from '../../backends/postgres/client'
import { Refused, Statement } from '../../backends/postgres/connection'
import { Names, type PlaceOptions } from '../../backends/postgres/names'
import { invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import type { ModelStore } from '../model-store'

export interface PostgresModelStoreOptions extends PlaceOptions {
  /** Which row of the table; default 'default'. */
  name?: string
}

const FIELDS: Fields<PostgresModelStoreOptions> = { schema: true, table: true, name: true }
const TIMEOUT_MS = 60_000
/** SQLSTATE: two that created the table at the same time. */
const CREATED_BY_ANOTHER = ['23505', '42P07', '42710']

/** In a row of a table, which is made where it is missing; `pool` is a Pool of the package "pg", or a PGlite, and stays the caller's. */
export function postgresModelStore(pool: object, options: PostgresModelStoreOptions = {}): ModelStore {
  checkFields(options, FIELDS, 'options')
  const { name = 'default', ...place } = options
  if (typeof name !== 'string' || name === '' || name.includes('\0'))
    throw invalid('options.name', `must be a non-empty string, not ${shown(name)}`)
  const connection = connectionOf(pool)
  const table = new Names(place).of('model')
  const select = new Statement(`select encode(model, 'base64') from ${table} where name = $1`)
  const upsert = new Statement(
    `insert into ${table} (name, model, saved) values ($1, decode($2, 'base64'), now())
     on conflict (name) do update set model = excluded.model, saved = excluded.saved`,
  )
  let made: Promise<void> | undefined
  const ensureTable = async () => {
    made ??= connection
      .script(
        `create table if not exists ${table} (name text primary key, model bytea not null, saved timestamptz not null)`,
      )
      .catch((error) => {
        if (error instanceof Refused && CREATED_BY_ANOTHER.includes(error.code)) return
        made = undefined
        throw error
      })
    await made
  }
  return {
    load: async () => {
      await ensureTable()
      const [row] = await connection.run(select, [name], TIMEOUT_MS)
      return row && Buffer.from(String(row[0]), 'base64')
    },
    save: async (model) => {
      await ensureTable()
      const text = Buffer.from(model.buffer, model.byteOffset, model.byteLength).toString('base64')
      await connection.run(upsert, [name, text], TIMEOUT_MS)
    },
  }
}
