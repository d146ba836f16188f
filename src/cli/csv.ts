import { invalid } from '../errors'
import { MOST_LINE_BYTES } from '../log/line-splitter'
import { FIELDS, numberOf, timestampOf } from '../log/log-field'
import type { AccessLogEntry } from '../tracking/access-log'
import { CsvColumns, type CsvColumnsOptions, isHeadless, operationOf, type Source } from './csv-columns'
import type { LogLines, LogSink } from './log-lines'

export interface CsvLogOptions extends CsvColumnsOptions {
  /** A later timestamp is refused. */
  latest?: number
}

/**
 * An access log in CSV (RFC 4180) whose header names its columns, in any order; columns it does not know are left
 * out. A quoted field may hold commas, doubled quotes and line breaks.
 *
 * A quote that is never closed must not swallow the lines after it: where several lines taken together make no
 * record, the first one is refused alone and reading goes on with the second.
 */
export class CsvLog implements LogLines {
  readonly #sink: LogSink
  readonly #columns: CsvColumns
  readonly #latest: number
  readonly #records: RecordLines
  /** column -> what the quick way makes of it, IGNORED where it is not read; undefined where there is no quick way. */
  readonly #roles: Uint8Array | undefined

  constructor(header: string, line: number, sink: LogSink, options: CsvLogOptions = {}) {
    const names = fieldsOf(header)?.map((name) => name.trim())
    if (!names) throw invalid('log', 'its first line is not a CSV header; quotes must be closed')
    this.#sink = sink
    this.#latest = options.latest ?? Number.POSITIVE_INFINITY
    this.#columns = new CsvColumns(names, options)
    this.#roles = rolesOf(this.#columns)
    this.#records = new RecordLines(this.#columns.count, {
      record: (fields, at, text) => this.#record(fields, at, text),
      refuse: (at, text) => sink.refuse('unreadable line', at, text),
    })
    if (isHeadless(options)) this.line(header, line)
  }

  line(text: string, line: number): void {
    this.#records.line(text, line)
  }

  end(): void {
    this.#records.end()
  }

  /** A line without quotes whose fields are plain is read from its bytes: no string is made but those that are kept. */
  quick(bytes: Buffer, from: number, to: number): boolean {
    const roles = this.#roles
    if (!roles || this.#records.open || to === from) return false
    let timestamp = -1
    let key: string | undefined
    let operation: AccessLogEntry['operation'] | undefined
    let transactionId: string | undefined
    let size: number | undefined
    let count: number | undefined
    let queryType: string | undefined
    let userProfile: string | undefined
    let column = 0
    let start = from
    let bits = 0
    for (let i = from; i <= to; i++) {
      const byte = i < to ? bytes[i]! : COMMA
      if (byte === QUOTE) return false
      if (byte !== COMMA) {
        bits |= byte
        continue
      }
      if (column === roles.length) return false
      const role = roles[column++]!
      if (role !== IGNORED && (i > start || role <= NEEDED)) {
        if (role === TIMESTAMP) {
          timestamp = digits(bytes, start, i)
          if (timestamp < 0) return false
        } else if (role === OPERATION) {
          operation = wordOf(bytes, start, i)
          if (operation === undefined) return false
        } else if (role === BYTES || role === COUNT) {
          const value = digits(bytes, start, i)
          if (value < 0) return false
          if (role === BYTES) size = value
          else count = value
        } else {
          const text = bytes.toString(bits < 128 ? 'latin1' : 'utf8', start, i)
          if (role === KEY) key = text
          else if (role === TRANSACTION) transactionId = text
          else if (role === QUERY) queryType = text
          else userProfile = text
        }
      }
      start = i + 1
      bits = 0
    }
    timestamp *= this.#columns.unitMs
    if (column !== roles.length || timestamp > this.#latest) return false
    if (key === undefined || key.length === 0 || key.length > LONGEST_QUICK_KEY) return false
    operation ??= this.#columns.operation!
    this.#sink.good({ timestamp, key, operation, transactionId, bytes: size, count, queryType, userProfile })
    return true
  }

  #record(fields: string[], line: number, text: string): void {
    const { sources, unitMs, native, operation } = this.#columns
    const of = (field: (typeof FIELDS)[number]) => {
      const source = sources.get(field)
      return source === undefined ? '' : textOf(fields, source)
    }
    const word = of('operation')
    const entry: Record<string, unknown> = {
      timestamp: timestampOf(of('timestamp'), unitMs),
      key: of('key'),
      operation: native ? word || operation : operationOf(word) || operation,
    }
    for (const field of ['transactionId', 'queryType', 'userProfile'] as const) {
      const value = of(field)
      if (value !== '') entry[field] = value
    }
    for (const field of ['bytes', 'count'] as const) {
      const value = numberOf(of(field))
      if (value !== undefined) entry[field] = value
    }
    this.#sink.entry(entry, line, text)
  }
}

export interface RecordSink {
  record(fields: string[], line: number, text: string): void
  refuse(line: number, text: string): void
}

