import { type Clock, systemClock } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { Placement } from '../placement/assignment'
import { MOST_SHARDS, type ShardWeight } from '../placement/ring'
import type { ShardId } from '../placement/segment'
import type { DataRelationships, SchemaInfo } from '../placement/tag'
import { checkObjective } from '../predictor/objective'
import { checkBudget } from '../predictor/options'
import type { MoveBudget, Objective } from '../predictor/prediction'
import type { AccessLogEntry } from '../tracking/access-log'
import { hashPolicy } from './policies/hash'
import type { PlacementPolicy, PolicyFunction } from './policies/placement-policy'
import { predictivePolicy } from './policies/predictive'
import { reactivePolicy } from './policies/reactive'
import { Replay } from './replay/replay'
import { meanFloor, type PolicyReport, policyReport, type SimulationReport } from './report'
import { verdictOf } from './verdict'

export const POLICY_NAMES = ['hash', 'reactive', 'predictive', 'clairvoyant'] as const
export type PolicyName = (typeof POLICY_NAMES)[number]

export interface SimulateOptions {
  /** How many, or which ones. Of a number n they are called s1 to sn. */
  shards: number | readonly (ShardId | ShardWeight)[]
  /** By name, or your own. All four that have a name unless given. */
  policies?: readonly (PolicyName | PlacementPolicy | PolicyFunction)[]
  /** Intervals are aligned to the epoch. Default one hour. */
  intervalMs?: number
  /** Over which a move has to pay off; what policies plan for. Default 24 intervals. */
  horizonMs?: number
  /** Time between two decisions. Default: one interval. */
  everyMs?: number
  buckets?: number
  schema?: SchemaInfo
  relationships?: DataRelationships
  objective?: Partial<Objective>
  /** Of every single decision. Told to the policies; the named ones keep it. */
  budget?: MoveBudget
  /** Of the bucket hash, and of all chance. Default 0. */
  seed?: number
  /** An entry may be so much older than the newest before it. Default one minute, an interval at most. */
  latenessMs?: number
  /** Says what lies in the future: an entry more than a day ahead of it is refused. Default the system's. */
  clock?: Clock
  onProgress?(progress: SimulationProgress): void
}

const SIMULATE_FIELDS: Fields<SimulateOptions> = {
  shards: true,
  policies: true,
  intervalMs: true,
  horizonMs: true,
  everyMs: true,
  buckets: true,
  schema: true,
  relationships: true,
  objective: true,
  budget: true,
  seed: true,
  latenessMs: true,
  clock: true,
  onProgress: true,
}

export interface SimulationProgress {
  /** Entries read. */
  readonly entries: number
  /** Timestamp that the replay has come to. */
  readonly at: number
}

const HOUR_MS = 3_600_000
/** Clocks of those who write logs may be ahead by so much. */
const AHEAD_MS = 24 * HOUR_MS

/** Entries in order of time. What comes asynchronously may come in arrays: waiting for each entry costs more than its replay. */
export type AccessLog =
  | Iterable<AccessLogEntry>
  | AsyncIterable<AccessLogEntry>
  | AsyncIterable<readonly AccessLogEntry[]>

/**
 * Replays an access log, in order of time, against placement policies, and reports what each would have cost. A
 * policy sees the past only, and what it decides holds from the next interval on. All start from the ring's placement.
 *
 * A move is paid off over the horizon, as J has it: for so long, the load of what moved counts as moved.
 */
