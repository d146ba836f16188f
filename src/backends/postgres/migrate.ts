import { ErrorCode, ForeshardError } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { connectionOf } from './client'
import { type PostgresConnection, Refused, Statement } from './connection'
import { Names, type PlaceOptions } from './names'
import { copyFunctions } from './sql/copy'
import { executeFunctions } from './sql/execute'
import { shardTables } from './sql/shard-tables'
import { stepFunctions } from './sql/step'
import { topologyFunctions, topologyTables } from './sql/topology'

/** What leads from each version of the tables to the next; the first makes them. Never changed once it was released. */
const UPGRADES: readonly ((t: Names) => string)[] = [(t) => shardTables(t) + topologyTables(t)]

const PLACE_FIELDS: Fields<PlaceOptions> = { schema: true, table: true }

const ANSWER_MS = 30_000
/** SQLSTATE of what a role may not do, and of a table that is not there. */
const INSUFFICIENT_PRIVILEGE = '42501'
const UNDEFINED = ['42P01', '3F000']

/**
 * Creates the tables and functions of a shard and a topology, or brings them to the version of this release. May be run
 * again, and by several processes at once. Every version keeps what it found; a newer one is left alone and refused.
 */
export async function migrate(pool: object, options: PlaceOptions = {}): Promise<void> {
  checkFields(options, PLACE_FIELDS, 'options')
  await migrateAt(connectionOf(pool), new Names(options))
}

/** What `migrate` runs, for whoever has to run it by other means: psql --single-transaction --file -. */
export function migrationSql(options: PlaceOptions = {}): string {
  checkFields(options, PLACE_FIELDS, 'options')
  return sqlFor(new Names(options))
}

function sqlFor(t: Names): string {
  const steps = UPGRADES.map(
    (upgrade, from) => `
  if v_version = ${from} then
    execute $upgrade$${upgrade(t)}$upgrade$;
    v_version := ${from + 1};
  end if;`,
  )
  return `-- Foreshard's tables ${t.of('*')}, version ${UPGRADES.length}: one transaction.
select pg_advisory_xact_lock(hashtext('foreshard migrate'), hashtext('${t.schema}.${t.table}'));
do $migrate$
declare v_version integer := 0;
begin
  if not exists (select from pg_namespace where nspname = '${t.schema}') then
    create schema "${t.schema}";
  end if;
  if to_regclass('${t.of('layout')}') is null then
    create table ${t.of('layout')} (version integer not null);
    insert into ${t.of('layout')} values (0);
  end if;
  select version into v_version from ${t.of('layout')};
  if v_version > ${UPGRADES.length} then
    raise exception 'these tables are of version %, this release knows ${UPGRADES.length}', v_version;
  end if;${steps.join('')}
  update ${t.of('layout')} set version = v_version;
end
$migrate$;
${executeFunctions(t)}${stepFunctions(t)}${copyFunctions(t)}${topologyFunctions(t)}`
}

/** Sees to it that the tables are there: makes them where it may, says what to run where it may not. */
export async function ensureTables(
  connection: PostgresConnection,
  t: Names,
  mayMigrate: boolean,
): Promise<void> {
  const version = await versionOf(connection, t)
  if (version === UPGRADES.length) return
  if (version > UPGRADES.length) throw tooNew(t, version)
  const what =
    version === 0 ? `there are no tables ${t.of('*')}` : `the tables ${t.of('*')} are of version ${version}`
  if (!mayMigrate) throw missing(`${what}; run migrate(pool) first, or what ${sqlName(t)} answers`)
  try {
    await migrateAt(connection, t)
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== INSUFFICIENT_PRIVILEGE) throw error
    throw missing(
      `${what}, and this role may not make them (${error.message}); let one that may run what ${sqlName(t)} answers`,
      error,
    )
  }
}

function sqlName({ schema, table }: Names): string {
  return `migrationSql({ schema: '${schema}', table: '${table}' })`
}

async function migrateAt(connection: PostgresConnection, t: Names): Promise<void> {
  const version = await versionOf(connection, t)
  if (version > UPGRADES.length) throw tooNew(t, version)
  await connection.script(sqlFor(t))
}

/** 0 where there is none. */
async function versionOf(connection: PostgresConnection, t: Names): Promise<number> {
  try {
    const statement = new Statement(`select version::double precision from ${t.of('layout')}`)
    const rows = await connection.run(statement, [], ANSWER_MS)
    return Number(rows[0]?.[0] ?? 0)
  } catch (error) {
    if (error instanceof Refused && UNDEFINED.includes(error.code)) return 0
    throw error
  }
}

function tooNew(t: Names, version: number): ForeshardError {
  return new ForeshardError(
    ErrorCode.NOT_SUPPORTED,
    `the tables ${t.of('*')} are of version ${version}, and this release knows ${UPGRADES.length}; upgrade Foreshard`,
    { field: 'options.table' },
  )
}

function missing(message: string, cause?: unknown): ForeshardError {
  return new ForeshardError(ErrorCode.NOT_SUPPORTED, message, { field: 'options.migrate', cause })
}
