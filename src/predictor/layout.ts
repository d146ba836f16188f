import type { CoAccessGraph } from './co-access'
import { LoadTable } from './load-table'
import type { Objective } from './prediction'

/** What there is to place, where it is, what it does, and what may be done about it. */
export interface PlannerInput {
  readonly items: number
  /** item · stride + offset + column: the loads that are planned on, `columns` of them an item. */
  readonly loads: Float32Array
  readonly columns: number
  readonly stride: number
  readonly offset: number
  /** The item that each one lives in as long as it is not carved out, -1. */
  readonly parent: Int32Array
  /** 0: lives in its parent; becomes a segment of its own when it is moved alone. */
  readonly standing: Uint8Array
  /** item -> shard. */
  readonly shardOf: Int32Array
  readonly weights: readonly number[]
  /** 1 for a shard that may receive. */
  readonly open: Uint8Array
  /** 1 for a shard that is to be emptied. */
  readonly draining: Uint8Array
  /** 1 for an item that must stay. */
  readonly fixed: Uint8Array
  readonly bytes: Float64Array
  readonly graph: CoAccessGraph
  /** Share of the crossing that the past ties are expected to keep. */
  readonly recurrence: number
  readonly objective: Objective
  /** Relative error of a shard's load, by column. */
  readonly noise: ArrayLike<number>
  readonly tolerance: number
  readonly maxMoves: number
  readonly maxLoadShare: number
  readonly maxBytes: number
}

export interface PlannedMove {
  readonly item: number
  readonly from: number
  readonly to: number
}

/**
 * The placement that a plan has come to: what J loses by each further change, and what the budget still allows. A move may be taken
 * back or redirected; churn and budget are charged once, for items that end up elsewhere.
 */
export class Layout {
  readonly input: PlannerInput
  readonly table: LoadTable
  readonly assignment: Int32Array
  /** An item's own share of all load, without that of what moves with it. */
  readonly share: Float64Array
  readonly #attached: Uint8Array
  readonly #children = new Map<number, number[]>()
  readonly #vector: Float64Array
  #moves = 0
  #moved = 0
  #bytes = 0

  constructor(input: PlannerInput) {
    this.input = input
    const { items, columns, stride, offset, loads, weights, shardOf } = input
    this.assignment = shardOf.slice()
    const totals = new Float64Array(columns)
    this.share = new Float64Array(items)
    let all = 0
    for (let item = 0; item < items; item++)
      for (let t = 0; t < columns; t++) {
        const load = loads[item * stride + offset + t]!
        totals[t]! += load
        this.share[item]! += load
        all += load
      }
    if (all > 0) for (let item = 0; item < items; item++) this.share[item]! /= all
    this.table = new LoadTable(totals, weights, input.noise)
    for (let item = 0; item < items; item++) this.table.put(shardOf[item]!, loads, item * stride + offset, 1)
    this.table.settle()
    this.#attached = new Uint8Array(items)
    for (let item = 0; item < items; item++) {
      const parent = input.parent[item]!
      if (input.standing[item] || parent < 0) continue
      this.#attached[item] = 1
      this.#children.set(parent, [...(this.#children.get(parent) ?? []), item])
    }
    this.#vector = new Float64Array(columns)
  }