export async function simulate(entries: AccessLog, options: SimulateOptions): Promise<SimulationReport> {
  checkFields(options, SIMULATE_FIELDS, 'options')
  const intervalMs = checkDuration(options.intervalMs ?? HOUR_MS, 'options.intervalMs')
  const horizon = checkMultiple(options.horizonMs ?? 24 * intervalMs, intervalMs, 'options.horizonMs')
  const every = checkMultiple(options.everyMs ?? intervalMs, intervalMs, 'options.everyMs')
  const latenessMs = options.latenessMs ?? Math.min(60_000, intervalMs)
  if (!(typeof latenessMs === 'number' && latenessMs >= 0 && latenessMs <= intervalMs))
    throw invalid('options.latenessMs', 'must lie between 0 and intervalMs')
  const objective = checkObjective(options.objective, 'options.objective')
  checkBudget(options.budget, 'options.budget')
  if (options.clock !== undefined && typeof options.clock?.now !== 'function')
    throw invalid('options.clock', `must be a Clock: { now, sleep, every }, not ${shown(options.clock)}`)
  if (options.onProgress !== undefined && typeof options.onProgress !== 'function')
    throw invalid('options.onProgress', `must be a function, not ${shown(options.onProgress)}`)
  const { budget = {} } = options
  const seed = options.seed ?? 0
  const placement = Placement.initial({
    shards: checkShardOption(options.shards),
    buckets: options.buckets,
    seed,
    schema: options.schema,
    relationships: options.relationships,
    founded: true,
  })
  const asked = checkPolicies(options.policies ?? POLICY_NAMES)
  const policies = asked
    .filter((policy) => policy !== 'clairvoyant')
    .map((policy) => {
      if (policy === 'hash') return hashPolicy()
      if (policy === 'reactive') return reactivePolicy()
      if (policy !== 'predictive') return policy
      const { schema, relationships } = options
      return predictivePolicy({ placement, schema, relationships, intervalMs, objective, seed })
    })
  const replay = new Replay({
    placement,
    policies,
    clairvoyant: asked.includes('clairvoyant'),
    intervalMs,
    horizon,
    every,
    latenessMs,
    notAfter: (options.clock ?? systemClock).now() + AHEAD_MS,
    objective,
    budget,
  })

  const { counts } = replay.sequencer
  const advance = async (at: number) => {
    await replay.advance()
    options.onProgress?.({ entries: counts.read, at })
  }
  const take = async (given: AccessLogEntry | readonly AccessLogEntry[]) => {
    if (!Array.isArray(given)) {
      if (replay.push(given as AccessLogEntry)) await advance((given as AccessLogEntry).timestamp)
      return
    }
    for (const entry of given) if (replay.push(entry)) await advance(entry.timestamp)
  }
  // A plain iterable is not awaited entry by entry: that would cost more than all the rest.
  if (isIterable(entries)) {
    for (const entry of entries) if (replay.push(entry)) await advance(entry.timestamp)
  } else if (isAsyncIterable(entries)) {
    for await (const given of entries) await take(given)
  } else throw invalid('entries', 'must be an iterable or async iterable of access log entries')
  await replay.advance(true)

  const reports: Record<string, PolicyReport> = Object.create(null)
  for (const policy of asked) {
    const name = typeof policy === 'string' ? policy : policy.name
    const track = name === 'clairvoyant' ? replay.oracle! : replay.tracks.get(name)!
    reports[name] = policyReport(name, track, objective)
  }
  const floor = meanFloor(replay.floors)
  const [first] = Object.values(reports)
  const scored = first!.intervals
  return {
    shards: placement.shards,
    buckets: placement.buckets,
    seed,
    intervalMs,
    horizonMs: horizon * intervalMs,
    everyMs: every * intervalMs,
    objective,
    entries: counts,
    from: scored[0]?.start ?? 0,
    to: scored.length > 0 ? scored[scored.length - 1]!.start + intervalMs : 0,
    load: scored.reduce((sum, it) => sum + it.load, 0),
    noiseFloor: floor,
    policies: reports,
    verdict: verdictOf(reports, floor, horizon),
  }
}

function isIterable(entries: unknown): entries is Iterable<AccessLogEntry> {
  return typeof entries === 'object' && entries !== null && Symbol.iterator in entries
}

function isAsyncIterable(
  entries: unknown,
): entries is AsyncIterable<AccessLogEntry | readonly AccessLogEntry[]> {
  return typeof entries === 'object' && entries !== null && Symbol.asyncIterator in entries
}

function checkDuration(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 1)
    throw invalid(field, 'must be a whole number of milliseconds, 1 or more')
  return value
}

/** A duration in whole intervals. */
function checkMultiple(value: number, intervalMs: number, field: string): number {
  checkDuration(value, field)
  if (value % intervalMs !== 0)
    throw invalid(field, `must be a multiple of intervalMs, which is ${intervalMs}`)
  return value / intervalMs
}

function checkShardOption(shards: SimulateOptions['shards']): readonly (ShardId | ShardWeight)[] {
  if (typeof shards !== 'number') return shards
  if (!Number.isInteger(shards) || shards < 1 || shards > MOST_SHARDS)
    throw invalid('options.shards', `must be 1 to ${MOST_SHARDS}, or an array of shards`)
  return Array.from({ length: shards }, (_, i) => `s${i + 1}`)
}

function checkPolicies(policies: NonNullable<SimulateOptions['policies']>): (PolicyName | PlacementPolicy)[] {
  if (!Array.isArray(policies) || policies.length === 0)
    throw invalid('options.policies', `must name at least one of ${POLICY_NAMES.join(', ')}, or be your own`)
  const names = new Set<string>()
  return policies.map((given: PolicyName | PlacementPolicy | PolicyFunction, i) => {
    const field = `options.policies[${i}]`
    const known = POLICY_NAMES.find((name) => name === given)
    const policy =
      known ??
      (typeof given === 'function' ? { name: given.name || `policy ${i + 1}`, decide: given } : given)
    if (typeof policy === 'string' && !known)
      throw invalid(field, `${shown(policy)} is unknown; there are ${POLICY_NAMES.join(', ')}`)
    const name = typeof policy === 'string' ? policy : policy?.name
    if (typeof name !== 'string' || name === '') throw invalid(`${field}.name`, 'must be a non-empty string')
    if (typeof policy !== 'string' && typeof policy.decide !== 'function')
      throw invalid(`${field}.decide`, 'must be a function of the step')
    if (typeof policy !== 'string' && (POLICY_NAMES as readonly string[]).includes(name))
      throw invalid(`${field}.name`, `${name} is the name of a policy that is there already`)
    if (names.has(name)) throw invalid(`${field}.name`, `${name} is there twice; names are unique`)
    names.add(name)
    return policy
  })
}
