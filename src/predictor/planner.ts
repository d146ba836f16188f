import type { CoAccessGraph } from './co-access'
import { LoadTable } from './load-table'
import type { Pace } from './pace'
import type { Objective } from './prediction'

/** Items that are looked at closely in each step, by relief of their shard and by ties to another. */
const CLOSE_LOOKS = 40
/** Shards that are tried for each of them: the cheapest, and the one it is most tied to. */
const TARGETS = 5
/** Items in a clump at most (Clay, Serafini et al. 2016). */
const CLUMP = 6
/** A move must gain so much in J, or it is not worth its risk. */
const LEAST_GAIN = 2e-4
/** Small moves are preferred to large ones of the same gain, but not without limit: share of a fair share. */
const SIZE_FLOOR = 0.2
const REFINEMENTS = 400

export interface PlannerInput {
  readonly items: number
  readonly horizon: number
  /** item · horizon + step: the load that is planned on. */
  readonly loads: Float32Array
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
  readonly keys: Float64Array
  readonly graph: CoAccessGraph
  /** Share of the crossing that the past ties are expected to keep. */
  readonly recurrence: number
  readonly objective: Objective
  /** Relative error of a shard's forecast load, by step. */
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
 * Greedy descent on J over the whole horizon: segments that peak at different hours end up together because the
 * maximum is taken interval by interval. Each step weighs the candidates by (J removed) / (load moved), as Slicer does
 * (Adya et al. 2016), starting where load is dearest; clumps of co-accessed items move as one, as in Clay. A move may be
 * taken back or redirected by a later step; churn is charged once, for items that end up elsewhere.
 */
export class Planner {
  readonly table: LoadTable
  readonly assignment: Int32Array
  readonly #in: PlannerInput
  /** An item's own share of all load, and of that of what moves with it. */
  readonly #share: Float64Array
  readonly #attached: Uint8Array
  readonly #children = new Map<number, number[]>()
  readonly #prices: Float64Array[]
  readonly #vector: Float64Array
  #moves = 0
  #moved = 0
  #bytes = 0

  constructor(input: PlannerInput) {
    this.#in = input
    const { items, horizon, loads, weights, shardOf } = input
    this.assignment = shardOf.slice()
    const totals = new Float64Array(horizon)
    this.#share = new Float64Array(items)
    let all = 0
    for (let item = 0; item < items; item++)
      for (let t = 0; t < horizon; t++) {
        const load = loads[item * horizon + t]!
        totals[t]! += load
        this.#share[item]! += load
        all += load
      }
    if (all > 0) for (let item = 0; item < items; item++) this.#share[item]! /= all
    this.table = new LoadTable(totals, weights, input.noise)
    for (let item = 0; item < items; item++) this.table.put(shardOf[item]!, loads, item * horizon, 1)
    this.table.settle()
    this.#attached = new Uint8Array(items)
    for (let item = 0; item < items; item++) {
      const parent = input.parent[item]!
      if (input.standing[item] || parent < 0) continue
      this.#attached[item] = 1
      this.#children.set(parent, [...(this.#children.get(parent) ?? []), item])
    }
    this.#prices = weights.map(() => new Float64Array(horizon))
    this.#vector = new Float64Array(horizon)
  }

