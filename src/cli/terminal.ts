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
/** Where nobody is looking, a line so often. */
const SPARSE_MS = 10_000

/** How far the reading of a log has come. */
export interface Reading {
  readonly lines: number
  /** Of the source, and how many there are where that is known. */
  readonly bytes: number
  readonly size: number | undefined
  /** Timestamp of the newest entry. */
  readonly at: number
}

/** One line on stderr that is drawn over and over, where somebody is looking; a line every ten seconds anywhere else. */
export class ProgressLine {
  readonly #terminal: Terminal
  readonly #startedAt: number
  #drawnAt: number

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#startedAt = terminal.clock.now()
    this.#drawnAt = terminal.stderr.isTTY ? Number.NEGATIVE_INFINITY : this.#startedAt
  }

  draw(reading: Reading): void {
    const { stderr, clock } = this.#terminal
    const now = clock.now()
    if (now - this.#drawnAt < (stderr.isTTY ? REDRAW_MS : SPARSE_MS)) return
    this.#drawnAt = now
    const text = reportOf(reading, Math.max(1, now - this.#startedAt))
    stderr.write(stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`)
  }

  clear(): void {
    if (this.#terminal.stderr.isTTY) this.#terminal.stderr.write('\r\x1b[K')
  }
}

function reportOf({ lines, bytes, size, at }: Reading, elapsedMs: number): string {
  const rate = Math.round((1000 * lines) / elapsedMs)
  const share = size !== undefined && size > 0 ? Math.min(1, bytes / size) : undefined
  const eta =
    share === undefined || share === 0
      ? ''
      : `${Math.floor(100 * share)} %, ${shortDuration((elapsedMs * (1 - share)) / share)} left, `
  return `${eta}${lines} lines, ${new Date(at).toISOString().slice(0, 16)}, ${rate} lines/s`
}

function shortDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
