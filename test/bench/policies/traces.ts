import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { bookings } from '../../../examples/flights/bookings'
import { LogReader } from '../../../src/cli/log-reader'
import { seededRandom } from '../../../src/clock'
import type { AccessLogEntry } from '../../../src/tracking/access-log'
import { HOUR, poisson, WORKLOADS, type WorkloadName } from '../../workloads'

const MINUTE = 60_000
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** A log to replay policies on. */
export interface Trace {
  readonly name: string
  readonly intervalMs: number
  entries(): Promise<AccessLogEntry[]>
}

/** Real traces, as far as they are there: files of the data folder, and the flights that vega-datasets brings. */
export function realTraces(folder: string | undefined): Trace[] {
  const file = (name: string) => (folder === undefined ? '' : join(folder, name))
  const csv = (name: string) => async () => {
    const entries: AccessLogEntry[] = []
    for await (const entry of LogReader.open(file(name))) entries.push(entry)
    return entries
  }
  const files: (Trace & { file: string })[] = [
    { name: 'bus', file: 'bus.csv.gz', intervalMs: HOUR, entries: csv('bus.csv.gz') },
    { name: 'blocks', file: 'blocks.csv.gz', intervalMs: MINUTE, entries: csv('blocks.csv.gz') },
    { name: 'baskets (real)', file: 'baskets.csv.gz', intervalMs: HOUR, entries: csv('baskets.csv.gz') },
    {
      name: 'apache',
      file: 'apache-access.log.gz',
      intervalMs: HOUR,
      entries: async () => apache(text(file('apache-access.log.gz'))),
    },
    {
      name: 'worldcup',
      file: 'worldcup98-minutes.csv.gz',
      intervalMs: HOUR,
      entries: async () => worldCup(text(file('worldcup98-minutes.csv.gz'))),
    },
  ]
  return [
    ...files.filter((trace) => folder !== undefined && existsSync(file(trace.file))),
    { name: 'flights', intervalMs: HOUR, entries: flights },
  ]
}

export function syntheticTraces(days?: number): Trace[] {
  return (Object.keys(WORKLOADS) as WorkloadName[]).map((name) => ({
    name,
    intervalMs: HOUR,
    entries: async () => WORKLOADS[name](days),
  }))
}

/** The same log without all that lies more than `intervals` before its end. */
export function tail(entries: AccessLogEntry[], intervals: number, intervalMs: number): AccessLogEntry[] {
  const end = entries.reduce((newest, { timestamp }) => Math.max(newest, timestamp), 0)
  return entries.filter(({ timestamp }) => timestamp > end - intervals * intervalMs)
}

function text(path: string): string {
  return gunzipSync(readFileSync(path)).toString()
}

/** Combined log format: the client's address and the path without its query are what is accessed together. */
function apache(log: string): AccessLogEntry[] {
  const entries: AccessLogEntry[] = []
  for (const line of log.split('\n')) {
    const match = /^\S+ \S+ \S+ \[(\d+)\/(\w+)\/(\d+):(\d+):(\d+):(\d+) [^\]]*\] "(\w+) ([^ ?"]+)/.exec(line)
    if (!match) continue
    const [, day, month, year, hour, minute, second, method, path] = match
    const timestamp = Date.UTC(
      Number(year),
      MONTHS.indexOf(month!),
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    )
    entries.push({ timestamp, key: path!, operation: method === 'POST' ? 'write' : 'read' })
  }
  return entries.sort((a, b) => a.timestamp - b.timestamp)
}

/**
 * The last four weeks of the World Cup's site: it has no keys, so that its requests are dealt out to 300 by Zipf's law, two in
 * five of them to the four keys that a day is about.
 */
function worldCup(csv: string): AccessLogEntry[] {
  const random = seededRandom(98)
  const byHour = new Map<number, number>()
  for (const line of csv.split('\n').slice(1)) {
    const comma = line.indexOf(',')
    const at = Date.parse(`${line.slice(0, comma).replace(' ', 'T')}Z`)
    const hour = Math.floor(at / HOUR)
    if (Number.isFinite(hour)) byHour.set(hour, (byHour.get(hour) ?? 0) + Number(line.slice(comma + 1)))
  }
  const hours = [...byHour.keys()].sort((a, b) => a - b).slice(-28 * 24)
  const entries: AccessLogEntry[] = []
  const all = Array.from({ length: 300 }, (_, rank) => 1 / (rank + 1) ** 0.8)
  const sum = all.reduce((a, b) => a + b, 0)
  for (const hour of hours)
    all.forEach((share, key) => {
      const today = key >> 2 === Math.floor(hour / 24) % 75
      const count = poisson((byHour.get(hour)! / 100) * ((0.6 * share) / sum + (today ? 0.1 : 0)), random)
      if (count > 0) entries.push({ timestamp: hour * HOUR, key: `page:${key}`, operation: 'read', count })
    })
  return entries
}

/** Every sixth flight of five weeks: a booking touches both airports and the route. */
async function flights(): Promise<AccessLogEntry[]> {
  const entries: AccessLogEntry[] = []
  let first: number | undefined
  let number = 0
  for await (const { at, origin, destination } of bookings(6)) {
    first ??= at
    if (at >= first + 35 * 24 * HOUR) break
    const transactionId = `f${number++}`
    for (const key of [`airport:${origin}`, `airport:${destination}`, `route:${origin}-${destination}`])
      entries.push({
        timestamp: at,
        key,
        operation: key.startsWith('route') ? 'write' : 'read',
        transactionId,
      })
  }
  return entries.sort((a, b) => a.timestamp - b.timestamp)
}
