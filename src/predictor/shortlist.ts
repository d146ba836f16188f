import type { Layout } from './layout'
import { TopItems } from './top-items'

/** Items that are looked at closely in each step: so many of each size, and by ties to another shard. */
const CLOSE_LOOKS = 32
/** Loads that count as nothing in the ranking, in shares of a fair share: the smaller, the more small items are looked at. */
const SIZE_CLASSES = [0.1, 0.01, 0.0002]
/** Small moves are preferred to large ones of the same gain, but not without limit: share of a fair share. */
export const SIZE_FLOOR = 0.1
/** Shards that candidates are priced against. */
const CHEAPEST = 8
/** Shards that are tried for each of them: the cheapest, and the one it is most tied to. */
const TARGETS = 5
/** Items that every look takes in, the hottest; and so many of the others, in turn, so that a look costs the same for any number. */
const HOTTEST = 2048
const OTHERS = 2048
/** Items in a clump at most (Clay, Serafini et al. 2016). */
const CLUMP = 6
/** Items of another shard that an item may change places with. */
const SIMILAR = 8

/** What is worth a close look, found from prices: what a unit of load costs on each shard in each column. */
export class Shortlist {
  readonly #layout: Layout
  readonly #prices: Float64Array[]
  /** Looked at every time. */
  readonly #hottest: readonly number[]
  /** Looked at in turn; the look that comes next begins with this one. */
  readonly #others: readonly number[]
  #next = 0

  constructor(layout: Layout) {
    this.#layout = layout
    const { weights, columns, items } = layout.input
    this.#prices = weights.map(() => new Float64Array(columns))
    const all = Array.from({ length: items }, (_, item) => item)
    if (items <= HOTTEST + OTHERS) {
      this.#hottest = all
      this.#others = []
      return
    }
    const top = new TopItems(HOTTEST)
    for (const item of all) top.offer(item, layout.share[item]!)
    this.#hottest = top.items().sort((a, b) => a - b)
    const hot = new Set(this.#hottest)
    this.#others = all.filter((item) => !hot.has(item))
  }

  /** Looks that it takes to have seen every item. */
  get looks(): number {
    return Math.max(1, Math.ceil(this.#others.length / OTHERS))
  }

  /** To be called after the layout has changed. */
  priceShards(): void {
    this.#prices.forEach((price, shard) => {
      this.#layout.table.price(shard, price)
    })
  }

  /**
   * The items most worth a close look: by what a unit of their load would save on the cheapest of a few shards, among large and small ones
   * alike; and by their ties to another shard.
   */
  candidates(uneven: boolean): number[] {
    const { assignment, share, input } = this.#layout
    const { columns, stride, offset, loads, fixed, graph, weights, objective, recurrence } = input
    const classes = SIZE_CLASSES.map((floor) => ({
      floor: floor / weights.length,
      best: new Best(CLOSE_LOOKS),
    }))
    const tied = new Best(CLOSE_LOOKS)
    const ties = !graph.empty && objective.crossing > 0 && graph.total > 0
    const cheap = this.#cheapest()
    const width = cheap.length
    const costs = new Float64Array(width)
    for (const item of this.#look()) {
      if (fixed[item]) continue
      const from = assignment[item]!
      const own = share[item]!
      if (uneven && own > 0) {
        const price = this.#prices[from]!
        costs.fill(0)
        let saved = 0
        for (let t = 0; t < columns; t++) {
          const load = loads[item * stride + offset + t]!
          if (load === 0) continue
          saved += load * price[t]!
          for (let k = 0; k < width; k++) costs[k]! += load * cheap[k]![t]!
        }
        let least = Number.POSITIVE_INFINITY
        for (let k = 0; k < width; k++) if (costs[k]! < least) least = costs[k]!
        const net = objective.imbalance * (saved - least) - objective.churn * own
        if (net > 0) for (const { floor, best } of classes) best.offer(item, net / (own + floor))
      }
      if (ties) {
        const to = graph.strongest(item)
        if (to === from) continue
        const gain =
          (objective.crossing * recurrence * (graph.affinity(item, to) - graph.affinity(item, from))) /
          graph.total
        if (gain > 0.5 * objective.churn * own) tied.offer(item, gain / (own + SIZE_FLOOR / weights.length))
      }
    }
    return [...new Set([...classes.flatMap(({ best }) => best.items()), ...tied.items()])]
  }

  #look(): readonly number[] {
    const others = this.#others.slice(this.#next, this.#next + OTHERS)
    this.#next = this.#next + OTHERS < this.#others.length ? this.#next + OTHERS : 0
    return others.length > 0 ? [...this.#hottest, ...others] : this.#hottest
  }

  /** Shards that an item may go to, the cheapest for its hours first; then the one that it is most tied to, and its own. */
  targets(item: number): number[] {
    const { assignment, input } = this.#layout
    const { open, graph, weights, shardOf } = input
    const from = assignment[item]!
    const vector = this.#layout.loadsOf([item])
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
  clump(seed: number): number[] {
    const layout = this.#layout
    const { graph, fixed } = layout.input
    const clump = [seed]
    for (const { item } of graph.neighbours(seed).slice(0, 4 * CLUMP)) {
      if (clump.length >= CLUMP) break
      if (layout.assignment[item] !== layout.assignment[seed] || fixed[item] || !layout.leads(item)) continue
      if (clump.some((other) => layout.companions(other).includes(item))) continue
      clump.push(item)
    }
    return clump
  }

  /** The hottest items of each shard that can move, smallest first. */
  byShard(): number[][] {
    const { input, assignment, share } = this.#layout
    const onShard: number[][] = input.weights.map(() => [])
    for (const item of this.#hottest)
      if (!input.fixed[item] && this.#layout.leads(item)) onShard[assignment[item]!]!.push(item)
    for (const list of onShard) list.sort((a, b) => share[a]! - share[b]! || a - b)
    return onShard
  }

  /** What an item may change places with: items of the other shard of up to its size, and some that are tied to its own shard. */
  partners(item: number, onShard: readonly number[]): Set<number> {
    const { share, assignment, input } = this.#layout
    const { graph } = input
    const tied = graph.empty
      ? []
      : onShard.filter((other) => graph.strongest(other) === assignment[item]).slice(0, SIMILAR)
    return new Set([...similar(onShard, share, share[item]!), ...tied])
  }

  /** Prices of the few open shards on which load costs least: overall, and in single columns. */
  #cheapest(): Float64Array[] {
    const { open, columns } = this.#layout.input
    const prices = this.#prices.filter((_, shard) => open[shard])
    if (prices.length <= CHEAPEST) return prices
    const sums = prices.map((price) => price.reduce((sum, each) => sum + each, 0))
    const order = prices.map((_, k) => k).sort((a, b) => sums[a]! - sums[b]! || a - b)
    const chosen = new Set(order.slice(0, CHEAPEST >> 1))
    const step = Math.max(1, Math.floor((2 * columns) / CHEAPEST))
    for (let t = 0; t < columns && chosen.size < CHEAPEST; t += step)
      chosen.add(order.reduce((a, b) => (prices[b]![t]! < prices[a]![t]! ? b : a)))
    return [...chosen].map((k) => prices[k]!)
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
