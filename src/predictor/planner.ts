import type { CoAccessGraph } from './co-access'
import { LoadTable } from './load-table'
import type { Pace } from './pace'
import type { Objective } from './prediction'

/** Items that are looked at closely in each step: so many of each size, and by ties to another shard. */
const CLOSE_LOOKS = 32
/** Loads that count as nothing in the ranking, in shares of a fair share: the smaller, the more small items are looked at. */
const SIZE_CLASSES = [0.1, 0.01, 0.0002]
/** Shards that candidates are priced against. */
const CHEAPEST = 8
/** Shards that are tried for each of them: the cheapest, and the one it is most tied to. */
const TARGETS = 5
/** Items in a clump at most (Clay, Serafini et al. 2016). */
const CLUMP = 6
/** A move must gain so much in J, and so many times its own price on top, or it is not worth its risk. */
const LEAST_GAIN = 2e-5
const MARGIN = 0.5
/** Moves of one step are made together as long as each keeps this share of its score. */
const STILL_GOOD = 0.8
/** Small moves are preferred to large ones of the same gain, but not without limit: share of a fair share. */
const SIZE_FLOOR = 0.1
const REFINEMENTS = 400
/** Exchanges in a plan, items that one is sought for each time, and items of the other shard that it is tried with. */
const MOST_SWAPS = 64
const SWAPPED = 24
const SIMILAR = 8

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
  #pool: number[] = []
  #swaps = 0
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

  /** Makes the best moves there are; false if none is worth it. */
  #step(): boolean {
    this.#priceShards()
    const fresh = this.#pool.length === 0
    if (fresh) this.#pool = this.#candidates(this.table.peak() > 1 + this.#in.tolerance)
    const made = this.#best(this.#pool)
    // To look through all items costs far more than to look once more at those that were promising.
    if (made > 0 || !fresh) {
      if (made === 0) this.#pool = []
      return true
    }
    const swapped = this.#swap(this.#pool)
    this.#pool = []
    return swapped
  }

  /** Exchanges two items where no single move helps any more: the best exchange of a promising item for a smaller one. */
  #swap(pool: readonly number[]): boolean {
    const { weights, fixed, items, graph, open } = this.#in
    if (this.#swaps++ >= MOST_SWAPS) return false
    const onShard: number[][] = weights.map(() => [])
    for (let item = 0; item < items; item++)
      if (!fixed[item] && this.#leads(item)) onShard[this.assignment[item]!]!.push(item)
    for (const list of onShard) list.sort((a, b) => this.#share[a]! - this.#share[b]! || a - b)
    let best: { item: number; other: number; gain: number } | undefined
    for (const item of pool.slice(0, SWAPPED)) {
      if (!this.#leads(item) || !open[this.assignment[item]!]) continue
      for (const to of this.#targets(item, this.#gather([item]))) {
        const ties = graph.empty
          ? []
          : onShard[to]!.filter((other) => graph.strongest(other) === this.assignment[item])
        const others = new Set([
          ...similar(onShard[to]!, this.#share, this.#share[item]!),
          ...ties.slice(0, SIMILAR),
        ])
        for (const other of others) {
          const gain = this.#exchange(item, other)
          if (gain > 0 && (best === undefined || gain > best.gain)) best = { item, other, gain }
        }
      }
    }
    if (best === undefined) return false
    const { item, other } = best
    const [from, to] = [this.assignment[item]!, this.assignment[other]!]
    this.#carryOut([item], to)
    this.#carryOut([other], from)
    return true
  }

  /** J before − J after two items have changed places; 0 where that is not worth it or not affordable. */
  #exchange(item: number, other: number): number {
    const { objective, graph, recurrence, shardOf } = this.#in
    const a = this.assignment[item]!
    const b = this.assignment[other]!
    if (
      !this.#affordsAll([
        [item, b],
        [other, a],
      ])
    )
      return 0
    const vector = this.#gather([item]).slice()
    const back = this.#gather([other])
    for (let t = 0; t < vector.length; t++) vector[t]! -= back[t]!
    let gain = objective.imbalance * this.table.gain(a, b, vector)
    let moved = 0
    for (const [each, from, to] of [
      [item, a, b],
      [other, b, a],
    ] as const) {
      const change = (to === shardOf[each] ? 0 : 1) - (from === shardOf[each] ? 0 : 1)
      moved += change * this.shareOf(each)
      if (!graph.empty && graph.total > 0)
        gain +=
          (objective.crossing * recurrence * (graph.affinity(each, to) - graph.affinity(each, from))) /
          graph.total
    }
    // Tied to each other they will still be apart, though each counted on the other to be there.
    if (!graph.empty && graph.total > 0)
      gain -= (objective.crossing * recurrence * 2 * graph.tie(item, other)) / graph.total
    gain -= objective.churn * moved
    return gain > 2 * LEAST_GAIN + MARGIN * objective.churn * Math.max(0, moved) ? gain : 0
  }

  /** Makes the best moves among these items; how many. */
  #best(pool: readonly number[]): number {
    const { objective, graph } = this.#in
    const found: { items: number[]; to: number; score: number }[] = []
    for (const item of pool) {
      let best: { items: number[]; to: number; score: number } | undefined
      const consider = (items: number[], to: number) => {
        const score = this.#score(items, to)
        if (score > 0 && (best === undefined || score > best.score)) best = { items, to, score }
      }
      const targets = this.#targets(item, this.#gather([item]))
      for (const to of targets) consider([item], to)
      if (!graph.empty && objective.crossing > 0) {
        const clump = this.#clump(item)
        if (clump.length > 1) for (const to of targets.slice(0, 3)) consider(clump, to)
      }
      if (best !== undefined) found.push(best)
    }
    found.sort((a, b) => b.score - a.score)
    // The table changes with every move: the others are made only as far as they are still about as good.
    let made = 0
    for (const { items, to, score } of found) {
      const from = this.assignment[items[0]!]!
      if (items.some((item) => this.assignment[item] !== from || this.#in.fixed[item] === 1) || to === from)
        continue
      if (made > 0 && this.#score(items, to) < STILL_GOOD * score) continue
      this.#carryOut(items, to)
      made++
    }
    return made
  }

  /** (J removed) / (load moved), 0 for what is not worth it or not affordable. */
  #score(items: readonly number[], to: number): number {
    if (!this.#affords(items, to)) return 0
    const gain = this.#gain(items, to)
    let share = 0
    for (const item of items) share += this.shareOf(item)
    if (gain <= LEAST_GAIN + MARGIN * this.#in.objective.churn * share) return 0
    return gain / (share + SIZE_FLOOR / this.#in.weights.length)
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

  /**
   * The items most worth a close look: by what a unit of their load would save on the cheapest of a few shards, among large and small ones
   * alike; and by their ties to another shard.
   */
  #candidates(uneven: boolean): number[] {
    const { items, horizon, loads, fixed, graph, weights, objective, recurrence } = this.#in
    const classes = SIZE_CLASSES.map((floor) => ({
      floor: floor / weights.length,
      best: new Best(CLOSE_LOOKS),
    }))
    const tied = new Best(CLOSE_LOOKS)
    const ties = !graph.empty && objective.crossing > 0 && graph.total > 0
    const cheap = this.#cheapest()
    const width = cheap.length
    const costs = new Float64Array(width)
    for (let item = 0; item < items; item++) {
      if (fixed[item]) continue
      const from = this.assignment[item]!
      const share = this.#share[item]!
      if (uneven && share > 0) {
        const price = this.#prices[from]!
        costs.fill(0)
        let saved = 0
        for (let t = 0; t < horizon; t++) {
          const load = loads[item * horizon + t]!
          saved += load * price[t]!
          for (let k = 0; k < width; k++) costs[k]! += load * cheap[k]![t]!
        }
        let least = Number.POSITIVE_INFINITY
        for (let k = 0; k < width; k++) if (costs[k]! < least) least = costs[k]!
        const net = objective.imbalance * (saved - least) - objective.churn * share
        if (net > 0) for (const { floor, best } of classes) best.offer(item, net / (share + floor))
      }
      if (ties) {
        const to = graph.strongest(item)
        if (to === from) continue
        const gain =
          (objective.crossing * recurrence * (graph.affinity(item, to) - graph.affinity(item, from))) /
          graph.total
        if (gain > 0.5 * objective.churn * share)
          tied.offer(item, gain / (share + SIZE_FLOOR / weights.length))
      }
    }
    return [...new Set([...classes.flatMap(({ best }) => best.items()), ...tied.items()])]
  }

  /** Prices of the few open shards on which load costs least: overall, and in single steps. */
  #cheapest(): Float64Array[] {
    const { open, horizon } = this.#in
    const prices = this.#prices.filter((_, shard) => open[shard])
    if (prices.length <= CHEAPEST) return prices
    const sums = prices.map((price) => price.reduce((sum, each) => sum + each, 0))
    const order = prices.map((_, k) => k).sort((a, b) => sums[a]! - sums[b]! || a - b)
    const chosen = new Set(order.slice(0, CHEAPEST >> 1))
    for (
      let t = 0;
      t < horizon && chosen.size < CHEAPEST;
      t += Math.max(1, Math.floor((2 * horizon) / CHEAPEST))
    )
      chosen.add(order.reduce((a, b) => (prices[b]![t]! < prices[a]![t]! ? b : a)))
    return [...chosen].map((k) => prices[k]!)
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
    return this.#affordsAll(items.map((item) => [item, to] as const))
  }

  #affordsAll(changes: readonly (readonly [item: number, to: number])[]): boolean {
    const { shardOf, maxMoves, maxLoadShare, maxBytes, bytes, open } = this.#in
    let moves = this.#moves
    let moved = this.#moved
    let size = this.#bytes
    for (const [item, to] of changes) {
      if (!open[to]) return false
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

/** Some items of a list, sorted by share, that have from a tenth of `share` up to a little more than it. */
function similar(sorted: readonly number[], shares: ArrayLike<number>, share: number): number[] {
  const lowerBound = (value: number) => {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (shares[sorted[middle]!]! < value) low = middle + 1
      else high = middle
    }
    return low
  }
  const from = lowerBound(0.1 * share)
  const to = lowerBound(1.1 * share)
  const step = Math.max(1, (to - from) / SIMILAR)
  const found: number[] = []
  for (let k = from; k < to; k += step) found.push(sorted[Math.floor(k)]!)
  return found
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
