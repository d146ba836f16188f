import { type Clock, type Random, seededRandom, systemClock } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import type { Placement } from '../placement/assignment'
import { checkBuckets, checkShards, type ShardWeight } from '../placement/ring'
import type { SegmentId, ShardAssignmentMap, ShardId } from '../placement/segment'
import { checkSegment } from '../placement/segment'
import { compileTagRule, type DataRelationships, type SchemaInfo } from '../placement/tag'
import { LATEST_MS } from '../tracking/access-log'
import type { TrackingAttributes } from '../tracking/tracking-attributes'
import { checkObjective } from './objective'
import type { MoveBudget, Objective } from './prediction'

const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
/** Four weeks of hours. */
const HISTORY = 672
/** The ring of intervals is an array of its own. */
const LONGEST_HISTORY = 1 << 20
/** Slots × intervals that a predictor may hold at most: 256 MiB of loads. */
const MOST_CELLS = 1 << 26
const LONGEST_HORIZON = 1_000
const DEFAULT_HORIZON = 24

export interface PredictorOptions {
  /** Ids, or ids with weights: the placement to start from where `predict` is given none. */
  shards: readonly (ShardId | ShardWeight)[]
  buckets?: number
  /** Seed of the bucket hash, as in the placement. */
  seed?: number
  schema?: SchemaInfo
  relationships?: DataRelationships
  /** Length of an interval; default one hour. */
  intervalMs?: number
  /** Intervals that are kept; default 672, less if memory would exceed 256 MiB. */
  history?: number
  /** Tags that are followed one by one, the hottest; default 512. */
  hotTags?: number
  /** Weights of the objective J. */
  objective?: Partial<Objective>
  /** Half-life of the access score; default one hour. */
  halfLifeMs?: number
  /** How even is even: no move while the imbalance is forecast to stay below 1 + tolerance. Default 0.02. */
  tolerance?: number
  random?: Random
  clock?: Clock
}

export interface PredictRequest {
  /** What is to be improved; default: the initial placement of the predictor's own shards. */
  placement?: Placement
  /** How far ahead the loads are balanced; default 24 intervals. */
  horizonMs?: number
  budget?: MoveBudget
  /** ms since the epoch; default the clock's. Nothing recorded at or after it is used. */
  now?: number
  /** Shards that are to receive nothing: full, failing. */
  forbidden?: Iterable<ShardId>
  /** Shards that are to be emptied. */
  draining?: Iterable<ShardId>
  /** Moves under way: counted as done, and left alone. */
  inFlight?: ShardAssignmentMap
  /** What updates were labelled with: tells the heat of segments that the log hardly knows. */
  trackingAttributes?: readonly TrackingAttributes[]
}

const PREDICTOR_FIELDS: Fields<PredictorOptions> = {
  shards: true,
  buckets: true,
  seed: true,
  schema: true,
  relationships: true,
  intervalMs: true,
  history: true,
  hotTags: true,
  objective: true,
  halfLifeMs: true,
  tolerance: true,
  random: true,
  clock: true,
}
export const REQUEST_FIELDS: Fields<PredictRequest> = {
  placement: true,
  horizonMs: true,
  budget: true,
  now: true,
  forbidden: true,
  draining: true,
  inFlight: true,
  trackingAttributes: true,
}

export interface Settings {
  readonly shards: readonly Required<ShardWeight>[]
  readonly buckets: number
  readonly seed: number
  readonly schema?: SchemaInfo
  readonly relationships?: DataRelationships
  readonly intervalMs: number
  readonly history: number
  readonly hotTags: number
  readonly objective: Objective
  readonly halfLifeMs: number
  readonly tolerance: number
  readonly random: Random
  readonly clock: Clock
}

