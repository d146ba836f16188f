import { invalid, shown } from '../errors'
import type { Histogram } from '../histogram'
import type { Migrator } from '../migrator/migrator'
import type { MigrationCounts } from '../migrator/tally'
import { bucketSegment, isTagSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { SegmentUse } from '../tracking/segment-counters'
import type { KeyUse } from '../tracking/top-keys'
import type { Tracker } from '../tracking/tracker'
import type { Dispatcher } from './dispatcher'
import type { RouterEmitter } from './events'
import type { OwnerSearch } from './owner-search'
import { isAdmitted, type ShardSet } from './shard-set'
import type { TopologyFeed } from './topology-feed'
import type { View } from './view'

/** What this router has done since it was opened; other routers count for themselves. */
export interface RouterMetrics {
  /** Of this router, unlike that of any other: in the messages of diagnostic channels. */
  readonly name: string
  readonly shards: readonly ShardMetrics[]
  /** The segments with the highest access scores, highest first. */
  readonly hotSegments: readonly SegmentMetrics[]
  /** The keys with the highest access scores, highest first; see KeyUse for how exact. */
  readonly hotKeys: readonly KeyUse[]
  /** Of one operation in sixteen, in milliseconds, tries and waits included; copies. */
  readonly latency: { readonly reads: Histogram; readonly writes: Histogram }
  /** getMany and setMany of several keys, and those whose keys lay on two shards or more. */
  readonly together: { readonly total: number; readonly crossing: number }
  /** What this router's migrator has done; undefined where it has none. */
  readonly migrations: MigrationCounts | undefined
  /** Operations under way. */
  readonly pending: number
  /** How far the view is: the topology's revision, and how often it was read. */
  readonly revision: number
  readonly refreshes: number
  /** How often all shards had to be asked who owns a segment. */
  readonly searches: number
  /** What tracking costs: bytes (an estimate), keys kept of at most `capacity`, keys that had to make room. */
  readonly tracker: { bytes: number; keys: number; capacity: number; replaced: number }
  /** How many times a listener or observer threw. */
  readonly listenerFailures: number
}

export interface ShardMetrics {
  readonly shard: ShardId
  readonly state: 'active' | 'draining' | 'unlisted'
  /** False while this router has no store for it, or one that came back and has yet to be compared with its peers. */
  readonly serves: boolean
  /** Operations that were answered. */
  readonly reads: number
  readonly writes: number
  /** reads + writeWeight · writes. */
  readonly load: number
  /** The access scores of its segments together: its load of late. */
  readonly accessScore: number
  readonly segments: number
  /** Its share relative to the others'. */
  readonly weight: number
  readonly refused: number
  /** Writes that a hold made wait. */
  readonly held: number
  /** Operations that came here after another shard had refused them. */
  readonly redirected: number
  readonly errors: number
}

export interface SegmentMetrics extends SegmentUse {
  readonly segment: SegmentId
  readonly bucketId: number
  readonly shard: ShardId
}

const HOTTEST = 20

export interface Measured {
  readonly view: View
  readonly shards: ShardSet
  readonly tracker: Tracker
  readonly dispatcher: Dispatcher
  readonly feed: TopologyFeed
  readonly search: OwnerSearch
  readonly events: RouterEmitter
  readonly migrator: Migrator | undefined
}

/** Looks at every segment: meant for every few seconds, not for every operation. */
export function measure(it: Measured, now: number): RouterMetrics {
  const { view, tracker } = it
  const scores = new Map<number, number>()
  const segments = new Map<number, number>()
  const hot: SegmentMetrics[] = []
  const buckets = new Map(tracker.bucketScores(now))
  for (const { segment, bucketId, shard } of view.segments()) {
    segments.set(shard, (segments.get(shard) ?? 0) + 1)
    const isBucket = segment === bucketSegment(bucketId)
    if (isBucket && !buckets.has(bucketId)) continue
    const use = isBucket ? tracker.ofBucket(bucketId, now) : tracker.ofTag(segment.slice(1, -1), now)
    scores.set(shard, (scores.get(shard) ?? 0) + use.accessScore)
    hot.push({ segment, bucketId, shard: view.shardId(shard), ...use })
  }
  hot.sort((a, b) => b.accessScore - a.accessScore)
  const states = new Map(view.shards.map(({ id, state }) => [id, state]))
  const weights = new Map(view.shards.map(({ id, weight }) => [id, weight]))
  return {
    name: it.dispatcher.name,
    latency: { reads: it.dispatcher.latencies.reads.copy(), writes: it.dispatcher.latencies.writes.copy() },
    together: { ...it.dispatcher.together },
    migrations: it.migrator?.counts,
    shards: [...it.shards].map(([index, shard]) => ({
      shard: shard.id,
      state: states.get(shard.id) ?? 'unlisted',
      serves: shard.store !== undefined && isAdmitted(shard),
      reads: shard.reads,
      writes: shard.writes,
      load: shard.reads + tracker.writeWeight * shard.writes,
      accessScore: scores.get(index) ?? 0,
      segments: segments.get(index) ?? 0,
      weight: weights.get(shard.id) ?? 1,
      refused: shard.refused,
      held: shard.held,
      redirected: shard.redirected,
      errors: shard.errors,
    })),
    hotSegments: hot.slice(0, HOTTEST),
    hotKeys: tracker.topKeys(HOTTEST, now),
    pending: it.dispatcher.pending,
    revision: view.revision,
    refreshes: it.feed.refreshes,
    searches: it.search.searches,
    tracker: tracker.memory,
    listenerFailures: it.events.failures,
  }
}

/** The access score of a segment, or else of a key; 0 for what was never used, or not enough to be kept. */
export function accessScoreOf(of: string, { view, tracker }: Measured, now: number): number {
  if (typeof of !== 'string') throw invalid('of', `must be a key or a segment, not ${shown(of)}`)
  if (isTagSegment(of) && view.placeOf(of)) return tracker.ofTag(of.slice(1, -1), now).accessScore
  const bucketId = of.startsWith('#') ? Number(of.slice(1)) : -1
  if (bucketId >= 0 && bucketId < view.buckets && of === bucketSegment(bucketId))
    return tracker.ofBucket(bucketId, now).accessScore
  return tracker.ofKey(of, now)?.accessScore ?? 0
}
