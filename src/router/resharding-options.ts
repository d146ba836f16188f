import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import type { Placement } from '../placement/assignment'
import {
  checkSegment,
  isTagSegment,
  MAX_BUCKETS,
  type SegmentId,
  type ShardAssignmentMap,
} from '../placement/segment'
import { isRollbackReason } from './rollback'

export interface ReshardingOptions {
  /** Limits of the copying, all segments together; default none. */
  maxKeysPerSecond?: number
  maxBytesPerSecond?: number
  /** Segments that move at the same time. */
  concurrency?: number
  /** Compare both copies before each cutover; default true. */
  verify?: boolean
  /** How long former owners keep their copies, so that a rollback copies only what changed. */
  retainMs?: number
  /** Aborting it cancels what has not been cut over. */
  signal?: AbortSignal
  /** A sentence for the history. */
  reason?: string
  /** Carved tags to fold back into their buckets, after the moves. */
  merge?: Iterable<SegmentId>
  /** The placement that the map was made for. A segment of the map that has changed since makes the map stale. */
  placement?: Placement
}

export type RollbackOptions = Omit<ReshardingOptions, 'reason' | 'merge' | 'placement'> & {
  /** The resharding to go back behind; default the newest that still stands. */
  to?: string
  /** The newest of the history, as the caller knows it: where something has been added since, nothing is rolled back. */
  last?: string
}

/** What every resharding may be told, also that of a rollback or of a shard that joins. */
export const LIMITS = {
  maxKeysPerSecond: true,
  maxBytesPerSecond: true,
  concurrency: true,
  verify: true,
  retainMs: true,
  signal: true,
} as const
const RESHARDING_FIELDS: Fields<ReshardingOptions> = { ...LIMITS, reason: true, merge: true, placement: true }
const ROLLBACK_FIELDS: Fields<RollbackOptions> = { ...LIMITS, to: true, last: true }
/** It is kept in the topology, and read by everybody who opens it. */
const LONGEST_REASON = 1_000
const MOST_CONCURRENT = 1_024

/** Refuses what the migrator would refuse later, and name by its own fields. */
export function checkLimits(options: ReshardingOptions): void {
  const { verify, signal, retainMs, concurrency } = options
  for (const name of ['maxKeysPerSecond', 'maxBytesPerSecond'] as const) {
    const rate = options[name]
    if (rate !== undefined && !(typeof rate === 'number' && rate > 0))
      throw invalid(`options.${name}`, `must be a number above 0, not ${shown(rate)}`)
  }
  if (retainMs !== undefined && !(typeof retainMs === 'number' && retainMs >= 0 && Number.isFinite(retainMs)))
    throw invalid('options.retainMs', `must be a number of milliseconds from 0, not ${shown(retainMs)}`)
  if (
    concurrency !== undefined &&
    !(Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= MOST_CONCURRENT)
  )
    throw invalid(
      'options.concurrency',
      `must be a whole number from 1 to ${MOST_CONCURRENT}, not ${shown(concurrency)}`,
    )
  if (verify !== undefined && typeof verify !== 'boolean')
    throw invalid('options.verify', 'must be true or false')
  if (signal !== undefined && typeof signal?.addEventListener !== 'function')
    throw invalid('options.signal', 'must be an AbortSignal')
}

export function checkReshardingOptions(options: ReshardingOptions): void {
  checkFields(options, RESHARDING_FIELDS, 'options')
  checkLimits(options)
  const { reason = '', placement } = options
  if (typeof reason !== 'string' || isRollbackReason(reason))
    throw invalid('options.reason', 'must be a sentence, and not that of a rollback')
  if (reason.length > LONGEST_REASON)
    throw invalid('options.reason', `has ${reason.length} characters; at most ${LONGEST_REASON} are kept`)
  if (placement !== undefined && typeof placement?.assignmentOf !== 'function')
    throw invalid('options.placement', 'must be the Placement that the map was made for')
}

export function checkRollbackOptions(options: RollbackOptions): void {
  checkFields(options, ROLLBACK_FIELDS, 'options')
  checkLimits(options)
  if (options.to !== undefined && typeof options.to !== 'string')
    throw invalid('options.to', `must be the id of a resharding, not ${shown(options.to)}`)
  if (options.last !== undefined && typeof options.last !== 'string')
    throw invalid('options.last', `must be the id of a resharding, not ${shown(options.last)}`)
}

/** The tags to fold back, each once. */
export function mergesOf(
  { merge }: ReshardingOptions,
  map: ShardAssignmentMap,
  buckets: number,
): SegmentId[] {
  if (merge === undefined) return []
  if (merge === null || typeof merge !== 'object' || !(Symbol.iterator in merge))
    throw invalid('options.merge', `must be an array or another iterable of tags, not ${shown(merge)}`)
  const merges = new Set<SegmentId>()
  for (const segment of merge) {
    if (typeof segment !== 'string' || !isTagSegment(segment))
      throw invalid('options.merge', `${shown(segment)} is not a tag "{…}"; only a tag can be folded back`)
    checkSegment(segment, buckets, 'options.merge')
    if (map.has(segment))
      throw invalid(
        'options.merge',
        `${shown(segment)} is in the map as well; a tag moves or is folded back, not both`,
      )
    if (merges.add(segment).size > MAX_BUCKETS)
      throw invalid('options.merge', `names more than ${MAX_BUCKETS} tags; make several reshardings`)
  }
  return [...merges]
}
