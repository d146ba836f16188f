import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import type { PlanRequest } from '../migrator/plan'
import type { ReshardingProgress, ReshardingReport } from '../migrator/progress'
import { checkMap, type Placement } from '../placement/assignment'
import { checkTags } from '../placement/founding-map'
import type { SegmentId, ShardAssignmentMap, ShardId } from '../placement/segment'
import type { HistoryEntry } from '../topology-store'
import type { RouterEmitter } from './events'
import { checkConfidence } from './options'
import {
  checkLimits,
  checkReshardingOptions,
  checkRollbackOptions,
  mergesOf,
  type ReshardingOptions,
  type RollbackOptions,
} from './resharding-options'
import { isRollbackReason, rollbackReason, type WayBack, wayBack } from './rollback'
import type { TopologyFeed } from './topology-feed'
import type { View } from './view'

export type Resharding = RefusedResharding | AcceptedResharding

export interface RefusedResharding {
  readonly accepted: false
  readonly reason: string
}

export interface AcceptedResharding {
  readonly accepted: true
  readonly id: string
  /** Settles when the plan has ended and this router's view has taken it in. Its rejection needs no handler. */
  readonly done: Promise<ReshardingReport>
  /** Undoes what has not been cut over; `done` then tells what became of it. Never rejects. */
  cancel(): Promise<void>
}

export interface RollbackPreview {
  /** The resharding before which the assignment would be as it was. */
  readonly to: string
  /** `from` undefined: a tag that would be carved out again. */
  readonly moves: readonly {
    readonly segment: SegmentId
    readonly from: ShardId | undefined
    readonly to: ShardId
  }[]
  readonly merges: readonly SegmentId[]
  /** Why it cannot be had any more. */
  readonly impossible: string | undefined
}

/** What a router needs of a migrator. */
export interface PlanRunner {
  run(
    request: PlanRequest,
    options?: { signal?: AbortSignal },
  ):
    | { id: string; done: Promise<ReshardingReport> }
    | Promise<{ id: string; done: Promise<ReshardingReport> }>
  cancel(id: string): unknown
  pause(): boolean
  resume(): boolean
  progress(): ReshardingProgress | undefined
}

export interface ReshardingsOptions {
  readonly view: View
  readonly feed: TopologyFeed
  /** undefined: this router does not migrate. */
  readonly migrator: PlanRunner | undefined
  readonly threshold: number
  readonly events: RouterEmitter
}

/** Judges what is asked for and hands it to the migrator. */
export class Reshardings {
  readonly #view: View
  readonly #feed: TopologyFeed
  readonly #migrator: PlanRunner | undefined
  readonly #threshold: number
  readonly #events: RouterEmitter

  constructor({ view, feed, migrator, threshold, events }: ReshardingsOptions) {
    this.#view = view
    this.#feed = feed
    this.#migrator = migrator
    this.#threshold = threshold
    this.#events = events
  }

