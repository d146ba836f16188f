import type { Readable } from 'node:stream'
import type { Clock } from '../clock'

/** What a command talks to; `process`, in earnest. */
export interface Terminal {
  readonly stdin: Readable
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown; isTTY?: boolean }
  readonly clock: Clock
}

const REDRAW_MS = 100

/** One line on stderr that is drawn over and over, where somebody is looking; nothing anywhere else. */
export class ProgressLine {
  readonly #terminal: Terminal
  readonly #startedAt: number
  #drawnAt = Number.NEGATIVE_INFINITY

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#startedAt = terminal.clock.now()
  }

  draw(lines: number, at: number): void {
    const { stderr, clock } = this.#terminal
    if (!stderr.isTTY) return
    const now = clock.now()
    if (now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    const seconds = Math.max(1, now - this.#startedAt) / 1000
    stderr.write(
      `\r\x1b[K${lines} lines, ${new Date(at).toISOString().slice(0, 16)}, ${Math.round(lines / seconds)} lines/s`,
    )
  }

  clear(): void {
    if (this.#terminal.stderr.isTTY) this.#terminal.stderr.write('\r\x1b[K')
  }
}
