import { invalid, shown } from '../errors'
import type { SegmentId, ShardId } from '../placement/segment'
import type { HistoryEntry } from '../topology-store'

/** The way back to an earlier assignment. */
export interface WayBack {
  /** The resharding before which the assignment was as it will be again. */
  readonly to: string
  readonly moves: ReadonlyMap<SegmentId, ShardId>
  /** Tags that were carved out since. */
  readonly merges: readonly SegmentId[]
}

const PREFIX = 'rollback to before '

/** The reason under which a rollback enters the history; no other resharding may use it. */
export function rollbackReason(id: string): string {
  return `${PREFIX}${id}`
}

/** The resharding that a rollback went back behind; undefined for what is no rollback. */
export function rolledBackBy(reason: string): string | undefined {
  return isRollbackReason(reason) ? reason.slice(PREFIX.length) : undefined
}

export function isRollbackReason(reason: string): boolean {
  return reason.startsWith(PREFIX)
}

/**
 * The newest resharding that still stands: rollbacks do not count, nor what they undid. So a rollback repeated walks back
 * one resharding at a time, like undo in an editor; a rollback to a rollback's own id is redo.
 */
export function newestStanding(history: readonly HistoryEntry[]): string | undefined {
  return standingOf(history).at(-1)
}

/** All that still stand, oldest first. */
export function standingOf(history: readonly HistoryEntry[]): readonly string[] {
  let standing: readonly string[] = []
  const before = new Map<string, readonly string[]>()
  for (const { id, reason } of history) {
    before.set(id, standing)
    // A rollback brings back what stood before its target; nothing of what is no longer remembered.
    standing = isRollbackReason(reason) ? (before.get(reason.slice(PREFIX.length)) ?? []) : [...standing, id]
  }
  return standing
}

/**
 * What it takes to have the assignment that was there before resharding `to`; undefined when nothing stands.
 *
 * @param history finished reshardings, oldest first.
 * @param whereIs the shard of a segment now; undefined for a tag that is not carved out.
 */
export function wayBack(
  history: readonly HistoryEntry[],
  whereIs: (segment: SegmentId) => ShardId | undefined,
  to?: string,
): WayBack | undefined {
  const id = to ?? newestStanding(history)
  if (id === undefined) return undefined
  const first = history.findIndex((entry) => entry.id === id)
  if (first < 0)
    throw invalid(
      'options.to',
      `${shown(id)} is not the id of a resharding that is remembered; the last ${history.length} are`,
    )
  // From the newest to the oldest: what was before the oldest counts. undefined: inside its bucket.
  const wanted = new Map<SegmentId, ShardId | undefined>()
  for (let i = history.length - 1; i >= first; i--) {
    const { before, carved, merged } = history[i]!
    for (const [segment, shard] of before) wanted.set(segment, shard)
    for (const segment of carved) wanted.set(segment, undefined)
    for (const [segment, shard] of merged) wanted.set(segment, shard)
  }
  const moves = new Map<SegmentId, ShardId>()
  const merges: SegmentId[] = []
  for (const [segment, shard] of wanted) {
    const now = whereIs(segment)
    if (shard === undefined) {
      if (now !== undefined) merges.push(segment)
    } else if (shard !== now) moves.set(segment, shard)
  }
  return { to: id, moves, merges }
}
