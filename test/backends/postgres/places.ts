import pg from 'pg'
import { postgresStore } from '../../../src/backends/postgres/postgres-store'
import type { ShardSupports } from '../../../src/shard-store'

/** So that the largest value is no burden. */
export const SMALL = { maxValueBytes: 1 << 20 }

/** Of every postgresStore over a Pool; the suite asks before there is a server. */
export function supports(): ShardSupports {
  return postgresStore(new pg.Pool(), SMALL).supports
}

/** Empties the tables: quicker than new ones for each test. */
export async function emptied(run: (sql: string) => Promise<unknown>, table = 'foreshard'): Promise<void> {
  await run(`do $$ declare names text; begin
    select string_agg(format('%I', tablename), ', ') into names from pg_tables
      where tablename like '${table}\\_%' and tablename <> '${table}_layout';
    execute 'truncate ' || names;
  end $$`)
}
