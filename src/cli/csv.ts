import { invalid } from '../errors'
import type { EntrySink } from '../log/entry-sink'
import { MOST_LINE_BYTES } from '../log/line-splitter'
import { FIELDS, numberOf, timestampOf } from '../log/log-field'

/**
 * An access log in CSV (RFC 4180) whose header names its columns, in any order; columns it does not know are left
 * out. A quoted field may hold commas, doubled quotes and line breaks.
 *
 * A quote that is never closed must not swallow the lines after it: where several lines taken together make no
 * record, the first one is refused alone and reading goes on with the second.
 */
export class CsvLog {
  readonly #sink: EntrySink
  readonly #columns: number
  readonly #at: Readonly<Record<(typeof FIELDS)[number], number>>
  /** Lines of a record whose quotes are not closed yet. */
  #open: { text: string; line: number }[] = []
  #openLength = 0
  #openQuotes = 0

  constructor(header: string, sink: EntrySink) {
    const names = fieldsOf(header)?.map((name) => name.trim())
    if (!names) throw invalid('log', 'its first line is not a CSV header; quotes must be closed')
    const missing = FIELDS.slice(0, 3).filter((name) => !names.includes(name))
    if (missing.length)
      throw invalid(
        'log',
        `its header names no column ${missing.join(', ')}; the first line must be such as ${FIELDS.slice(0, 5).join(',')}, or the log be NDJSON`,
      )
    this.#sink = sink
    this.#columns = names.length
    this.#at = Object.fromEntries(FIELDS.map((name) => [name, names.indexOf(name)])) as never
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
    else this.#sink.refuse('unreadable line', lines[0]!.line, whole)
  }

  /** Refuses the first open line alone and reads the others anew. */
  #giveUp(): void {
    const [first, ...rest] = this.#open
    this.#reset()
    this.#sink.refuse('unreadable line', first!.line, first!.text)
    for (const { text, line } of rest) this.line(text, line)
  }

  #reset(): void {
    this.#open = []
    this.#openLength = 0
    this.#openQuotes = 0
  }

  #record(fields: string[], line: number, text: string): void {
    if (fields.length !== this.#columns) {
      this.#sink.refuse('unreadable line', line, text)
      return
    }
    const at = this.#at
    const entry: Record<string, unknown> = {
      timestamp: timestampOf(fields[at.timestamp]!),
      key: fields[at.key]!,
      operation: fields[at.operation]!,
    }
    if (at.transactionId >= 0) entry.transactionId = fields[at.transactionId] || undefined
    if (at.bytes >= 0) entry.bytes = numberOf(fields[at.bytes]!)
    if (at.count >= 0) entry.count = numberOf(fields[at.count]!)
    if (at.queryType >= 0) entry.queryType = fields[at.queryType] || undefined
    if (at.userProfile >= 0) entry.userProfile = fields[at.userProfile] || undefined
    this.#sink.entry(entry, line, text)
  }
}

/** The fields of one record; undefined where the quotes are not as RFC 4180 has them. */
export function fieldsOf(record: string): string[] | undefined {
  const fields: string[] = []
  let from = 0
  for (;;) {
    if (record.charCodeAt(from) !== 34) {
      const to = record.indexOf(',', from)
      const field = to < 0 ? record.slice(from) : record.slice(from, to)
      if (field.includes('"')) return undefined
      fields.push(field)
      if (to < 0) return fields
      from = to + 1
      continue
    }
    let close = record.indexOf('"', from + 1)
    while (close >= 0 && record.charCodeAt(close + 1) === 34) close = record.indexOf('"', close + 2)
    if (close < 0) return undefined
    fields.push(record.slice(from + 1, close).replaceAll('""', '"'))
    if (close + 1 === record.length) return fields
    if (record.charCodeAt(close + 1) !== 44) return undefined
    from = close + 2
  }
}
