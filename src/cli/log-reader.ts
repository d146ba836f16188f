import { createReadStream } from 'node:fs'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { invalid } from '../errors'
import { LineSplitter } from '../log/line-splitter'
import { NdjsonLog } from '../log/ndjson'
import { type AccessLogEntry, type RefusedBecause, refusedBecause } from '../tracking/access-log'
import { CsvLog } from './csv'

/** Lines that were left out for one reason: how many, and the first of them. */
export interface Refusals {
  count: number
  examples: { line: number; text: string }[]
}

export interface LogReaderOptions {
  /** A later timestamp is refused. */
  latest?: number
}

const EXAMPLES = 3
const SHOWN = 100
/** A key cut out of a longer line is copied, or it would keep the line in memory for as long as it is known. */
const LONG_LINE = 1024

/**
 * The entries of a log: CSV or NDJSON, told apart by the first character; plain or gzipped, by the first bytes. Reads
 * as fast as it is iterated. A bad line is counted in `refused` and left out; only a log that cannot be read as one at
 * all, a header without the columns or a broken gzip stream, is an error.
 */
export class LogReader implements AsyncIterable<AccessLogEntry> {
  readonly refused = new Map<RefusedBecause, Refusals>()
  lines = 0
  bytes = 0
  readonly #source: Readable
  readonly #latest: number
  #format: CsvLog | NdjsonLog | undefined
  #batch: AccessLogEntry[] = []

  constructor(source: Readable, options: LogReaderOptions = {}) {
    this.#source = source
    this.#latest = options.latest ?? Number.POSITIVE_INFINITY
  }

  /** Of a file, or of standard input for '-'. */
  static open(path: string, options?: LogReaderOptions): LogReader {
    return new LogReader(
      path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 18 }),
      options,
    )
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AccessLogEntry> {
    const splitter = new LineSplitter({
      line: (text, number) => this.#line(text, number),
      unusable: (reason, number, start) => {
        this.lines = number
        this.#refuse(reason, number, start)
      },
    })
    for await (const chunk of this.#plain()) {
      splitter.push(chunk)
      yield* this.#take()
    }
    splitter.end()
    this.#format?.end()
    yield* this.#take()
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

  *#take(): Generator<AccessLogEntry> {
    const batch = this.#batch
    this.#batch = []
    yield* batch
  }

  #line(text: string, number: number): void {
    this.lines = number
    if (this.#format) {
      this.#format.line(text, number)
      return
    }
    if (text.trim() === '') return
    const sink = {
      entry: (entry: unknown, line: number, source: string) => this.#entry(entry, line, source),
      refuse: (reason: RefusedBecause, line: number, source: string) => this.#refuse(reason, line, source),
    }
    const json = /^\s*[{[]/.test(text)
    this.#format = json ? new NdjsonLog(sink) : new CsvLog(text, sink)
    if (json) this.#format.line(text, number)
  }

  #entry(entry: unknown, line: number, text: string): void {
    const reason = refusedBecause(entry, this.#latest)
    if (reason) {
      this.#refuse(reason, line, text)
      return
    }
    const good = entry as AccessLogEntry
    if (text.length > LONG_LINE)
      for (const name of ['key', 'transactionId', 'queryType', 'userProfile'] as const)
        if (good[name] !== undefined) good[name] = copied(good[name]!)
    this.#batch.push(good)
  }

  #refuse(reason: RefusedBecause, line: number, text: string): void {
    let refusals = this.refused.get(reason)
    if (!refusals) {
      refusals = { count: 0, examples: [] }
      this.refused.set(reason, refusals)
    }
    refusals.count++
    if (refusals.examples.length < EXAMPLES)
      refusals.examples.push({ line, text: copied(text.slice(0, SHOWN)) })
  }
}

function copied(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}