  /** The moves, in the order in which they were found. */
  async plan(pace: Pace): Promise<PlannedMove[]> {
    await this.#drain(pace)
    const limit = Math.min(this.#in.maxMoves, this.#in.items) + REFINEMENTS
    for (let step = 0; step < limit; step++) {
      if (!this.#step()) break
      const rest = pace.rest()
      if (rest) await rest
    }
    return this.moves()
  }

  moves(): PlannedMove[] {
    const { items, shardOf } = this.#in
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
    for (const each of this.companions(item)) share += this.#share[each]!
    return share
  }

  /** Whether the item moves in its own name. */
  #leads(item: number): boolean {
    return this.#attached[item] === 0
  }

  /** Empties what is to be emptied, hottest first, each item to where it costs least. */
  async #drain(pace: Pace): Promise<void> {
    const { items, draining, fixed } = this.#in
    if (!draining.includes(1)) return
    const leaving: number[] = []
    for (let item = 0; item < items; item++)
      if (draining[this.assignment[item]!] && this.#leads(item) && !fixed[item]) leaving.push(item)
    leaving.sort((a, b) => this.#share[b]! - this.#share[a]! || a - b)
    for (const item of leaving) {
      this.#priceShards()
      const [to] = this.#targets(item, this.#gather([item]))
      if (to === undefined || !this.#affords([item], to)) continue
      this.#carryOut([item], to)
      await pace.rest()
    }
  }

  /** Makes the best move there is; false if none is worth it. */
  #step(): boolean {
    this.#priceShards()
    const { tolerance, objective, graph } = this.#in
    const uneven = this.table.peak() > 1 + tolerance
    let best: { items: number[]; to: number; score: number } | undefined
    const consider = (items: number[], to: number) => {
      if (!this.#affords(items, to)) return
      const gain = this.#gain(items, to)
      if (gain <= LEAST_GAIN) return
      let size = SIZE_FLOOR / this.#in.weights.length
      for (const item of items) size += this.shareOf(item)
      const score = gain / size
      if (best === undefined || score > best.score) best = { items, to, score }
    }
    for (const item of this.#candidates(uneven)) {
      const targets = this.#targets(item, this.#gather([item]))
      for (const to of targets) consider([item], to)
      if (graph.empty || objective.crossing === 0) continue
      const clump = this.#clump(item)
      if (clump.length > 1) for (const to of targets.slice(0, 3)) consider(clump, to)
    }
    if (best === undefined) return false
    this.#carryOut(best.items, best.to)
    return true
  }

  #priceShards(): void {
    this.#prices.forEach((price, shard) => {
      this.table.price(shard, price)
    })
  }

  /** J before − J after, churn included. Smoothed, so that it holds in the mean over what may come. */
  #gain(items: readonly number[], to: number): number {
    const { objective, graph, recurrence, shardOf } = this.#in
    const from = this.assignment[items[0]!]!
    let gain = objective.imbalance * this.table.gain(from, to, this.#gather(items))
    for (const item of items) {
      const was = this.assignment[item] === shardOf[item] ? 0 : 1
      const is = to === shardOf[item] ? 0 : 1
      if (was !== is) gain -= objective.churn * (is - was) * this.shareOf(item)
      if (was !== is) gain -= (is - was) * LEAST_GAIN
    }
    if (!graph.empty && graph.total > 0) {
      const all = items.flatMap((item) => this.companions(item))
      const ties =
        all.length === 1
          ? graph.affinity(all[0]!, to) - graph.affinity(all[0]!, from)
          : graph.uncrossed(all, to)
      gain += (objective.crossing * recurrence * ties) / graph.total
    }
    return gain
  }

  #gather(items: readonly number[]): Float64Array {
    const { horizon, loads } = this.#in
    const vector = this.#vector.fill(0)
    for (const leader of items)
      for (const item of this.companions(leader))
        for (let t = 0; t < horizon; t++) vector[t]! += loads[item * horizon + t]!
    return vector
  }

