import { type Clock, systemClock } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { Placement } from '../placement/assignment'
import type { DataRelationships, SchemaInfo } from '../placement/tag'
import { type AccessLogEntry, refusedBecause } from '../tracking/access-log'
import type { TrackingAttributes } from '../tracking/tracking-attributes'
import type { IngestReport } from './ingest'
import { HOUR_MS, type PredictorOptions, type PredictRequest } from './options'
import type { ShardAssignmentPrediction } from './prediction'
import { Predictor } from './predictor'

/** Interval lengths to choose from, ms: the longest of which a log has fifty. */
const INTERVALS = [1_000, 10_000, 60_000, 300_000, 900_000, HOUR_MS]
const ENOUGH_INTERVALS = 50

export type PredictShardAssignmentOptions = Omit<
  PredictorOptions,
  'shards' | 'schema' | 'relationships' | 'clock'
> &
  Omit<PredictRequest, 'trackingAttributes'> & {
    /** The shards, for a layout that starts out; or else the placement that there is. */
    shards?: PredictorOptions['shards']
  }

const PREDICTION_FIELDS: Fields<PredictShardAssignmentOptions> = {
  shards: true,
  buckets: true,
  seed: true,
  intervalMs: true,
  history: true,
  hotTags: true,
  objective: true,
  halfLifeMs: true,
  tolerance: true,
  random: true,
  placement: true,
  horizonMs: true,
  budget: true,
  now: true,
  forbidden: true,
  draining: true,
  inFlight: true,
}

export interface PredictedShardAssignment extends ShardAssignmentPrediction {
  /** What of the log was used, and what was refused and why. */
  readonly ingested: IngestReport
  readonly intervalMs: number
}

/**
 * The predictor as one function of its arguments: the same log, in any order, gives the same answer. `now` is the end of the log, and
 * the length of an interval follows from the log's, unless options say otherwise.
 */
export async function predictShardAssignment(
  historicalAccessLogs: Iterable<AccessLogEntry> | AsyncIterable<AccessLogEntry>,
  schemaInfo: SchemaInfo | undefined | null,
  dataRelationships: DataRelationships | undefined | null,
  trackingAttributes: readonly TrackingAttributes[] | undefined | null,
  options: PredictShardAssignmentOptions,
): Promise<PredictedShardAssignment> {
  checkFields(options, PREDICTION_FIELDS, 'options')
  const entries = await collect(historicalAccessLogs)
  const schema = schemaInfo ?? undefined
  const relationships = dataRelationships ?? undefined
  if (options.placement !== undefined && typeof options.placement?.weightOf !== 'function')
    throw invalid('options.placement', `must be a Placement, not ${shown(options.placement)}`)
  const placement = options.placement ?? initialPlacement(options, schema, relationships)
  const good = entries.filter((entry) => refusedBecause(entry) === undefined)
  good.sort((a, b) => a.timestamp - b.timestamp)
  const intervalMs = options.intervalMs ?? intervalFor(good)
  const end = options.now ?? (good[good.length - 1]?.timestamp ?? 0) + 1
  // Time is the log's own; only the pauses between slices of work are taken from the machine.
  const clock: Clock = { ...systemClock, now: () => end }
  const predictor = new Predictor({
    shards: placement.shards.map((id) => ({ id, weight: placement.weightOf(id) })),
    buckets: placement.buckets,
    seed: placement.seed,
    schema,
    relationships,
    intervalMs,
    history: options.history,
    hotTags: options.hotTags,
    objective: options.objective,
    halfLifeMs: options.halfLifeMs,
    tolerance: options.tolerance,
    random: options.random,
    clock,
  })
  const ingested = await predictor.ingest(good)
  const refused = await predictor.ingest(entries.filter((entry) => refusedBecause(entry) !== undefined))
  for (const [reason, count] of refused.refused) ingested.refused.set(reason, count)
  const { intervals } = predictor.metrics
  const newest = intervals === 0 ? 0 : predictor.newest
  const prediction = await predictor.predict({
    placement,
    horizonMs: options.horizonMs,
    budget: options.budget,
    now: options.now ?? (newest + 1) * intervalMs,
    forbidden: options.forbidden,
    draining: options.draining,
    inFlight: options.inFlight,
    trackingAttributes: trackingAttributes ?? undefined,
  })
  return { ...prediction, ingested: { ...ingested, examples: examplesIn(entries) }, intervalMs }
}

function initialPlacement(
  options: PredictShardAssignmentOptions,
  schema: SchemaInfo | undefined,
  relationships: DataRelationships | undefined,
): Placement {
  if (options.shards === undefined)
    throw invalid('options.shards', 'is missing; name the shards, or give a placement')
  const { shards, buckets, seed } = options
  return Placement.initial({ shards, buckets, seed, schema, relationships })
}

async function collect(
  logs: Iterable<AccessLogEntry> | AsyncIterable<AccessLogEntry>,
): Promise<AccessLogEntry[]> {
  if (Array.isArray(logs)) return logs
  if (logs === null || typeof logs !== 'object' || !(Symbol.iterator in logs || Symbol.asyncIterator in logs))
    throw invalid('historicalAccessLogs', 'must be an iterable or async iterable of access log entries')
  const entries: AccessLogEntry[] = []
  for await (const entry of logs) entries.push(entry)
  return entries
}

/** A single stray timestamp does not stretch the log: its first and last hundredth are left out. */
function intervalFor(sorted: readonly AccessLogEntry[]): number {
  const n = sorted.length
  if (n < 2) return HOUR_MS
  const margin = Math.floor(n / 100)
  const span = sorted[n - 1 - margin]!.timestamp - sorted[margin]!.timestamp
  return (
    INTERVALS.findLast((length) => span >= ENOUGH_INTERVALS * length) ?? (span > 0 ? INTERVALS[0]! : HOUR_MS)
  )
}

function examplesIn(entries: readonly unknown[]): IngestReport['examples'] {
  const examples: IngestReport['examples'] = []
  for (let at = 0; at < entries.length && examples.length < 10; at++) {
    const reason = refusedBecause(entries[at])
    if (reason !== undefined) examples.push({ at, reason })
  }
  return examples
}
