import { type Clock, type Random, systemClock, systemRandom } from '../clock'
import { invalid, shown } from '../errors'
import { type MaintenanceWindow, MaintenanceWindows } from '../maintenance-window'
import { checkPace, type PaceOptions } from '../migrator/pace'
import { checkFields, type Fields } from '../options'
import { checkBuckets, checkShards, type ShardWeight } from '../placement/ring'
import { DEFAULT_BUCKETS, type ShardId } from '../placement/segment'
import { compileTagRule, type DataRelationships, type SchemaInfo, type TagRule } from '../placement/tag'
import { describeTagRule } from '../placement/tag-fingerprint'
import type { ShardStore } from '../shard-store'
import type { TagRuleEntry, TopologyStore } from '../topology-store'
import { checkScore } from '../tracking/access-score'
import { DEFAULT_TRACKED_KEYS, type TrackerOptions } from '../tracking/tracker'
import { type Codec, type CodecOption, codecOf } from './codec'
import { DEFAULT_TRIES } from './dispatcher'
import { checkStore } from './shard-set'

export interface RouterOptions {
  /** The stores by the names of their shards: all that the topology has, and any number of new ones. */
  shards: Readonly<Record<ShardId, ShardStore>> | ReadonlyMap<ShardId, ShardStore>
  /** Shares of new shards relative to the others'; default 1 each. */
  weights?: Readonly<Record<ShardId, number>> | ReadonlyMap<ShardId, number>
  /** Where assignments live; default a memoryTopology() of this router alone. */
  topology?: TopologyStore
  /** Fixed for the life of a deployment, 1 to 1,048,576; default 16,384, or what the topology has. */
  buckets?: number
  /**
   * Seed of the bucket hash, an unsigned 32-bit integer; fixed as well. Default 0, or what the topology has. A secret one
   * keeps outsiders from choosing keys that fall into one bucket, as far as a hash that is no cryptographic one can.
   */
  seed?: number
  /** Where tags come from, beside `{…}` in the keys. The same for every router of a deployment. */
  schema?: SchemaInfo
  relationships?: DataRelationships
  /** Default 'json'. */
  codec?: CodecOption
  /** Confidence from which a resharding is accepted, 0 to 1; default 0.5. */
  confidenceThreshold?: number
  tracking?: TrackerOptions
  /** Longest key and value in bytes, where that is to be less than what the stores allow: for stricter ones to join. */
  maxKeyBytes?: number
  maxValueBytes?: number
  /** Keys that start with it are refused, beside those that a store keeps for itself; default `~foreshard`. */
  reservedPrefix?: string
  /** Tries of an operation before TOO_MANY_REFUSALS, the first included; default 16. */
  tries?: number
  /** How often the topology is asked for changes, where it does not tell by itself; default 5000. */
  pollMs?: number
  /** How long `close` waits for operations under way; default 5000. */
  closeMs?: number
  /** Tunables of the migrator; false: this router neither carries out reshardings nor takes over those of others. */
  migrator?: MigratorTunables | false
  clock?: Clock
  random?: Random
}

/** Passed on to the migrator, which has the defaults. */
export interface MigratorTunables {
  holder?: string
  leaseMs?: number
  pollMs?: number
  batchKeys?: number
  batchBytes?: number
  maxHoldMs?: number
  /** How long a resharding waits for a shard that does not answer before it undoes what it can; default 180000. */
  outageMs?: number
  /** Copying gives way to this router's operations when their latency rises; {} takes the defaults. Default: it does not. */
  pace?: PaceOptions
  /** Nothing is copied, and no move begun, outside of these times; default always. */
  windows?: readonly MaintenanceWindow[]
  failpoint?: (step: string, segment: string) => void | Promise<void>
}