  /** The items most worth a close look. */
  #candidates(uneven: boolean): number[] {
    const { items, horizon, loads, fixed, graph, weights, objective, recurrence } = this.#in
    const floor = SIZE_FLOOR / weights.length
    const relief = new Best(CLOSE_LOOKS)
    const tied = new Best(CLOSE_LOOKS)
    const ties = !graph.empty && objective.crossing > 0 && graph.total > 0
    for (let item = 0; item < items; item++) {
      if (fixed[item]) continue
      const from = this.assignment[item]!
      const share = this.#share[item]!
      if (uneven && share > 0) {
        const price = this.#prices[from]!
        let saved = 0
        for (let t = 0; t < horizon; t++) saved += loads[item * horizon + t]! * price[t]!
        relief.offer(item, (objective.imbalance * saved) / (share + floor))
      }
      if (ties) {
        const to = graph.strongest(item)
        if (to === from) continue
        const gain =
          (objective.crossing * recurrence * (graph.affinity(item, to) - graph.affinity(item, from))) /
          graph.total
        if (gain > 0.5 * objective.churn * share) tied.offer(item, gain / (share + floor))
      }
    }
    return [...new Set([...relief.items(), ...tied.items()])]
  }

  /** Shards that an item may go to, the cheapest for its hours first; then the one that it is most tied to, and its own. */
  #targets(item: number, vector: Float64Array): number[] {
    const { open, graph, weights, shardOf } = this.#in
    const from = this.assignment[item]!
    const costs: { shard: number; cost: number }[] = []
    for (let shard = 0; shard < weights.length; shard++) {
      if (shard === from || !open[shard]) continue
      const price = this.#prices[shard]!
      let cost = 0
      for (let t = 0; t < vector.length; t++) cost += vector[t]! * price[t]!
      costs.push({ shard, cost })
    }
    costs.sort((a, b) => a.cost - b.cost || a.shard - b.shard)
    const targets = costs.slice(0, TARGETS).map(({ shard }) => shard)
    const tied = graph.empty ? -1 : graph.strongest(item)
    for (const extra of [tied, shardOf[item]!])
      if (extra >= 0 && extra !== from && open[extra] && !targets.includes(extra)) targets.push(extra)
    return targets
  }

  /** The item and those on its shard that it is most tied to. */
  #clump(seed: number): number[] {
    const { graph, fixed } = this.#in
    const clump = [seed]
    for (const { item } of graph.neighbours(seed).slice(0, 4 * CLUMP)) {
      if (clump.length >= CLUMP) break
      if (this.assignment[item] !== this.assignment[seed] || fixed[item] || !this.#leads(item)) continue
      if (clump.some((other) => this.companions(other).includes(item))) continue
      clump.push(item)
    }
    return clump
  }

  #affords(items: readonly number[], to: number): boolean {
    const { shardOf, maxMoves, maxLoadShare, maxBytes, bytes, open } = this.#in
    if (!open[to]) return false
    let moves = this.#moves
    let moved = this.#moved
    let size = this.#bytes
    for (const item of items) {
      const was = this.#counted(item) ? 1 : 0
      const is = to === shardOf[item] && this.#leads(item) ? 0 : 1
      if (was === is) continue
      moves += is - was
      moved += (is - was) * this.shareOf(item)
      size += (is - was) * this.companions(item).reduce((sum, each) => sum + bytes[each]!, 0)
    }
    if (moves <= this.#moves && moved <= this.#moved) return true
    return moves <= maxMoves && moved <= maxLoadShare + 1e-12 && size <= maxBytes
  }

  /** Whether the map has to name the item: it changes its shard, or it stays while its bucket leaves. */
  #counted(item: number): boolean {
    const { shardOf, standing, parent } = this.#in
    if (!this.#leads(item)) return false
    const from = standing[item] ? shardOf[item]! : this.assignment[parent[item]!]!
    return this.assignment[item] !== from
  }

  #carryOut(items: readonly number[], to: number): void {
    const { horizon, loads, graph } = this.#in
    for (const leader of items) {
      this.#attached[leader] = 0
      for (const item of this.companions(leader)) {
        this.table.put(this.assignment[item]!, loads, item * horizon, -1)
        this.table.put(to, loads, item * horizon, 1)
        this.assignment[item] = to
        if (!graph.empty) graph.move(item, to)
      }
      this.#reattach(leader)
    }
    this.table.settle()
    this.#recount()
  }

  /** A tag that has come back to where its bucket is need not be carved out after all. */
  #reattach(item: number): void {
    const { parent, standing } = this.#in
    for (const child of [item, ...(this.#children.get(item) ?? [])])
      if (
        !standing[child] &&
        parent[child]! >= 0 &&
        this.assignment[child] === this.assignment[parent[child]!]
      )
        this.#attached[child] = 1
  }

  #recount(): void {
    this.#moves = this.#moved = this.#bytes = 0
    for (let item = 0; item < this.#in.items; item++) {
      if (!this.#counted(item)) continue
      this.#moves++
      for (const each of this.companions(item)) {
        this.#moved += this.#share[each]!
        this.#bytes += this.#in.bytes[each]!
      }
    }
  }
}

/** The k highest of what is offered. */
class Best {
  readonly #k: number
  readonly #items: number[] = []
  readonly #scores: number[] = []

  constructor(k: number) {
    this.#k = k
  }

  offer(item: number, score: number): void {
    const scores = this.#scores
    if (scores.length === this.#k && score <= scores[scores.length - 1]!) return
    let at = scores.length
    while (at > 0 && scores[at - 1]! < score) at--
    scores.splice(at, 0, score)
    this.#items.splice(at, 0, item)
    if (scores.length > this.#k) {
      scores.pop()
      this.#items.pop()
    }
  }

  items(): readonly number[] {
    return this.#items
  }
}