  moves(): PlannedMove[] {
    const { items, shardOf } = this.input
    const moves: PlannedMove[] = []
    for (let item = 0; item < items; item++)
      if (this.#counted(item)) moves.push({ item, from: shardOf[item]!, to: this.assignment[item]! })
    return moves
  }

  /** What moves with an item: itself, and the tags that still live in it. */
  companions(item: number): number[] {
    const children = this.#children.get(item)
    return children ? [item, ...children.filter((child) => this.#attached[child])] : [item]
  }

  /** Share of all load that an item moves. */
  shareOf(item: number): number {
    let share = 0
    for (const each of this.companions(item)) share += this.share[each]!
    return share
  }

  /** Whether the item moves in its own name. */
  leads(item: number): boolean {
    return this.#attached[item] === 0
  }

  /** Loads of all that moves with these items, by column. Valid until the next call. */
  loadsOf(items: readonly number[]): Float64Array {
    const { columns, stride, offset, loads } = this.input
    const vector = this.#vector.fill(0)
    for (const leader of items)
      for (const item of this.companions(leader))
        for (let t = 0; t < columns; t++) vector[t]! += loads[item * stride + offset + t]!
    return vector
  }

  /** J before − J after these items of one shard have moved, churn included. Smoothed, so that it holds in the mean over what may come. */
  gain(items: readonly number[], to: number): number {
    const { objective, graph } = this.input
    const from = this.assignment[items[0]!]!
    const imbalance = objective.imbalance * this.table.gain(from, to, this.loadsOf(items))
    const churn = objective.churn * items.reduce((sum, item) => sum + this.#newlyMoved(item, to), 0)
    if (graph.empty || graph.total <= 0) return imbalance - churn
    const all = items.flatMap((item) => this.companions(item))
    const ties =
      all.length === 1
        ? graph.affinity(all[0]!, to) - graph.affinity(all[0]!, from)
        : graph.uncrossed(all, to)
    return imbalance - churn + this.#worth(ties)
  }

  /** The same after two items have changed places; and the share of all load that is moved for it. */
  exchange(item: number, other: number): { gain: number; moved: number } {
    const { objective, graph } = this.input
    const a = this.assignment[item]!
    const b = this.assignment[other]!
    const vector = this.loadsOf([item]).slice()
    const back = this.loadsOf([other])
    for (let t = 0; t < vector.length; t++) vector[t]! -= back[t]!
    const moved = this.#newlyMoved(item, b) + this.#newlyMoved(other, a)
    let gain = objective.imbalance * this.table.gain(a, b, vector) - objective.churn * moved
    // Tied to each other they will still be apart, though each counted on the other to be there.
    if (!graph.empty && graph.total > 0)
      gain += this.#worth(
        graph.affinity(item, b) -
          graph.affinity(item, a) +
          graph.affinity(other, a) -
          graph.affinity(other, b) -
          2 * graph.tie(item, other),
      )
    return { gain, moved }
  }

  /** Whether the budget and the shards allow all of these at once. What costs no more than now is always allowed. */
  affords(changes: readonly (readonly [item: number, to: number])[]): boolean {
    const { maxMoves, maxLoadShare, maxBytes, open } = this.input
    if (changes.some(([, to]) => !open[to])) return false
    const roots = new Set(changes.map(([item]) => this.#rootOf(item)))
    const members = [...roots].flatMap((root) => this.#familyOf(root))
    const was = members.map((item) => [this.assignment[item]!, this.#attached[item]!] as const)
    const before = this.#bill(members)
    for (const [item, to] of changes) this.#place(item, to)
    const after = this.#bill(members)
    members.forEach((item, k) => {
      this.assignment[item] = was[k]![0]
      this.#attached[item] = was[k]![1]
    })
    const moves = after.moves - before.moves
    const moved = after.moved - before.moved
    const bytes = after.bytes - before.bytes
    return (
      (moves <= 0 || this.#moves + moves <= maxMoves) &&
      (moved <= 1e-12 || this.#moved + moved <= maxLoadShare + 1e-12) &&
      (bytes <= 0 || this.#bytes + bytes <= maxBytes)
    )
  }

  carryOut(items: readonly number[], to: number): void {
    const { stride, offset, loads, graph } = this.input
    for (const leader of items) {
      const from = this.assignment[leader]!
      for (const item of this.#place(leader, to)) {
        this.table.put(from, loads, item * stride + offset, -1)
        this.table.put(to, loads, item * stride + offset, 1)
        if (!graph.empty) graph.move(item, to)
      }
    }
    this.table.settle()
    const { moves, moved, bytes } = this.#bill(this.assignment.keys())
    this.#moves = moves
    this.#moved = moved
    this.#bytes = bytes
  }

  /** Assigns an item and what moves with it; these. A tag that comes to where its bucket is need not be carved out after all. */
  #place(leader: number, to: number): number[] {
    const { parent, standing } = this.input
    this.#attached[leader] = 0
    const placed = this.companions(leader)
    for (const item of placed) this.assignment[item] = to
    for (const child of this.#familyOf(leader)) {
      const home = parent[child]!
      if (!standing[child] && home >= 0 && this.assignment[child] === this.assignment[home])
        this.#attached[child] = 1
    }
    return placed
  }

  /** What the changed ones among these items cost. */
  #bill(items: Iterable<number>): { moves: number; moved: number; bytes: number } {
    const bill = { moves: 0, moved: 0, bytes: 0 }
    for (const item of items) {
      if (!this.#counted(item)) continue
      bill.moves++
      for (const each of this.companions(item)) {
        bill.moved += this.share[each]!
        bill.bytes += this.input.bytes[each]!
      }
    }
    return bill
  }

  /** The bucket whose fate an item's depends on: its own, unless it is a tag that could live in another. */
  #rootOf(item: number): number {
    const { parent, standing } = this.input
    return standing[item] || parent[item]! < 0 ? item : parent[item]!
  }

  #familyOf(root: number): number[] {
    return [root, ...(this.#children.get(root) ?? [])]
  }

  #worth(ties: number): number {
    const { objective, recurrence, graph } = this.input
    return (objective.crossing * recurrence * ties) / graph.total
  }

  /** Share of all load that a move adds to, or takes from, what ends up elsewhere. */
  #newlyMoved(item: number, to: number): number {
    const home = this.input.shardOf[item]
    return ((to === home ? 0 : 1) - (this.assignment[item] === home ? 0 : 1)) * this.shareOf(item)
  }

  /** Whether the map has to name the item: it changes its shard, or it stays while its bucket leaves. */
  #counted(item: number): boolean {
    const { shardOf, standing, parent } = this.input
    if (!this.leads(item)) return false
    const from = standing[item] ? shardOf[item]! : this.assignment[parent[item]!]!
    return this.assignment[item] !== from
  }
}