const ROUTER_FIELDS: Fields<RouterOptions> = {
  shards: true,
  weights: true,
  topology: true,
  buckets: true,
  seed: true,
  schema: true,
  relationships: true,
  codec: true,
  confidenceThreshold: true,
  tracking: true,
  maxKeyBytes: true,
  maxValueBytes: true,
  reservedPrefix: true,
  tries: true,
  pollMs: true,
  closeMs: true,
  migrator: true,
  clock: true,
  random: true,
}
const TRACKER_FIELDS: Fields<TrackerOptions> = { halfLifeMs: true, writeWeight: true, keys: true }
const MIGRATOR_FIELDS: Fields<MigratorTunables> = {
  holder: true,
  leaseMs: true,
  pollMs: true,
  batchKeys: true,
  batchBytes: true,
  maxHoldMs: true,
  outageMs: true,
  pace: true,
  windows: true,
  failpoint: true,
}
/** Some 200 bytes each. */
const MOST_TRACKED_KEYS = 1_000_000
const LONGEST_HOLDER = 200

/** Options that were found to be sound, with their defaults. */
export interface CheckedOptions {
  readonly shards: readonly Required<ShardWeight>[]
  readonly stores: ReadonlyMap<ShardId, ShardStore>
  readonly topology: TopologyStore | undefined
  /** Only what was asked for: what is not is taken from the topology. */
  readonly wanted: { readonly buckets?: number; readonly seed?: number }
  readonly buckets: number
  readonly seed: number
  readonly tagOf: TagRule
  readonly tagRule: TagRuleEntry
  readonly codec: Codec
  readonly confidenceThreshold: number
  readonly tracking: TrackerOptions
  readonly maxKeyBytes: number | undefined
  readonly maxValueBytes: number | undefined
  readonly reservedPrefix: string | undefined
  readonly tries: number
  readonly pollMs: number
  readonly closeMs: number
  readonly migrator: MigratorTunables | false
  readonly clock: Clock
  readonly random: Random
}

/** Refuses what is malformed, naming the field, before anything is opened. */
export function checkOptions(options: RouterOptions): CheckedOptions {
  checkFields(options, ROUTER_FIELDS, 'options')
  const stores = storesOf(options.shards)
  const { wanted, buckets, seed } = hashing(options)
  const { topology, confidenceThreshold = 0.5, tracking = {}, migrator = {} } = options
  if (topology !== undefined && typeof topology?.changesSince !== 'function')
    throw invalid(
      'options.topology',
      'is not a topology store; give memoryTopology(), lmdbTopology(…) or the like',
    )
  checkConfidence(confidenceThreshold, 'options.confidenceThreshold')
  checkFields(tracking, TRACKER_FIELDS, 'options.tracking')
  checkScore(tracking, 'options.tracking')
  checkWhole(tracking.keys ?? DEFAULT_TRACKED_KEYS, 1, 'options.tracking.keys', MOST_TRACKED_KEYS)
  for (const field of ['maxKeyBytes', 'maxValueBytes'] as const)
    if (options[field] !== undefined) checkWhole(options[field], 1, `options.${field}`)
  if (migrator !== false) checkTunables(migrator)
  if (options.clock !== undefined && !isClock(options.clock))
    throw invalid('options.clock', 'must be a Clock: { now, sleep, every }')
  if (options.random !== undefined && typeof options.random !== 'function')
    throw invalid('options.random', 'must be a function that returns numbers from 0 to 1')
  const { reservedPrefix } = options
  if (reservedPrefix !== undefined && (typeof reservedPrefix !== 'string' || reservedPrefix === ''))
    throw invalid('options.reservedPrefix', 'must be a non-empty string')
  const weights = weightsOf(options.weights, stores)
  return {
    shards: checkShards(
      [...stores.keys()].map((id) => ({ id, weight: weights.get(id) ?? 1 })),
      'options.shards',
    ),
    stores,
    topology,
    wanted,
    buckets,
    seed,
    tagOf: compileTagRule(options.schema, options.relationships),
    tagRule: describeTagRule(options.schema, options.relationships),
    codec: codecOf(options.codec, 'options.codec'),
    confidenceThreshold,
    tracking,
    maxKeyBytes: options.maxKeyBytes,
    maxValueBytes: options.maxValueBytes,
    reservedPrefix,
    tries: checkWhole(options.tries ?? DEFAULT_TRIES, 1, 'options.tries'),
    pollMs: checkDuration(options.pollMs ?? 5000, 'options.pollMs'),
    closeMs: checkDuration(options.closeMs ?? 5000, 'options.closeMs'),
    migrator,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  }
}