/** Puts the records of a CSV file together from its lines. */
export class RecordLines {
  readonly #columns: number
  readonly #sink: RecordSink
  /** Lines of a record whose quotes are not closed yet. */
  #open: { text: string; line: number }[] = []
  #openLength = 0
  #openQuotes = 0

  constructor(columns: number, sink: RecordSink) {
    this.#columns = columns
    this.#sink = sink
  }

  /** Whether a record goes on in the next line. */
  get open(): boolean {
    return this.#open.length > 0
  }

  line(text: string, line: number): void {
    if (this.#open.length === 0 && text.indexOf('"') < 0) {
      if (text !== '') this.#record(text.split(','), line, text)
      return
    }
    this.#open.push({ text, line })
    this.#openLength += text.length + 1
    for (let i = text.indexOf('"'); i >= 0; i = text.indexOf('"', i + 1)) this.#openQuotes++
    if (this.#openQuotes % 2 === 0) this.#close()
    else if (this.#openLength > MOST_LINE_BYTES) this.#giveUp()
  }

  end(): void {
    while (this.#open.length) this.#giveUp()
  }

  #close(): void {
    const lines = this.#open
    const whole = lines.length === 1 ? lines[0]!.text : lines.map(({ text }) => text).join('\n')
    const fields = fieldsOf(whole)
    if (lines.length > 1 && fields?.length !== this.#columns) {
      this.#giveUp()
      return
    }
    this.#reset()
    if (fields) this.#record(fields, lines[0]!.line, whole)
    else this.#sink.refuse(lines[0]!.line, whole)
  }

  /** Refuses the first open line alone and reads the others anew. */
  #giveUp(): void {
    const [first, ...rest] = this.#open
    this.#reset()
    this.#sink.refuse(first!.line, first!.text)
    for (const { text, line } of rest) this.line(text, line)
  }

  #reset(): void {
    this.#open = []
    this.#openLength = 0
    this.#openQuotes = 0
  }

  #record(fields: string[], line: number, text: string): void {
    if (fields.length === this.#columns) this.#sink.record(fields, line, text)
    else this.#sink.refuse(line, text)
  }
}

/** The fields of one record; undefined where the quotes are not as RFC 4180 has them. */
export function fieldsOf(record: string): string[] | undefined {
  const fields: string[] = []
  let from = 0
  for (;;) {
    if (record.charCodeAt(from) !== QUOTE) {
      const to = record.indexOf(',', from)
      const field = to < 0 ? record.slice(from) : record.slice(from, to)
      if (field.includes('"')) return undefined
      fields.push(field)
      if (to < 0) return fields
      from = to + 1
      continue
    }
    let close = record.indexOf('"', from + 1)
    while (close >= 0 && record.charCodeAt(close + 1) === QUOTE) close = record.indexOf('"', close + 2)
    if (close < 0) return undefined
    fields.push(record.slice(from + 1, close).replaceAll('""', '"'))
    if (close + 1 === record.length) return fields
    if (record.charCodeAt(close + 1) !== COMMA) return undefined
    from = close + 2
  }
}

const QUOTE = 34
const COMMA = 44
const LONGEST_QUICK_KEY = 65_536
/** Numbers of so many digits are exact. */
const MOST_DIGITS = 15

/** Roles of a column; those up to NEEDED must not be empty. */
const IGNORED = 0
const TIMESTAMP = 1
const KEY = 2
const OPERATION = 3
const NEEDED = 3
const TRANSACTION = 4
const BYTES = 5
const COUNT = 6
const QUERY = 7

/** Undefined where a field needs more than one column, or two fields one, or times are no whole numbers. */
function rolesOf({ sources, count, unitMs }: CsvColumns): Uint8Array | undefined {
  if (count > 255 || !(unitMs >= 1)) return undefined
  const roles = new Uint8Array(count)
  for (const [field, source] of sources) {
    if (typeof source !== 'number' || roles[source] !== IGNORED) return undefined
    roles[source] = FIELDS.indexOf(field) + 1
  }
  return roles
}

function textOf(fields: readonly string[], source: Source): string {
  if (typeof source === 'number') return fields[source]!
  return source.map((part) => (typeof part === 'number' ? fields[part]! : part)).join('')
}

/** A number in plain digits; -1 for anything else. */
function digits(bytes: Buffer, from: number, to: number): number {
  if (to === from || to - from > MOST_DIGITS) return -1
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = bytes[i]! - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

function wordOf(bytes: Buffer, from: number, to: number): AccessLogEntry['operation'] | undefined {
  const length = to - from
  if (length === 4 && isWord(bytes, from, READ)) return 'read'
  if (length === 5 && isWord(bytes, from, WRITE)) return 'write'
  return undefined
}

const READ = Buffer.from('read')
const WRITE = Buffer.from('write')

function isWord(bytes: Buffer, from: number, word: Buffer): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word[i]) return false
  return true
}
