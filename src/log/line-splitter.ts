import { isUtf8 } from 'node:buffer'

export const MOST_LINE_BYTES = 1 << 20
/** Of a line that is left out, so much is kept to be shown. */
const SHOWN_BYTES = 120

export interface LineSink {
  /** A line of UTF-8 from `from` to `to`; false: it has to be told as a text. Not asked of lines cut by chunks. */
  quick?(bytes: Buffer, from: number, to: number, number: number): boolean
  line(text: string, number: number): void
  /** A line that was not kept: over MOST_LINE_BYTES, or not UTF-8. `start` is how it begins. */
  unusable(reason: 'line too long' | 'unreadable line', number: number, start: string): void
}

const NEWLINE = 10
const RETURN = 13

/**
 * Cuts bytes into lines at LF, taking a CR before it and a byte order mark at the very beginning away. Holds one line
 * at most, and of a line that is too long only the beginning.
 */
export class LineSplitter {
  readonly #sink: LineSink
  #rest: Buffer[] = []
  #restBytes = 0
  #skipping = false
  #number = 0

  constructor(sink: LineSink) {
    this.#sink = sink
  }

  push(chunk: Buffer): void {
    let from = 0
    const known = isUtf8(chunk)
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      if (this.#restBytes === 0 && !this.#skipping) this.#emit(chunk, from, to, known)
      else {
        this.#keep(chunk.subarray(from, to))
        this.#finish()
      }
      from = to + 1
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from))
  }

  end(): void {
    if (this.#restBytes > 0 || this.#skipping) this.#finish()
  }

  #keep(part: Buffer): void {
    if (this.#skipping) return
    this.#rest.push(part)
    this.#restBytes += part.length
    if (this.#restBytes <= MOST_LINE_BYTES) return
    this.#skipping = true
    this.#rest = [Buffer.concat(this.#rest).subarray(0, SHOWN_BYTES)]
    this.#restBytes = SHOWN_BYTES
  }

  #finish(): void {
    const bytes = Buffer.concat(this.#rest)
    const tooLong = this.#skipping
    this.#rest = []
    this.#restBytes = 0
    this.#skipping = false
    if (tooLong) this.#sink.unusable('line too long', ++this.#number, bytes.toString('latin1'))
    else this.#emit(bytes, 0, bytes.length, false)
  }

  #emit(bytes: Buffer, from: number, to: number, knownUtf8: boolean): void {
    const number = ++this.#number
    if (to - from > MOST_LINE_BYTES) {
      this.#sink.unusable('line too long', number, bytes.toString('latin1', from, from + SHOWN_BYTES))
      return
    }
    if (to > from && bytes[to - 1] === RETURN) to--
    if (number === 1 && bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf)
      from += 3
    if (knownUtf8 && this.#sink.quick?.(bytes, from, to, number)) return
    if (knownUtf8 || isUtf8(bytes.subarray(from, to)))
      this.#sink.line(bytes.toString('utf8', from, to), number)
    else
      this.#sink.unusable(
        'unreadable line',
        number,
        bytes.toString('latin1', from, Math.min(to, from + SHOWN_BYTES)),
      )
  }
}
