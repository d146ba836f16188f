import type { LogLine } from './document'

const LONGEST_TEXT = 500

/** The last lines of what happened. What repeats the line before it is counted, not added. */
export class EventLog {
  readonly #capacity: number
  readonly #lines: { line: LogLine; times: number }[] = []

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  add(at: number, kind: LogLine['kind'], text: string): void {
    const line = { at, kind, text: text.slice(0, LONGEST_TEXT) }
    const last = this.#lines[0]
    if (last && last.line.kind === kind && last.line.text === line.text) {
      last.line = line
      last.times++
      return
    }
    this.#lines.unshift({ line, times: 1 })
    this.#lines.length = Math.min(this.#lines.length, this.#capacity)
  }

  /** Newest first. */
  lines(): LogLine[] {
    return this.#lines.map(({ line, times }) =>
      times === 1 ? line : { ...line, text: `${line.text} (${times} times)` },
    )
  }
}
