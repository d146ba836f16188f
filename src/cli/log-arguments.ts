import { stat } from 'node:fs/promises'
import { FIELDS } from '../log/log-field'
import type { Entity } from '../placement/tag'
import { type Arguments, usage, whole } from './arguments'
import { REQUEST_KEYS, REQUEST_USERS } from './combined'
import { type Field, TIME_UNITS, type TimeUnit } from './csv-columns'
import { LOG_FORMATS, type LogFormatOptions } from './log-format'
import { LogReader } from './log-reader'
import { STATEMENT_KEYS } from './statements'
import type { Terminal } from './terminal'

/** The options that say how a log is read, the same for every command. */
export const LOG_OPTIONS = [
  'format',
  'columns',
  'time',
  'operation',
  'key',
  'user',
  'db',
  'tag',
  'schema',
] as const

export const LOG_HELP = `  LOG               a file, or - for standard input; gzipped or not; in order of time; one of
                      csv         with a header: timestamp (ms or ISO 8601), key, operation (read or write); and if you
                                  have them transactionId, bytes, count, queryType, userProfile
                      ndjson      the same names, one object a line
                      monitor     what redis-cli MONITOR prints
                      combined    the access log of Apache or nginx
                      statements  snapshots of pg_stat_statements in CSV, with a column snapshot for their time
  --format          one of these; default: what the beginning looks like
  --columns         of any other CSV: timestamp=ts,key=user_id,… by name, or by number from 1 where there is no header;
                    key=cart:{user}:{item} joins several
  --time            unit of timestamps that are numbers: s, ms (default), us; or iso for none
  --operation       read or write, for a CSV log that does not say
  --key             combined: path (default), url, host or user; statements: table (default) or queryid
  --user            combined: the userProfile, from auth (default), agent or none
  --db              monitor: this database only; default all, the keys of number 3 as db3:…
  --tag PATTERN     keys with the same first field live together, as in 'cart:{user}:{item}'; may be given again
  --schema FILE     JSON { "entities": […], "relationships": […] }: where tags come from
`

/** A log's timestamps may be so much ahead of this machine's clock. */
const AHEAD_MS = 86_400_000

/** The one LOG that a command is given, and its size in bytes where that is known. */
export async function openLog(
  positionals: readonly string[],
  values: Arguments,
  terminal: Terminal,
): Promise<{ log: LogReader; size: number | undefined }> {
  const options = { ...formatOptions(values), latest: terminal.clock.now() + AHEAD_MS }
  if (positionals.length !== 1)
    throw usage(
      positionals.length
        ? 'one LOG at a time; join several in order of time'
        : 'LOG is missing: a file, or - for standard input',
    )
  const path = positionals[0]!
  if (path === '-') return { log: new LogReader(terminal.stdin, options), size: undefined }
  const found = await stat(path).catch(() => undefined)
  return { log: LogReader.open(path, options), size: found?.isFile() ? found.size : undefined }
}

function formatOptions(values: Arguments): LogFormatOptions {
  const format = oneOf('format', values.format, LOG_FORMATS)
  const columns = columnsOf(values.columns)
  if (columns && format && format !== 'csv' && format !== 'statements')
    throw usage(`--columns: a log in the format ${format} has none`)
  const key = oneOf('key', values.key, [...REQUEST_KEYS, ...STATEMENT_KEYS])
  return {
    format,
    columns,
    time: oneOf('time', values.time, Object.keys(TIME_UNITS) as TimeUnit[]),
    operation: oneOf('operation', values.operation, ['read', 'write'] as const),
    key,
    user: oneOf('user', values.user, REQUEST_USERS),
    database: whole('db', values.db),
  }
}

export function oneOf<T extends string>(
  name: string,
  text: string | undefined,
  known: readonly T[],
): T | undefined {
  if (text === undefined) return undefined
  const found = known.find((it) => it === text)
  if (found === undefined) throw usage(`--${name}: ${text} is unknown; there are ${known.join(', ')}`)
  return found
}

/** 'timestamp=ts,key=user_id'. */
function columnsOf(text: string | undefined): ReadonlyMap<Field, string> | undefined {
  if (text === undefined) return undefined
  const columns = new Map<Field, string>()
  for (const part of text.split(',')) {
    const at = part.indexOf('=')
    const field = FIELDS.find((it) => it === part.slice(0, at))
    if (at < 1 || !field || at === part.length - 1)
      throw usage(`--columns: ${part} is not field=column; the fields are ${FIELDS.join(', ')}`)
    if (columns.has(field)) throw usage(`--columns: ${field} is there twice`)
    columns.set(field, part.slice(at + 1))
  }
  return columns
}

/** The patterns of --tag as entities: of each, the first field is the tag. */
export function tagEntities(patterns: readonly string[] | undefined): Entity[] {
  const names = new Set<string>()
  return (patterns ?? []).map((key) => {
    const tag = /\{([^{}]+)\}/.exec(key)?.[1]
    if (tag === undefined)
      throw usage(`--tag: ${key} has no {field}; write a pattern of keys such as 'cart:{user}:{item}'`)
    let name = /^\w+/.exec(key)?.[0] ?? tag
    while (names.has(name)) name += '_'
    names.add(name)
    return { name, key, tag }
  })
}