export function checkOptions(options: PredictorOptions): Settings {
  checkFields(options, PREDICTOR_FIELDS, 'options')
  const shards = checkShards(options.shards, 'options.shards')
  if (shards.length === 0) throw invalid('options.shards', 'is empty; name at least one shard')
  const buckets = checkBuckets(options.buckets)
  const seed = whole(options.seed, 0, 0, 0xffffffff, 'options.seed')
  const hotTags = whole(options.hotTags, 512, 0, 16_384, 'options.hotTags')
  const most = Math.min(LONGEST_HISTORY, Math.floor(MOST_CELLS / (buckets + hotTags)))
  if (typeof options.history === 'number' && options.history > most)
    throw invalid(
      'options.history',
      `may be at most ${most} intervals with ${buckets} buckets, or its memory would exceed 256 MiB`,
    )
  const history = whole(options.history, Math.min(HISTORY, most), 2, most, 'options.history')
  // Compiled here once, so that a bad schema is refused with its field's name.
  compileTagRule(options.schema, options.relationships)
  for (const name of ['random', 'clock'] as const) {
    const given = options[name]
    const good = name === 'random' ? typeof given === 'function' : typeof (given as Clock)?.now === 'function'
    if (given !== undefined && !good)
      throw invalid(`options.${name}`, name === 'random' ? 'must be a function' : 'must be a Clock')
  }
  return {
    shards,
    buckets,
    seed,
    schema: options.schema,
    relationships: options.relationships,
    intervalMs: duration(options.intervalMs, HOUR_MS, 'options.intervalMs'),
    history,
    hotTags,
    objective: checkObjective(options.objective, 'options.objective'),
    halfLifeMs: duration(options.halfLifeMs, HOUR_MS, 'options.halfLifeMs'),
    tolerance: fraction(options.tolerance, 0.02, 'options.tolerance'),
    random: options.random ?? seededRandom(0x5eed),
    clock: options.clock ?? systemClock,
  }
}

export interface CheckedRequest {
  /** Intervals of the horizon. */
  readonly horizon: number
  readonly now: number
  readonly maxMoves: number
  readonly maxLoadShare: number
  readonly maxBytes: number
  readonly forbidden: ReadonlySet<ShardId>
  readonly draining: ReadonlySet<ShardId>
  readonly inFlight: ShardAssignmentMap
  /** Load an interval of segments by their access scores. */
  readonly rates: ReadonlyMap<SegmentId, number>
}

export function checkRequest(
  request: PredictRequest,
  placement: Placement,
  settings: Settings,
): CheckedRequest {
  const { intervalMs, buckets, seed } = settings
  if (typeof placement?.segmentOf !== 'function' || typeof placement.with !== 'function')
    throw invalid('placement', 'must be a Placement, such as router.placement')
  if (placement.buckets !== buckets || placement.seed !== seed)
    throw invalid(
      'placement',
      `has ${placement.buckets} buckets and seed ${placement.seed}, this predictor ${buckets} and ${seed}; make it with the same options`,
    )
  const horizonMs = positive(request.horizonMs, DEFAULT_HORIZON * intervalMs, 'horizonMs')
  const horizon = Math.max(1, Math.ceil(horizonMs / intervalMs))
  if (horizon > LONGEST_HORIZON)
    throw invalid('horizonMs', `may be at most ${LONGEST_HORIZON} intervals of ${intervalMs} ms`)
  const now = request.now ?? settings.clock.now()
  if (!(typeof now === 'number' && now >= 0 && now <= LATEST_MS))
    throw invalid('now', `must be milliseconds since the epoch, not ${shown(now)}`)
  const budget = checkBudget(request.budget, 'budget')
  const known = new Set(placement.shards)
  const shardSet = (given: Iterable<ShardId> | undefined, field: string) => {
    if (given === undefined) return new Set<ShardId>()
    if (given === null || typeof given !== 'object' || !(Symbol.iterator in given))
      throw invalid(field, `must be an array or another iterable of shards, not ${shown(given)}`)
    const set = new Set<ShardId>()
    for (const shard of given) {
      if (!known.has(shard)) throw invalid(field, `${shown(shard)} is no shard of the placement`)
      set.add(shard)
    }
    return set
  }
  const inFlight = request.inFlight ?? new Map()
  placement.with(inFlight)
  return {
    horizon,
    now,
    ...budget,
    forbidden: shardSet(request.forbidden, 'forbidden'),
    draining: shardSet(request.draining, 'draining'),
    inFlight,
    rates: ratesOf(request.trackingAttributes ?? [], settings),
  }
}

