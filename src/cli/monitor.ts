import { isUtf8 } from 'node:buffer'
import type { LogLines, LogSink, SkippedBecause } from './log-lines'
import { keyIndices, keyWordsOf } from './redis-commands'

/** `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`: seconds, database, client, words. */
const START = /^\+?(\d{1,12})\.(\d{6}) \[(\d+) ([^\]]*\]?[^\]]*)\] (?=")/

export function isMonitor(text: string): boolean {
  return START.test(text)
}

/** Clients whose transaction was begun; those of connections that were cut are forgotten, the oldest first. */
const MOST_OPEN = 10_000

/**
 * What Redis prints under MONITOR. A command is an access to each of its keys; several keys, and all that a client does
 * between MULTI and EXEC, are one transaction. Keys of a database other than 0 are named `db3:key`, unless one
 * database was asked for. What a script does is left out: the EVAL that called it names its keys.
 *
 * MULTI comes when the client sends it, the commands when EXEC runs them, in one piece. So another client's line
 * ends a transaction that has come to its first command, even where no EXEC was seen.
 */
export class MonitorLog implements LogLines {
  readonly #sink: LogSink
  readonly #database: number | undefined
  readonly #open = new Map<string, string>()
  #running: string | undefined
  #transactions = 0

  constructor(sink: LogSink, database?: number) {
    this.#sink = sink
    this.#database = database
  }

  line(text: string, line: number): void {
    if (text === '' || text === 'OK' || text === '+OK') return
    const start = START.exec(text)
    const words = start && Words.of(text, start[0].length)
    if (!words) {
      this.#sink.refuse('unreadable line', line, text)
      return
    }
    const skipped = this.#read(text, line, start, words)
    if (skipped) this.#sink.skip(skipped, line, text)
  }

  #read(text: string, line: number, start: RegExpExecArray, words: Words): SkippedBecause | undefined {
    const database = Number(start[3])
    const client = start[4]!
    if (client === 'lua') return 'called by a script'
    if (this.#running !== undefined && this.#running !== client) {
      this.#open.delete(this.#running)
      this.#running = undefined
    }
    const command = words.text(0)
    const keys = keyWordsOf(command)
    if (!keys) {
      this.#note(command.toLowerCase(), client)
      return keys === null ? 'unknown command' : 'names no key'
    }
    const open = this.#open.get(client)
    if (open !== undefined) this.#running = client
    if (this.#database !== undefined && database !== this.#database) return 'another database'
    const at = keyIndices(keys, words.count, (index) => words.text(index))
    if (at.length === 0) return 'names no key'
    const timestamp = Number(start[1]) * 1000 + Number(start[2]) / 1000
    const transactionId = open ?? (at.length > 1 ? this.#name() : undefined)
    const prefix = this.#database === undefined && database !== 0 ? `db${database}:` : ''
    for (let i = 0; i < at.length; i++)
      this.#sink.entry(
        {
          timestamp,
          key: prefix + words.text(at[i]!),
          operation: keys.write && !(keys.destination && i > 0) ? 'write' : 'read',
          transactionId,
          bytes: at.length === 1 ? words.valueBytes() : undefined,
          queryType: command.toLowerCase(),
        },
        line,
        text,
      )
    return undefined
  }

  end(): void {}

  #note(command: string, client: string): void {
    if (command === 'multi') {
      this.#open.delete(client)
      this.#open.set(client, this.#name())
      if (this.#open.size > MOST_OPEN) this.#open.delete(this.#open.keys().next().value!)
    } else if (command === 'exec' || command === 'discard' || command === 'reset') {
      this.#open.delete(client)
      this.#running = undefined
    }
  }

  #name(): string {
    return `m${++this.#transactions}`
  }
}

const QUOTE = 34
const SPACE = 32
/** Commands whose value stands at this word. */
const VALUE_AT: Readonly<Record<string, number>> = { set: 2, setnx: 2, getset: 2, setex: 3, psetex: 3 }

/** The words of a line, quoted as sdscatrepr of Redis does it. They are put together only when they are asked for. */
class Words {
  private constructor(
    private readonly line: string,
    /** Where each begins and ends, its quotes left out; in pairs. */
    private readonly spans: readonly number[],
  ) {}

  /** Undefined where a quote is missing, or something stands between two words. */
  static of(line: string, from: number): Words | undefined {
    const spans: number[] = []
    for (let at = from; ; ) {
      if (line.charCodeAt(at) !== QUOTE) return undefined
      let end = line.indexOf('"', at + 1)
      while (end > 0 && isEscaped(line, end, at)) end = line.indexOf('"', end + 1)
      if (end < 0) return undefined
      spans.push(at + 1, end)
      if (end + 1 === line.length) return new Words(line, spans)
      if (line.charCodeAt(end + 1) !== SPACE) return undefined
      at = end + 2
    }
  }

  get count(): number {
    return this.spans.length / 2
  }

  text(index: number): string {
    if (index >= this.count) return ''
    const quoted = this.line.slice(this.spans[2 * index], this.spans[2 * index + 1])
    return quoted.includes('\\') ? unescaped(quoted) : quoted
  }

  /** Of the value that the command writes, where it is one word. */
  valueBytes(): number | undefined {
    const at = VALUE_AT[this.text(0).toLowerCase()]
    if (at === undefined || at >= this.count) return undefined
    const quoted = this.line.slice(this.spans[2 * at], this.spans[2 * at + 1])
    return quoted.includes('\\') ? bytesOf(quoted).length : quoted.length
  }
}

/** An odd number of backslashes before it: each pair of them is one backslash. */
function isEscaped(line: string, quote: number, from: number): boolean {
  let before = quote - 1
  while (before > from && line.charCodeAt(before) === 92) before--
  return (quote - 1 - before) % 2 === 1
}

const ESCAPES: Readonly<Record<string, number>> = { '\\': 92, '"': 34, n: 10, r: 13, t: 9, a: 7, b: 8 }

/** A name that is no UTF-8 stays as MONITOR shows it: no two of them become the same. */
function unescaped(quoted: string): string {
  const bytes = bytesOf(quoted)
  return isUtf8(bytes) ? bytes.toString('utf8') : quoted
}

function bytesOf(quoted: string): Buffer {
  const plain = Buffer.from(quoted, 'utf8')
  let length = 0
  for (let i = 0; i < plain.length; i++) {
    let byte = plain[i]!
    if (byte === 92 && i + 1 < plain.length) {
      const sign = String.fromCharCode(plain[i + 1]!)
      const hex = sign === 'x' ? plain.toString('latin1', i + 2, i + 4) : ''
      if (/^[0-9a-fA-F]{2}$/.test(hex)) {
        byte = Number.parseInt(hex, 16)
        i += 3
      } else if (ESCAPES[sign] !== undefined) {
        byte = ESCAPES[sign]
        i++
      }
    }
    plain[length++] = byte
  }
  return plain.subarray(0, length)
}
