import { createReadStream } from 'node:fs'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { invalid } from '../errors'
import { LineSplitter } from '../log/line-splitter'
import { type AccessLogEntry, type RefusedBecause, refusedBecause } from '../tracking/access-log'
import { formatOf, type LogFormat, type LogFormatOptions, linesOf } from './log-format'
import type { LogLines, LogSink, SkippedBecause } from './log-lines'

/** Lines that were left out for one reason: how many, and the first of them. */
export interface Refusals {
  count: number
  examples: { line: number; text: string }[]
}

export type LogReaderOptions = LogFormatOptions

const EXAMPLES = 3
const SHOWN = 100
/** A key cut out of a longer line is copied, or it would keep the line in memory for as long as it is known. */
const LONG_LINE = 1024

/**
 * The entries of a log, of a format that its beginning tells; plain or gzipped, by the first bytes. Reads as fast as it
 * is iterated. A bad line is counted in `refused` and left out, a line that stands for no access in `skipped`; only a
 * log that cannot be read as one at all, a header without the columns or a broken gzip stream, is an error.
 */
export class LogReader implements AsyncIterable<AccessLogEntry> {
  readonly refused = new Map<RefusedBecause, Refusals>()
  readonly skipped = new Map<SkippedBecause, Refusals>()
  lines = 0
  /** Read of the source, as it is: packed where it is gzipped. */
  bytes = 0
  /** Timestamp of the newest entry that was read. */
  at = 0
  readonly #source: Readable
  readonly #options: LogReaderOptions
  readonly #latest: number
  readonly #sink: LogSink
  #format: LogFormat | undefined
  #log: LogLines | undefined
  #batch: AccessLogEntry[] = []

  constructor(source: Readable, options: LogReaderOptions = {}) {
    this.#source = source
    this.#options = options
    this.#latest = options.latest ?? Number.POSITIVE_INFINITY
    this.#format = options.format
    this.#sink = {
      good: (entry) => this.#batch.push(entry),
      entry: (entry, line, text) => this.#entry(entry, line, text),
      refuse: (reason, line, text) => count(this.refused, reason, line, text),
      skip: (reason, line, text) => count(this.skipped, reason, line, text),
    }
  }

  /** Undefined before its first line that is not empty. */
  get format(): LogFormat | undefined {
    return this.#format
  }

  /** Of a file, or of standard input for '-'. */
  static open(path: string, options?: LogReaderOptions): LogReader {
    return new LogReader(
      path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 18 }),
      options,
    )
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AccessLogEntry> {
    for await (const batch of this.batches()) yield* batch
  }

  /** The same entries, as many at a time as a piece of the source has: one by one, waiting costs more than reading. */
  async *batches(): AsyncGenerator<AccessLogEntry[]> {
    const splitter = new LineSplitter({
      quick: (bytes, from, to, number) => {
        if (this.#log?.quick?.(bytes, from, to) !== true) return false
        this.lines = number
        return true
      },
      line: (text, number) => this.#line(text, number),
      unusable: (reason, number, start) => {
        this.lines = number
        count(this.refused, reason, number, start)
      },
    })
    for await (const chunk of this.#plain()) {
      splitter.push(chunk)
      if (this.#batch.length > 0) yield this.#take()
    }
    splitter.end()
    this.#log?.end()
    if (this.#batch.length > 0) yield this.#take()
  }

  /** The bytes, gunzipped where they start like gzip. */
  async *#plain(): AsyncGenerator<Buffer> {
    let head = Buffer.alloc(0)
    const chunks = this.#source[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    let done = false
    while (head.length < 2 && !done) {
      const next = await chunks.next()
      done = next.done === true
      if (!done) head = Buffer.concat([head, this.#count(next.value)])
    }
    const rest = async function* (this: LogReader) {
      try {
        yield head
        for (;;) {
          const next = await chunks.next()
          if (next.done) return
          yield this.#count(next.value)
        }
      } finally {
        // Whoever stops reading early closes the source.
        await chunks.return?.()
      }
    }.call(this)
    if (head[0] !== 0x1f || head[1] !== 0x8b) {
      yield* rest
      return
    }
    const plain = new PassThrough({ highWaterMark: 1 << 18 })
    const unpacking = pipeline(rest, createGunzip({ chunkSize: 1 << 18 }), plain)
    // Its failure is thrown below, where the bytes before it have been used.
    unpacking.catch(() => {})
    try {
      yield* plain as AsyncIterable<Buffer>
      await unpacking
    } catch (cause) {
      throw invalid('log', `is gzipped but cannot be unpacked (${(cause as Error).message}); is it cut off?`)
    }
  }

  #count(chunk: Buffer): Buffer {
    this.bytes += chunk.length
    return chunk
  }

  #take(): AccessLogEntry[] {
    const batch = this.#batch
    this.#batch = []
    this.at = batch[batch.length - 1]!.timestamp
    return batch
  }

  #line(text: string, number: number): void {
    this.lines = number
    if (this.#log) {
      this.#log.line(text, number)
      return
    }
    if (text.trim() === '') return
    this.#format ??= formatOf(text, this.#options)!
    this.#log = linesOf(this.#format, text, number, this.#sink, this.#options)
  }

  #entry(entry: unknown, line: number, text: string): void {
    const reason = refusedBecause(entry, this.#latest)
    if (reason) {
      count(this.refused, reason, line, text)
      return
    }
    const good = entry as AccessLogEntry
    if (text.length > LONG_LINE)
      for (const name of ['key', 'transactionId', 'queryType', 'userProfile'] as const)
        if (good[name] !== undefined) good[name] = copied(good[name]!)
    this.#batch.push(good)
  }
}

function count<Reason>(counts: Map<Reason, Refusals>, reason: Reason, line: number, text: string): void {
  let refusals = counts.get(reason)
  if (!refusals) {
    refusals = { count: 0, examples: [] }
    counts.set(reason, refusals)
  }
  refusals.count++
  if (refusals.examples.length < EXAMPLES)
    refusals.examples.push({ line, text: copied(text.slice(0, SHOWN)) })
}

function copied(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}
