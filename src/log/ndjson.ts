import type { EntrySink } from './entry-sink'
import { timestampOf } from './log-field'

/** An access log with one JSON object a line. Fields it does not know are left out. */
export class NdjsonLog {
  readonly #sink: EntrySink
  readonly #unitMs: number

  constructor(sink: EntrySink, unitMs = 1) {
    this.#sink = sink
    this.#unitMs = unitMs
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
    // None of these names is one that an object has by itself. Null is how many writers say that there is none.
    const it = value as Record<string, unknown>
    this.#sink.entry(
      {
        timestamp: timestampOf(it.timestamp, this.#unitMs),
        key: it.key,
        operation: it.operation,
        transactionId: it.transactionId ?? undefined,
        bytes: it.bytes ?? undefined,
        count: it.count ?? undefined,
        queryType: it.queryType ?? undefined,
        userProfile: it.userProfile ?? undefined,
      },
      line,
      text,
    )
  }

  end(): void {}
}
