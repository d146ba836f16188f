import type { EntrySink } from './entry-sink'
import { FIELDS, timestampOf } from './log-field'

/** An access log with one JSON object a line. Fields it does not know are left out. */
export class NdjsonLog {
  readonly #sink: EntrySink

  constructor(sink: EntrySink) {
    this.#sink = sink
  }

  line(text: string, line: number): void {
    if (text === '') return
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      this.#sink.refuse('unreadable line', line, text)
      return
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      this.#sink.entry(null, line, text)
      return
    }
    const entry: Record<string, unknown> = {}
    for (const field of FIELDS) {
      // Own fields only, and null is how many writers say that there is none.
      const given = Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined
      if (given !== undefined && given !== null) entry[field] = given
    }
    entry.timestamp = timestampOf(entry.timestamp)
    this.#sink.entry(entry, line, text)
  }

  end(): void {}
}
