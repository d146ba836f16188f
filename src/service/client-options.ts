import { type Clock, type Random, systemClock, systemRandom } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { checkToken } from './guard'
import type { Fetch } from './transport'

export interface PredictorClientOptions {
  /** One that may record; without it only a service on this machine answers. */
  token?: string
  /** In place of the global fetch. */
  fetch?: Fetch
  /** The log is sent when so much waits, default 256 KiB, */
  batchBytes?: number
  /** and after so long in any case; default 1 s. */
  flushMs?: number
  /** So much of the log is kept back while the service is away; default 16 MiB. Then the oldest is dropped, and counted. */
  bufferBytes?: number
  /** Of a request; default 10 s. */
  timeoutMs?: number
  /** Of a prediction, and of a snapshot; default 120 s. */
  predictTimeoutMs?: number
  /** Between two tries while it is away: drawn between half and all of a time that doubles from the first to the last. Default 1 s. */
  retryMs?: number
  /** Default 60 s. */
  longestRetryMs?: number
  /** Of an answer; default 64 MiB. A snapshot may be eight times as large. */
  answerBytes?: number
  clock?: Clock
  random?: Random
}

const CLIENT_FIELDS: Fields<PredictorClientOptions> = {
  token: true,
  fetch: true,
  batchBytes: true,
  flushMs: true,
  bufferBytes: true,
  timeoutMs: true,
  predictTimeoutMs: true,
  retryMs: true,
  longestRetryMs: true,
  answerBytes: true,
  clock: true,
  random: true,
}
const KIB = 1024
/** What every service takes in one batch. */
const MOST_BATCH_BYTES = 8 * KIB * KIB

/** Refuses what is malformed, naming the field; gives the rest with its defaults. */
export function checkClient(url: unknown, options: PredictorClientOptions) {
  checkFields(options, CLIENT_FIELDS, 'options')
  const { token, fetch = globalThis.fetch as Fetch, clock = systemClock, random = systemRandom } = options
  if (token !== undefined) checkToken(token, 'options.token')
  if (typeof fetch !== 'function') throw invalid('options.fetch', 'must be a function such as fetch')
  if (typeof clock?.sleep !== 'function' || typeof clock.every !== 'function')
    throw invalid('options.clock', 'must be a Clock: { now, sleep, every }')
  if (typeof random !== 'function') throw invalid('options.random', 'must be a function')
  const number = (name: keyof PredictorClientOptions, otherwise: number, most = Number.MAX_SAFE_INTEGER) => {
    const value = options[name] ?? otherwise
    if (typeof value !== 'number' || !(value >= 1 && value <= most))
      throw invalid(`options.${name}`, `must be a number from 1 to ${most}, not ${shown(value)}`)
    return value
  }
  const batchBytes = number('batchBytes', 256 * KIB, MOST_BATCH_BYTES)
  return {
    url: checkUrl(url),
    token,
    fetch,
    clock,
    random,
    batchBytes,
    bufferBytes: Math.max(batchBytes, number('bufferBytes', 16 * KIB * KIB)),
    flushMs: number('flushMs', 1_000),
    timeoutMs: number('timeoutMs', 10_000),
    predictTimeoutMs: number('predictTimeoutMs', 120_000),
    retryMs: number('retryMs', 1_000),
    longestRetryMs: number('longestRetryMs', 60_000),
    answerBytes: number('answerBytes', 64 * KIB * KIB),
  }
}

/** Without the slash at its end. What is not shown may hold a password. */
function checkUrl(url: unknown): string {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:'))
    throw invalid('url', 'must be the URL of a service, such as http://127.0.0.1:7070')
  if (parsed.username !== '' || parsed.password !== '')
    throw invalid('url', 'holds a user name or a password; give a token as options.token')
  if (parsed.search !== '' || parsed.hash !== '') throw invalid('url', 'must end with its path')
  return parsed.href.replace(/\/+$/, '')
}
