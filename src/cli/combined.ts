import type { LogLines, LogSink } from './log-lines'

/** What of a request is its key. */
export const REQUEST_KEYS = ['path', 'url', 'host', 'user'] as const
export type RequestKey = (typeof REQUEST_KEYS)[number]

/** What says which kind of user a request is from. */
export const REQUEST_USERS = ['auth', 'agent', 'none'] as const
export type RequestUser = (typeof REQUEST_USERS)[number]

export interface CombinedLogOptions {
  key?: RequestKey
  user?: RequestUser
}

/** host ident user [time] "request" status bytes, and in the combined format "referer" "agent"; more may follow. */
const LINE =
  /^(\S+) \S+ (.+?) \[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: "(?:[^"\\]|\\.)*" "((?:[^"\\]|\\.)*)")?/

/** `GET /a?b HTTP/1.1`; HTTP/0.9 names no version. */
const REQUEST = /^([A-Za-z][\w-]*) (\S.*?)(?: HTTP\/[\d.]+)?$/
const READS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])
const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'

export function isCombined(text: string): boolean {
  return LINE.test(text)
}

/**
 * The access log of Apache, nginx and others: the common log format or the combined one. A request is an access to
 * its path; GET, HEAD and their like read, all other methods write. `%b` is the size.
 */
export class CombinedLog implements LogLines {
  readonly #sink: LogSink
  readonly #key: RequestKey
  readonly #user: RequestUser
  #lastText = ''
  #lastTime = Number.NaN

  constructor(sink: LogSink, { key = 'path', user = 'auth' }: CombinedLogOptions = {}) {
    this.#sink = sink
    this.#key = key
    this.#user = user
  }

  line(text: string, line: number): void {
    if (text === '') return
    const match = LINE.exec(text)
    const request = match && REQUEST.exec(match[8]!)
    if (!match || !request) {
      this.#sink.refuse('unreadable line', line, text)
      return
    }
    const profile = this.#user === 'auth' ? match[2]! : this.#user === 'agent' ? (match[11] ?? '-') : '-'
    this.#sink.entry(
      {
        timestamp: this.#time(match),
        key: this.#keyOf(match, request[2]!),
        operation: READS.has(request[1]!.toUpperCase()) ? 'read' : 'write',
        bytes: match[10] === '-' ? undefined : Number(match[10]),
        queryType: request[1]!.toUpperCase(),
        userProfile: profile === '-' || profile === '' ? undefined : plain(profile),
      },
      line,
      text,
    )
  }

  end(): void {}

  #keyOf(match: RegExpExecArray, target: string): string {
    if (this.#key === 'host') return match[1]!
    if (this.#key === 'user') return match[2] === '-' ? '' : plain(match[2]!)
    // A proxy is asked for a whole address.
    const url = plain(target.replace(/^https?:\/\/[^/?#]*(?=[/?#]|$)/i, '') || '/')
    if (this.#key === 'url') return url
    const end = url.search(/[?#]/)
    return end < 0 ? url : url.slice(0, end) || '/'
  }

  #time([, , , day, month, year, time, zone]: RegExpExecArray): number {
    const text = `${year}-${month}-${day}T${time}${zone}`
    if (text === this.#lastText) return this.#lastTime
    this.#lastText = text
    const number = MONTHS.indexOf(month!) / 3 + 1
    const iso = `${year}-${String(number).padStart(2, '0')}-${day}T${time}${zone!.slice(0, 3)}:${zone!.slice(3)}`
    this.#lastTime = Number.isInteger(number) && number > 0 ? Date.parse(iso) : Number.NaN
    return this.#lastTime
  }
}

/** Quotes, backslashes and bytes as Apache and nginx escape them; what is no UTF-8 then stays as it is shown. */
function plain(text: string): string {
  if (!text.includes('\\')) return text
  const bytes = Buffer.from(
    text.replace(/\\(?:x([0-9a-fA-F]{2})|(["\\]))/g, (whole, hex, sign) =>
      hex && Number.parseInt(hex, 16) < 128 ? String.fromCharCode(Number.parseInt(hex, 16)) : (sign ?? whole),
    ),
  )
  return bytes.toString('utf8')
}