  async request(
    confidence: number,
    map: ShardAssignmentMap,
    options: ReshardingOptions,
  ): Promise<Resharding> {
    checkConfidence(confidence, 'confidence')
    checkReshardingOptions(options)
    const { reason = 'requested', placement } = options
    if (placement !== undefined && placement.buckets !== this.#view.buckets)
      throw invalid(
        'options.placement',
        `has ${placement.buckets} buckets, this topology ${this.#view.buckets}`,
      )
    return this.#accept(confidence, map, reason, options)
  }

  /** Back to the assignment before a resharding. See rollback.ts for what stands. */
  async rollback(given: RollbackOptions): Promise<Resharding> {
    checkRollbackOptions(given)
    const { to, last, ...options } = given
    const { history } = await this.#feed.whole()
    if (last !== undefined && history.at(-1)?.id !== last)
      return {
        accepted: false,
        reason: `something was resharded after ${shown(last)}; look at the history again`,
      }
    const way = this.#wayBack(history, to)
    if (!way) return { accepted: false, reason: 'there is no resharding to roll back' }
    const gone = this.#goneTarget(way.moves)
    if (gone) return { accepted: false, reason: gone }
    return this.#accept(1, way.moves, rollbackReason(way.to), { ...options, merge: way.merges })
  }

  /** Finished reshardings, oldest first, as far as the topology remembers them. */
  async history(): Promise<readonly HistoryEntry[]> {
    return (await this.#feed.whole()).history
  }

  /** What a rollback would move now. */
  async previewRollback({ to }: Pick<RollbackOptions, 'to'>): Promise<RollbackPreview | undefined> {
    const way = this.#wayBack((await this.#feed.whole()).history, to)
    if (!way) return undefined
    const moves = [...way.moves].map(([segment, shard]) => ({
      segment,
      from: this.#whereIs(segment),
      to: shard,
    }))
    return { to: way.to, moves, merges: way.merges, impossible: this.#goneTarget(way.moves) }
  }

  /** @returns whether that changed anything. */
  pause(paused: boolean): boolean {
    const migrator = this.#migrator
    if (!migrator) return false
    return paused ? migrator.pause() : migrator.resume()
  }

  async cancel(id: string): Promise<boolean> {
    const migrator = this.#migrator
    if (!migrator) return false
    return (await migrator.cancel(id)) === true
  }

  #wayBack(history: readonly HistoryEntry[], to: string | undefined): WayBack | undefined {
    return wayBack(history, (segment) => this.#whereIs(segment), to)
  }

  #whereIs(segment: SegmentId): ShardId | undefined {
    const place = this.#view.placeOf(segment)
    return place && this.#view.shardId(place.shard)
  }

  progress(): ReshardingProgress {
    return this.#migrator?.progress() ?? NOTHING_YET
  }

  async #accept(
    confidence: number,
    map: ShardAssignmentMap,
    reason: string,
    options: ReshardingOptions,
  ): Promise<Resharding> {
    const migrator = this.#migrator
    if (!migrator)
      throw new ForeshardError(
        ErrorCode.NOT_SUPPORTED,
        'this router was opened with migrator: false; ask one that migrates',
      )
    checkLimits(options)
    const known = () => new Set(this.#view.shards.map(({ id }) => id))
    // What is malformed by itself is refused without asking anybody; shards may have joined that are not known here yet.
    checkMap(map, this.#view.buckets, (shard) => typeof shard === 'string', 'map')
    checkTags(map, this.#view.tagOf, 'map')
    const merges = mergesOf(options, map, this.#view.buckets)
    await this.#feed.refresh()
    const shards = known()
    checkMap(map, this.#view.buckets, (shard) => shards.has(shard), 'map')
    this.#checkTargets(map)
    for (const segment of merges)
      if (!this.#view.placeOf(segment)) {
        if (isRollbackReason(reason))
          return {
            accepted: false,
            reason: `${shown(segment)} was folded back meanwhile; ask for the rollback again`,
          }
        throw new ForeshardError(
          ErrorCode.UNKNOWN_SEGMENT,
          `options.merge: ${shown(segment)} is not carved out`,
          { field: 'options.merge' },
        )
      }

    if (confidence < this.#threshold)
      return {
        accepted: false,
        reason: `confidence ${confidence} is below the threshold of ${this.#threshold}`,
      }
    const stale = options.placement && this.#stale(options.placement, [...map.keys(), ...merges])
    if (stale) return { accepted: false, reason: stale }
    const moves = [...map].filter(([segment, to]) => !this.#isAt(segment, to))
    if (moves.length + merges.length === 0)
      return { accepted: false, reason: 'nothing to do: every segment is where the map wants it' }

    const { maxKeysPerSecond, maxBytesPerSecond, concurrency, verify, retainMs, signal } = options
    const { id, done } = await migrator.run(
      {
        moves: moves.map(([segment, to]) => ({ segment, to })),
        merges,
        confidence,
        reason,
        ...given({ maxKeysPerSecond, maxBytesPerSecond, concurrency, verify, retainMs }),
      },
      signal ? { signal } : {},
    )
    if (this.#events.listenerCount('resharding') > 0)
      this.#events.emit('resharding', { id, moves: moves.length, merges: merges.length, confidence, reason })
    const ended = this.#follow(done)
    ended.catch(() => {})
    const cancel = async () => {
      try {
        await migrator.cancel(id)
      } catch (error) {
        this.#events.emit('error', error)
      }
    }
    return { accepted: true, id, done: ended, cancel }
  }

  async #follow(done: Promise<ReshardingReport>): Promise<ReshardingReport> {
    let report: ReshardingReport
    try {
      report = await done
    } finally {
      await this.#feed.refresh().catch((error) => this.#events.emit('error', error))
    }
    this.#events.emit('resharded', report)
    return report
  }

  /** Why the assignment of then cannot be had again: a shard has left since, or is being emptied. */
  #goneTarget(moves: ShardAssignmentMap): string | undefined {
    for (const [segment, shard] of moves) {
      const state = this.#view.shards.find(({ id }) => id === shard)?.state
      if (state === 'active') continue
      return `${shown(segment)} was on shard ${shard}, which ${state ? 'is being drained' : 'has left the topology'}`
    }
    return undefined
  }

  #checkTargets(map: ShardAssignmentMap): void {
    const draining = new Set(this.#view.shards.filter((it) => it.state === 'draining').map(({ id }) => id))
    if (draining.size === 0) return
    for (const [segment, shard] of map)
      if (draining.has(shard))
        throw invalid(
          `map.get(${JSON.stringify(segment.slice(0, 80))})`,
          `shard ${shard} is being drained and takes nothing; choose another`,
        )
  }

  /** Why the map is stale: the first of its segments that is not as it was when the map was made. */
  #stale(made: Placement, segments: readonly SegmentId[]): string | undefined {
    for (const segment of segments) {
      const then = made.assignmentOf(segment)
      const now = this.#view.placement.assignmentOf(segment)
      if (then.epoch !== now.epoch || then.segment !== now.segment)
        return `the map is stale: ${shown(segment)} was ${then.shard} @ ${then.epoch} when it was made, and is ${now.shard} @ ${now.epoch} now`
    }
    return undefined
  }

  /** Whether a segment is there already. A tag that is not carved out is nowhere: naming it carves it out. */
  #isAt(segment: SegmentId, shard: ShardId): boolean {
    const place = this.#view.placeOf(segment)
    return place !== undefined && this.#view.shardId(place.shard) === shard
  }
}

/** Before the first resharding. */
const NOTHING_YET: ReshardingProgress = Object.freeze({
  id: '',
  phase: 'done',
  segmentsDone: 0,
  segmentsTotal: 0,
  keysCopied: 0,
  bytesCopied: 0,
  keysPerSecond: 0,
  bytesPerSecond: 0,
  etaMs: undefined,
  startedAt: 0,
  confidence: 0,
  reason: '',
  waitingFor: [],
  moves: [],
})

/** Without the fields that were not given: theirs are the migrator's defaults. */
function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
}