/**
 * The rate behind an access score: a stream of r accesses an interval keeps it at r · halfLife / (interval · ln 2). Of a
 * segment's attributes, those with the highest sequence number count.
 */
function ratesOf(attributes: readonly TrackingAttributes[], settings: Settings): Map<SegmentId, number> {
  const { buckets, intervalMs, halfLifeMs } = settings
  if (!Array.isArray(attributes)) throw invalid('trackingAttributes', 'must be an array')
  const newest = new Map<SegmentId, TrackingAttributes>()
  attributes.forEach((given: TrackingAttributes, i) => {
    const field = `trackingAttributes[${i}]`
    if (given === null || typeof given !== 'object')
      throw invalid(field, 'must be { sequenceNumber, bucketId, segment, accessScore }')
    checkSegment(given.segment, buckets, `${field}.segment`)
    if (!Number.isFinite(given.accessScore) || given.accessScore < 0)
      throw invalid(`${field}.accessScore`, 'must be a finite number, not negative')
    if (!Number.isFinite(given.sequenceNumber))
      throw invalid(`${field}.sequenceNumber`, 'must be a finite number')
    const known = newest.get(given.segment)
    if (known === undefined || given.sequenceNumber >= known.sequenceNumber) newest.set(given.segment, given)
  })
  return new Map(
    [...newest].map(([segment, { accessScore }]) => [
      segment,
      (accessScore * Math.LN2 * intervalMs) / halfLifeMs,
    ]),
  )
}

const BUDGET_FIELDS: Fields<MoveBudget> = { maxMoves: true, maxLoadShare: true, maxBytes: true }

/** The whole budget: a limit that is not given is none. */
export function checkBudget(given: MoveBudget | undefined, field: string): Required<MoveBudget> {
  const budget = given === undefined ? {} : given
  checkFields(budget, BUDGET_FIELDS, field)
  const limit = (name: keyof MoveBudget) => {
    const value = budget[name] ?? Number.POSITIVE_INFINITY
    if (typeof value !== 'number' || !(value >= 0))
      throw invalid(`${field}.${name}`, `must be a number, not negative, not ${shown(value)}`)
    return value
  }
  return { maxMoves: limit('maxMoves'), maxLoadShare: limit('maxLoadShare'), maxBytes: limit('maxBytes') }
}

function whole(value: number | undefined, otherwise: number, min: number, max: number, field: string) {
  if (value === undefined) return otherwise
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(field, `must be a whole number from ${min} to ${max}, not ${shown(value)}`)
  return value
}

/** Fractions of a millisecond are no time that a clock tells. */
function duration(value: number | undefined, otherwise: number, field: string): number {
  const ms = positive(value, otherwise, field)
  if (ms < 1 || ms > LATEST_MS)
    throw invalid(field, `must be from 1 to ${LATEST_MS} milliseconds, not ${shown(value)}`)
  return ms
}

function positive(value: number | undefined, otherwise: number, field: string): number {
  if (value === undefined) return otherwise
  if (!Number.isFinite(value) || value <= 0)
    throw invalid(field, `must be a finite number of milliseconds above 0, not ${shown(value)}`)
  return value
}

function fraction(value: number | undefined, otherwise: number, field: string): number {
  if (value === undefined) return otherwise
  if (!Number.isFinite(value) || value < 0 || value > 1)
    throw invalid(field, `must lie between 0 and 1, not ${shown(value)}`)
  return value
}
