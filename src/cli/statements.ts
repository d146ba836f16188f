import { invalid } from '../errors'
import { numberOf, timestampOf } from '../log/log-field'
import { fieldsOf, RecordLines } from './csv'
import { TIME_UNITS, type TimeUnit } from './csv-columns'
import type { LogLines, LogSink, SkippedBecause } from './log-lines'

export const STATEMENT_KEYS = ['table', 'queryid'] as const
export type StatementKey = (typeof STATEMENT_KEYS)[number]

export interface StatementsLogOptions {
  key?: StatementKey
  time?: TimeUnit
  /** The column that says when a snapshot was taken. */
  timestamp?: string
}

/** Why a row gives no entry. */
type Left = SkippedBecause | 'timestamp' | 'unreadable line'

/** Names under which exports of pg_stat_statements carry the time of the snapshot. */
const TIMES = [
  'timestamp',
  'snapshot',
  'snapshot_time',
  'captured_at',
  'collected_at',
  'sampled_at',
  'ts',
  'time',
  'now',
]
/** Postgres keeps 5,000 unless it is told otherwise; of more, the oldest are forgotten. */
const MOST_STATEMENTS = 100_000
/** What makes two rows the same statement, as far as an export has it. */
const IDENTITY = ['userid', 'dbid', 'toplevel', 'queryid']

export function isStatementsHeader(text: string): boolean {
  const names = fieldsOf(text)?.map((name) => name.trim()) ?? []
  return names.includes('queryid') && names.includes('query') && names.includes('calls')
}

/**
 * Snapshots of pg_stat_statements, one after the other in one CSV. Its counters only grow: a statement was called as often as they grew
 * since the snapshot before; where they shrank they had been reset, and count from nothing. The first
 * snapshot of a statement says nothing about when its calls were. An access is one to each table that the statement
 * names; several tables are one transaction.
 */
export class StatementsLog implements LogLines {
  readonly #sink: LogSink
  readonly #records: RecordLines
  readonly #key: StatementKey
  readonly #unitMs: number
  readonly #at: { time: number; query: number; queryid: number; calls: number; identity: readonly number[] }
  /** statement -> its calls at the last snapshot. */
  readonly #calls = new Map<string, number>()
  readonly #tables = new Map<string, Statement>()
  #transactions = 0

  constructor(
    header: string,
    sink: LogSink,
    { key = 'table', time = 'ms', timestamp }: StatementsLogOptions = {},
  ) {
    const names = fieldsOf(header)?.map((name) => name.trim())
    if (!names || !isStatementsHeader(header))
      throw invalid('log', 'its header must name the columns queryid, query and calls of pg_stat_statements')
    const when = timestamp ?? TIMES.find((name) => names.includes(name))
    if (when === undefined || !names.includes(when))
      throw invalid(
        'log',
        `its header names no time of the snapshot (${timestamp ?? TIMES.join(', ')}); export it with: SELECT now() AS snapshot, * FROM pg_stat_statements`,
      )
    this.#sink = sink
    this.#key = key
    this.#unitMs = TIME_UNITS[time]
    this.#at = {
      time: names.indexOf(when),
      query: names.indexOf('query'),
      queryid: names.indexOf('queryid'),
      calls: names.indexOf('calls'),
      identity: IDENTITY.map((name) => names.indexOf(name)).filter((at) => at >= 0),
    }
    this.#records = new RecordLines(names.length, {
      record: (fields, line, text) => {
        const left = this.#record(fields, line, text)
        if (left === 'timestamp' || left === 'unreadable line') sink.refuse(left, line, text)
        else if (left) sink.skip(left, line, text)
      },
      refuse: (line, text) => sink.refuse('unreadable line', line, text),
    })
  }

  line(text: string, line: number): void {
    this.#records.line(text, line)
  }

  end(): void {
    this.#records.end()
  }

  #record(fields: readonly string[], line: number, text: string): Left | undefined {
    const at = this.#at
    const calls = numberOf(fields[at.calls]!)
    const timestamp = timestampOf(postgresTime(fields[at.time]!), this.#unitMs)
    if (calls === undefined || !(calls >= 0)) return 'unreadable line'
    if (!Number.isFinite(timestamp)) return 'timestamp'
    const identity = at.identity.map((index) => fields[index]).join('\0')
    const before = this.#calls.get(identity)
    this.#calls.set(identity, calls)
    if (this.#calls.size > MOST_STATEMENTS) this.#calls.delete(this.#calls.keys().next().value!)
    if (before === undefined) return 'first snapshot of its statement'
    const count = calls >= before ? calls - before : calls
    if (count === 0) return 'not called since the last snapshot'
    const id = fields[at.queryid]!
    const statement = this.#statementOf(id, fields[at.query]!)
    const keys = this.#key === 'queryid' ? [id] : statement.tables
    if (keys.length === 0) return 'names no table'
    const transactionId = keys.length > 1 ? `q${++this.#transactions}` : undefined
    for (const key of keys)
      this.#sink.entry(
        { timestamp, key, operation: statement.operation, transactionId, count, queryType: id },
        line,
        text,
      )
    return undefined
  }

  #statementOf(id: string, query: string): Statement {
    let known = this.#tables.get(id)
    if (!known) {
      known = statementOf(query)
      this.#tables.set(id, known)
      if (this.#tables.size > MOST_STATEMENTS) this.#tables.delete(this.#tables.keys().next().value!)
    }
    return known
  }
}

