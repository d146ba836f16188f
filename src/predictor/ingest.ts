import type { Clock } from '../clock'
import { invalid } from '../errors'
import { Pace } from './pace'
import type { Recorder, Refusal } from './recorder'

/** Entries between two rests. */
const BATCH = 2_048
/** Refused entries that are shown per reason. */
const EXAMPLES = 3

export interface IngestReport {
  accepted: number
  /** Reason -> how many. */
  refused: Map<Refusal, number>
  /** The first refused entries: at which position of the log, and why. */
  examples: { at: number; reason: Refusal }[]
}

export async function ingest(
  recorder: Recorder,
  entries: Iterable<unknown> | AsyncIterable<unknown>,
  clock: Clock,
): Promise<IngestReport> {
  const report: IngestReport = { accepted: 0, refused: new Map(), examples: [] }
  const pace = new Pace(clock)
  let at = 0
  const take = (entry: unknown) => {
    const reason = recorder.offer(entry)
    if (reason === undefined) report.accepted++
    else {
      const seen = report.refused.get(reason) ?? 0
      report.refused.set(reason, seen + 1)
      if (seen < EXAMPLES) report.examples.push({ at, reason })
    }
    at++
  }
  if (isIterable(entries)) {
    for (const entry of entries) {
      take(entry)
      if (at % BATCH === 0) await pace.rest()
    }
  } else if (isAsyncIterable(entries)) {
    for await (const entry of entries) {
      take(entry)
      if (at % BATCH === 0) await pace.rest()
    }
  } else throw invalid('entries', 'must be an iterable or async iterable of access log entries')
  return report
}

function isIterable(entries: unknown): entries is Iterable<unknown> {
  return typeof entries === 'object' && entries !== null && Symbol.iterator in entries
}

function isAsyncIterable(entries: unknown): entries is AsyncIterable<unknown> {
  return typeof entries === 'object' && entries !== null && Symbol.asyncIterator in entries
}
