import { ErrorCode, ForeshardError, invalid } from '../errors'
import { isTagSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { MoveEntry, PlanEntry, ShardEntry } from '../topology-store'

/** What is asked of the migrator: bring these segments to these shards, then fold these tags back. */
export interface PlanRequest {
  readonly moves: readonly { readonly segment: SegmentId; readonly to: ShardId }[]
  /** Tags to fold back into their buckets, on the shard where the bucket is after the moves. */
  readonly merges?: readonly SegmentId[]
  readonly confidence: number
  readonly reason: string
  /** How long former owners keep their copy, so that the way back copies only what changed. 0: purged at once. */
  readonly retainMs?: number
  /** Compare both copies before the cutover. Default true. */
  readonly verify?: boolean
  readonly maxKeysPerSecond?: number
  readonly maxBytesPerSecond?: number
  /** Handoffs at a time; those of one bucket never overlap. */
  readonly concurrency?: number
}

export const DEFAULT_RETAIN_MS = 60_000
export const DEFAULT_CONCURRENCY = 4

const MAX_MOVES = 1 << 21
/** A rate so high that it limits nothing, and that every topology store can write down. */
const UNLIMITED = Number.MAX_SAFE_INTEGER

/** Refuses a malformed request before anything is changed. */
export function checkRequest(
  request: PlanRequest,
  knows: (shard: ShardId) => boolean,
  bucketOf: (segment: SegmentId) => number,
): void {
  if (request === null || typeof request !== 'object') throw invalid('request', 'must be { moves, … }')
  const { moves, merges = [] } = request
  if (!Array.isArray(moves)) throw invalid('request.moves', 'must be an array of { segment, to }')
  if (!Array.isArray(merges)) throw invalid('request.merges', 'must be an array of tag segments')
  if (moves.length + merges.length > MAX_MOVES)
    throw invalid('request.moves', `has more than ${MAX_MOVES} entries; make several plans`)
  const targets = new Map<SegmentId, ShardId>()
  moves.forEach(({ segment, to }, i) => {
    if (targets.has(segment)) throw invalid(`request.moves[${i}]`, `${segment} is there twice; name it once`)
    if (!knows(to)) throw invalid(`request.moves[${i}].to`, `shard ${to} is unknown here; add it first`)
    bucketOf(segment)
    targets.set(segment, to)
  })
  merges.forEach((segment, i) => {
    if (!isTagSegment(segment)) throw invalid(`request.merges[${i}]`, 'only a tag "{…}" can be folded back')
    if (targets.has(segment))
      throw invalid(`request.merges[${i}]`, `${segment} is to move as well; leave out its move`)
  })
  if (new Set(merges).size !== merges.length)
    throw invalid('request.merges', 'names a tag twice; name it once')
  if (!(request.confidence >= 0 && request.confidence <= 1))
    throw invalid('request.confidence', 'must be a number from 0 to 1')
  if (typeof request.reason !== 'string') throw invalid('request.reason', 'must be a sentence')
  atLeast(request.retainMs, 0, 'request.retainMs')
  atLeast(request.maxKeysPerSecond, Number.MIN_VALUE, 'request.maxKeysPerSecond')
  atLeast(request.maxBytesPerSecond, Number.MIN_VALUE, 'request.maxBytesPerSecond')
  atLeast(request.concurrency, 1, 'request.concurrency')
}

function atLeast(value: number | undefined, least: number, field: string): void {
  if (value === undefined) return
  if (typeof value !== 'number' || !(value >= least))
    throw invalid(
      field,
      least === 1 ? 'must be at least 1' : least === 0 ? 'must be 0 or more' : 'must be above 0',
    )
}

/** Where a segment is, as the topology has it; undefined for a tag that is not carved out. */
export type WhereIs = (segment: SegmentId) => ShardId | undefined

/**
 * The record by which any process can finish the plan. A tag that is to be folded back gets a move of its own, to the
 * shard where its bucket will be, so that the record tells where it came from. `left` of an earlier plan is what could
 * not be settled: it gets no target, and is only settled.
 */
export function planEntry(
  request: PlanRequest,
  id: string,
  startedAt: number,
  whereIs: WhereIs,
  homeOf: (segment: SegmentId) => SegmentId,
  left: readonly MoveEntry[] = [],
): PlanEntry {
  const targets = new Map(request.moves.map((move) => [move.segment, move.to]))
  const merges = (request.merges ?? []).filter((segment) => whereIs(segment) !== undefined)
  const moves: MoveEntry[] = request.moves.map(({ segment, to }) => ({
    segment,
    to,
    from: whereIs(segment) ?? '',
  }))
  for (const segment of merges) {
    const home = homeOf(segment)
    moves.push({ segment, to: targets.get(home) ?? whereIs(home)!, from: whereIs(segment)! })
  }
  const named = new Set(moves.map((move) => move.segment))
  for (const move of left) if (!named.has(move.segment)) moves.push({ ...move, to: '' })
  return {
    id,
    moves,
    merges,
    confidence: request.confidence,
    reason: request.reason,
    startedAt,
    retainMs: request.retainMs ?? DEFAULT_RETAIN_MS,
    verify: request.verify ?? true,
    maxKeysPerSecond: request.maxKeysPerSecond ?? UNLIMITED,
    maxBytesPerSecond: request.maxBytesPerSecond ?? UNLIMITED,
    concurrency: Math.floor(request.concurrency ?? DEFAULT_CONCURRENCY),
    cancelled: false,
  }
}

/** Why the topology as it now is cannot take the plan: a target is not there, or is being emptied. */
export function refusalOf(plan: PlanEntry, shards: readonly ShardEntry[]): ForeshardError | undefined {
  for (const { to } of plan.moves) {
    const shard = shards.find((it) => it.id === to)
    if (to === '' || shard?.state === 'active') continue
    const why = shard ? 'is being drained; no segment moves there' : 'is not in the topology; add it first'
    return new ForeshardError(ErrorCode.UNKNOWN_SHARD, `shard ${to} ${why}`, { shard: to })
  }
  return undefined
}