/** `2024-05-01 12:00:00.123+02` has a zone of hours only. */
function postgresTime(text: string): string {
  return text.replace(/([+-]\d\d)$/, (zone, _, at) => (at > 10 ? `${zone}:00` : zone))
}

interface Statement {
  readonly operation: 'read' | 'write'
  readonly tables: readonly string[]
}

/** Words after which the name of a table stands; after FROM, others may follow with commas. */
const BEFORE_TABLE = new Set(['from', 'join', 'into', 'update', 'using'])
const WRITES = /^\s*(?:with\b[\s\S]*?\)\s*)?(insert|update|delete|merge|copy\s+\S+\s+from|truncate)\b/i
const TOKEN =
  /'(?:[^']|'')*'|--[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"]|"")+"(?:\s*\.\s*"(?:[^"]|"")+")*|[A-Za-z_][\w$]*(?:\s*\.\s*(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+"))*|[(),;]|\S/g
/** What may follow one of them without being a table. */
const NO_TABLE = new Set([
  'select',
  'lateral',
  'only',
  'values',
  'set',
  'unnest',
  'generate_series',
  'of',
  'nowait',
  'skip',
])

/** Whether a statement writes, and the tables that it names: no parser, but the words that stand before a table. */
export function statementOf(query: string): Statement {
  const tokens = query.match(TOKEN)?.filter((token) => !/^(--|\/\*|')/.test(token)) ?? []
  const common = new Set<string>()
  const tables = new Set<string>()
  let expecting = false
  let listing = false
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!
    const word = token.toLowerCase()
    // WITH name AS ( … ): a name that is none of a table.
    if (tokens[i + 1]?.toLowerCase() === 'as' && tokens[i + 2] === '(') common.add(word)
    if (BEFORE_TABLE.has(word)) {
      // EXTRACT(day FROM x), TRIM(FROM x), FOR UPDATE, ON CONFLICT DO UPDATE name no table.
      const before = tokens[i - 1]?.toLowerCase()
      const inCall =
        word === 'from' &&
        /^(extract|trim|substring|overlay|position)$/i.test(tokens[openedBy(tokens, i) - 1] ?? '')
      expecting = !inCall && !(word === 'update' && (before === 'for' || before === 'do' || before === 'key'))
      listing = expecting && word === 'from'
      continue
    }
    if (expecting) {
      if (word === 'only' || word === 'lateral') continue
      expecting = false
      const isCall = tokens[i + 1] === '(' && !listingInto(tokens, i)
      if (/^[a-z_"]/i.test(token) && !NO_TABLE.has(word) && !isCall) tables.add(nameOf(token))
      continue
    }
    if (listing && word === ',') expecting = true
    else if (/^(where|group|order|limit|set|returning|on|union|having|window|\(|\)|;)$/.test(word))
      listing = false
  }
  return {
    operation: WRITES.test(query) ? 'write' : 'read',
    tables: [...tables].filter((table) => !common.has(table)),
  }
}

/** INSERT INTO t (columns): what follows in brackets are columns. */
function listingInto(tokens: readonly string[], at: number): boolean {
  return tokens[at - 1]?.toLowerCase() === 'into'
}

/** Place of the bracket that is open here; 0 without one. */
function openedBy(tokens: readonly string[], at: number): number {
  let depth = 0
  for (let i = at - 1; i > 0; i--) {
    if (tokens[i] === ')') depth++
    else if (tokens[i] === '(' && depth-- === 0) return i
  }
  return 0
}

/** Folded as Postgres folds it: names without quotes are small. */
function nameOf(token: string): string {
  return token
    .split(/\s*\.\s*/)
    .map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()))
    .join('.')
}
