import type { Placement } from '../placement/assignment'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import { rolledBackBy, standingOf } from '../router/rollback'
import type { HistoryEntry } from '../topology-store'

const PREFIX = 'auto: '
const GAIN = /^auto: J falls by (-?\d+(?:\.\d+)?)/

/** The reason under which a resharding enters the history that nobody was asked about: by it a rebalancer knows its own again. */
export function autoReason(reason: string): string {
  return `${PREFIX}${reason}`
}

/** What J was expected to fall by, 0 where that was not the point; undefined for what no rebalancer decided by itself. */
export function expectedGainOf(reason: string): number | undefined {
  return reason.startsWith(PREFIX) ? Number(GAIN.exec(reason)?.[1] ?? 0) : undefined
}

/**
 * The reshardings on which nobody else's builds, newest first: those at the end of what stands that were decided here. Going back behind
 * one of them undoes only what was.
 */
export function ownAtTheEnd(history: readonly HistoryEntry[]): HistoryEntry[] {
  const byId = new Map(history.map((entry) => [entry.id, entry]))
  const own: HistoryEntry[] = []
  for (const id of [...standingOf(history)].reverse()) {
    const entry = byId.get(id)
    if (!entry || expectedGainOf(entry.reason) === undefined) break
    own.push(entry)
  }
  return own
}

/** How often since then it was gone back behind a resharding that was decided here, and when last. */
export function ownRollbacks(
  history: readonly HistoryEntry[],
  since: number,
): { count: number; last: number } {
  const byId = new Map(history.map((entry) => [entry.id, entry]))
  let count = 0
  let last = Number.NEGATIVE_INFINITY
  for (const { at, reason } of history) {
    const undone = byId.get(rolledBackBy(reason) ?? '')
    if (at < since || !undone || expectedGainOf(undone.reason) === undefined) continue
    count++
    last = Math.max(last, at)
  }
  return { count, last }
}

/**
 * The placement as it was before an entry of the history and all that follow on it. A tag that was not carved out then is carved
 * here, where its bucket was: the same place for every key. Undefined where a shard of then is there no more.
 */
export function placementBefore(
  now: Placement,
  history: readonly HistoryEntry[],
  id: string,
): Placement | undefined {
  const first = history.findIndex((entry) => entry.id === id)
  const map = new Map<SegmentId, ShardId>()
  const carved = new Set<SegmentId>()
  for (const entry of history.slice(Math.max(0, first)).reverse()) {
    for (const [segment, shard] of [...entry.before, ...entry.merged]) {
      carved.delete(segment)
      map.set(segment, shard)
    }
    for (const segment of entry.carved) carved.add(segment)
  }
  for (const segment of carved) {
    const home = bucketSegment(now.bucketOf(segment))
    map.set(segment, map.get(home) ?? now.shardOf(home))
  }
  return [...map.values()].every((shard) => now.shards.includes(shard)) ? now.with(map) : undefined
}
