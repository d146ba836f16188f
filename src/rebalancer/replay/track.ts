import type { Placement } from '../../placement/assignment'
import {
  bucketOfSegment,
  bucketSegment,
  type SegmentId,
  tagOfSegment,
  tagSegment,
} from '../../placement/segment'
import { peakOf, weigh } from '../../predictor/objective'
import type { Objective } from '../../predictor/prediction'
import type { CheckedDecision } from '../policies/placement-policy'
import type { ReplayedInterval } from './interval'
import type { TagTable } from './tag-table'

/** What one policy's placement did in one interval. Intervals without an access have none. */
export interface IntervalOutcome {
  /** ms since the epoch. */
  readonly start: number
  /** Accesses, writes weighted. */
  readonly load: number
  /** Max shard load over mean shard load; 1 is even. */
  readonly imbalance: number
  /** Transactions over two keys or more, and those of them that touched two shards or more. */
  readonly transactions: number
  readonly crossing: number
  /** crossing / transactions; 0 without transactions. */
  readonly crossShard: number
  /** Segments that changed their shard at the start of this interval or in intervals without accesses before it. */
  readonly moves: number
  /** Tags that were folded back into their buckets then. */
  readonly merges: number
  /** Share of this interval's load that is on what moved within the last horizon: a move is paid off over one. */
  readonly loadMoved: number
  /** weights · (imbalance, crossShard, loadMoved). */
  readonly J: number
}

const UNKNOWN = -1

/** One policy on its way through the log: its placement, and what that has cost so far. */
export class PolicyTrack {
  readonly outcomes: IntervalOutcome[] = []
  #placement: Placement
  readonly #table: TagTable
  readonly #objective: Objective
  /** Intervals over which a move counts as moved load. */
  readonly #horizon: number
  readonly #shardIndex: ReadonlyMap<string, number>
  readonly #weights: Float64Array
  /** tag id -> index of its shard, UNKNOWN until its first access. */
  #owners = new Int32Array(0)
  /** tag id -> how often it moved within the last horizon. */
  #moved = new Uint16Array(0)
  readonly #moves: { from: number; ids: number[] }[] = []
  #movesDue = 0
  #mergesDue = 0

  constructor(placement: Placement, table: TagTable, objective: Objective, horizon: number) {
    this.#placement = placement
    this.#table = table
    this.#objective = objective
    this.#horizon = horizon
    this.#shardIndex = new Map(placement.shards.map((shard, i) => [shard, i]))
    this.#weights = Float64Array.from(placement.shards, (shard) => placement.weightOf(shard))
  }

  get placement(): Placement {
    return this.#placement
  }

  /** Carries a decision out; interval number `from` is the first one in which it holds. */
  apply(decision: CheckedDecision, from: number): void {
    if (decision.map.size === 0 && decision.merges.length === 0) return
    const before = this.#placement
    const named = [...decision.map.keys(), ...decision.merges]
    const carved = decision.merges.filter((segment) => before.isCarved(tagOfSegment(segment)!))
    this.#placement = before.with(decision.map).merged(decision.merges)
    this.#mergesDue += carved.length
    const ids: number[] = []
    for (const segment of new Set(named)) {
      if (before.shardOf(segment) !== this.#placement.shardOf(segment)) this.#movesDue++
      for (const id of this.#tagsOf(segment)) {
        if (id >= this.#owners.length || this.#owners[id] === UNKNOWN) continue
        const owner = this.#ownerOf(id)
        if (owner === this.#owners[id]) continue
        this.#owners[id] = owner
        this.#moved[id]!++
        ids.push(id)
      }
    }
    if (ids.length) this.#moves.push({ from, ids })
  }

  /** What the placement costs in the interval, added to the outcomes. */
  score(interval: ReplayedInterval): void {
    this.#expire(interval.index)
    this.#grow()
    if (interval.load === 0) return
    const { ids, loads, ends, touched } = interval
    const owners = this.#owners
    const shards = new Float64Array(this.#weights.length)
    let moved = 0
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!
      if (owners[id] === UNKNOWN) owners[id] = this.#ownerOf(id)
      shards[owners[id]!]! += loads[i]!
      moved += loads[i]! * this.#moved[id]!
    }
    let crossing = 0
    for (let i = 0, from = 0; i < ends.length; i++) {
      const first = owners[touched[from]!]
      const end = ends[i]!
      while (from < end && owners[touched[from]!] === first) from++
      if (from < end) crossing++
      from = end
    }
    const imbalance = peakOf(shards, this.#weights)
    const crossShard = interval.multiKey > 0 ? crossing / interval.multiKey : 0
    const loadMoved = moved / interval.load
    this.outcomes.push({
      start: interval.start,
      load: interval.load,
      imbalance,
      transactions: interval.multiKey,
      crossing,
      crossShard,
      moves: this.#movesDue,
      merges: this.#mergesDue,
      loadMoved,
      J: weigh(this.#objective, imbalance, crossShard, loadMoved),
    })
    this.#movesDue = 0
    this.#mergesDue = 0
  }

  /** Tag ids that will be given to other tags. */
  forget(ids: readonly number[]): void {
    const gone = new Set(ids)
    for (const id of ids) {
      if (id >= this.#owners.length) continue
      this.#owners[id] = UNKNOWN
      this.#moved[id] = 0
    }
    for (const move of this.#moves) move.ids = move.ids.filter((id) => !gone.has(id))
  }

  #expire(now: number): void {
    while (this.#moves.length && this.#moves[0]!.from + this.#horizon <= now)
      for (const id of this.#moves.shift()!.ids) this.#moved[id]!--
  }

  #grow(): void {
    const capacity = this.#table.capacity
    if (capacity <= this.#owners.length) return
    const owners = new Int32Array(Math.max(1024, capacity * 2)).fill(UNKNOWN)
    owners.set(this.#owners)
    const moved = new Uint16Array(owners.length)
    moved.set(this.#moved)
    this.#owners = owners
    this.#moved = moved
  }

  #tagsOf(segment: SegmentId): Iterable<number> {
    const tag = tagOfSegment(segment)
    if (tag === undefined) return this.#table.inBucket(bucketOfSegment(segment)!)
    const id = this.#table.find(tag)
    return id === undefined ? [] : [id]
  }

  #ownerOf(id: number): number {
    const tag = this.#table.nameOf(id)
    const segment = this.#placement.isCarved(tag) ? tagSegment(tag) : bucketSegment(this.#table.bucketOf(id))
    return this.#shardIndex.get(this.#placement.shardOf(segment))!
  }
}