function storesOf(shards: RouterOptions['shards']): Map<ShardId, ShardStore> {
  const field = 'options.shards'
  if (shards === null || typeof shards !== 'object' || Array.isArray(shards))
    throw invalid(field, 'must be an object from the name of a shard to its store')
  const stores = new Map<ShardId, ShardStore>(shards instanceof Map ? shards : Object.entries(shards))
  if (stores.size === 0) throw invalid(field, 'is empty; a router needs at least one shard')
  checkShards([...stores.keys()], field)
  const names = new Map<ShardStore, ShardId>()
  for (const [id, store] of stores) {
    checkStore(store, `${field}.${id}`)
    const other = names.get(store)
    if (other !== undefined)
      throw invalid(`${field}.${id}`, `is the store of ${other} as well; each shard has its own`)
    names.set(store, id)
  }
  return stores
}

function isClock(clock: unknown): boolean {
  const { now, sleep, every } = (clock ?? {}) as Partial<Clock>
  return [now, sleep, every].every((method) => typeof method === 'function')
}

/** A weight of a shard that is not given would be lost: more likely the name is wrong. */
function weightsOf(
  weights: RouterOptions['weights'],
  stores: ReadonlyMap<ShardId, ShardStore>,
): ReadonlyMap<ShardId, number> {
  if (weights === undefined) return new Map()
  if (weights === null || typeof weights !== 'object' || Array.isArray(weights))
    throw invalid('options.weights', 'must be an object from the name of a shard to its weight')
  const given = new Map<ShardId, number>(weights instanceof Map ? weights : Object.entries(weights))
  for (const id of given.keys())
    if (!stores.has(id))
      throw invalid(
        'options.weights',
        `${shown(id)} is none of options.shards, which are ${[...stores.keys()].join(', ')}`,
      )
  return given
}

/** Passed on to a migrator that is made when the topology is open: too late to refuse anything. */
function checkTunables(migrator: MigratorTunables): void {
  const field = 'options.migrator'
  checkFields(migrator, MIGRATOR_FIELDS, field)
  const { holder, failpoint } = migrator
  if (holder !== undefined && (typeof holder !== 'string' || holder === '' || holder.length > LONGEST_HOLDER))
    throw invalid(`${field}.holder`, `must be a name of at most ${LONGEST_HOLDER} characters`)
  checkPace(migrator.pace, `${field}.pace`)
  if (migrator.windows !== undefined) new MaintenanceWindows(migrator.windows, `${field}.windows`)
  if (failpoint !== undefined && typeof failpoint !== 'function')
    throw invalid(`${field}.failpoint`, 'must be a function')
  for (const name of ['batchKeys', 'batchBytes'] as const)
    if (migrator[name] !== undefined) checkWhole(migrator[name], 1, `${field}.${name}`)
  for (const name of ['leaseMs', 'pollMs', 'maxHoldMs', 'outageMs'] as const)
    if (migrator[name] !== undefined && checkDuration(migrator[name], `${field}.${name}`) < 1)
      throw invalid(`${field}.${name}`, `must be at least 1, not ${migrator[name]}`)
}

function hashing({ buckets, seed }: RouterOptions) {
  if (buckets !== undefined) checkBuckets(buckets)
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff))
    throw invalid('options.seed', 'must be an unsigned 32-bit integer')
  return { wanted: { buckets, seed }, buckets: buckets ?? DEFAULT_BUCKETS, seed: seed ?? 0 }
}

export function checkConfidence(value: unknown, field: string): asserts value is number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1))
    throw invalid(field, `must be a number from 0 to 1, not ${shown(value)}`)
}

function checkWhole(value: number, least: number, field: string, most = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const to = most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : ''
    throw invalid(field, `must be a whole number from ${least}${to}, not ${shown(value)}`)
  }
  return value
}

function checkDuration(value: number, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw invalid(field, `must be a positive number of milliseconds, not ${shown(value)}`)
  return value
}
