import { Layout, type PlannedMove, type PlannerInput } from './layout'
import type { Pace } from './pace'
import { Shortlist, SIZE_FLOOR } from './shortlist'

/**
 * A move must gain so much in J, and so many times its own price on top, or it is not worth its risk; one too small for that, half of what
 * taking its load off the fullest shard could gain.
 */
const LEAST_GAIN = 0.001
const SMALL = 0.5
const MARGIN = 0.5
/** Moves of one step are made together as long as each keeps this share of its score. */
const STILL_GOOD = 0.8
/** Steps beyond one for every move: for what is taken back or redirected. */
const REFINEMENTS = 400
/** Exchanges in a plan, and items that one is sought for each time. */
const MOST_SWAPS = 64
const SWAPPED = 24
/** Items that are tried between two rests. */
const BLOCK = 8
/** Shards that a clump is tried on. */
const CLUMP_TARGETS = 3

interface Found {
  readonly items: readonly number[]
  readonly to: number
  readonly score: number
}

/**
 * Greedy descent on J over all columns: segments that peak at different hours end up together because the maximum is taken
 * interval by interval. Each step weighs the candidates by (J removed) / (load moved), as Slicer does (Adya et al. 2016),
 * starting where load is dearest; clumps of co-accessed items move as one, as in Clay. Where no single move helps, two
 * items change places.
 */
export class Planner {
  readonly layout: Layout
  readonly #shortlist: Shortlist
  #pool: number[] = []
  #swaps = 0
  /** Looks since the last one that led to a move. */
  #fruitless = 0

  constructor(input: PlannerInput) {
    this.layout = new Layout(input)
    this.#shortlist = new Shortlist(this.layout)
  }

  /** The moves, by item. */
  async plan(pace: Pace): Promise<PlannedMove[]> {
    const { maxMoves, items } = this.layout.input
    await this.#drain(pace)
    const limit = Math.min(maxMoves, items) + REFINEMENTS + this.#shortlist.looks
    for (let step = 0; step < limit; step++) {
      if (!(await this.#step(pace))) break
      const rest = pace.rest()
      if (rest) await rest
    }
    return this.layout.moves()
  }

  /** Empties what is to be emptied, hottest first, each item to where it costs least. */
  async #drain(pace: Pace): Promise<void> {
    const layout = this.layout
    const { items, draining, fixed } = layout.input
    if (!draining.includes(1)) return
    const leaving: number[] = []
    for (let item = 0; item < items; item++)
      if (draining[layout.assignment[item]!] && layout.leads(item) && !fixed[item]) leaving.push(item)
    leaving.sort((a, b) => layout.share[b]! - layout.share[a]! || a - b)
    for (const item of leaving) {
      this.#shortlist.priceShards()
      const [to] = this.#shortlist.targets(item)
      if (to === undefined || !layout.affords([[item, to]])) continue
      layout.carryOut([item], to)
      await pace.rest()
    }
  }

  /** Makes the best moves there are; false if none is worth it. */
  async #step(pace: Pace): Promise<boolean> {
    this.#shortlist.priceShards()
    const fresh = this.#pool.length === 0
    if (fresh) {
      const { table, input } = this.layout
      this.#pool = this.#shortlist.candidates(table.peak() > 1 + input.tolerance)
    }
    const made = await this.#best(this.#pool, pace)
    // To look through all items costs far more than to look once more at those that were promising.
    if (made > 0 || !fresh) {
      if (made === 0) this.#pool = []
      else this.#fruitless = 0
      return true
    }
    if (++this.#fruitless < this.#shortlist.looks) {
      this.#pool = []
      return true
    }
    const swapped = await this.#swap(this.#pool, pace)
    this.#pool = []
    return swapped
  }

  /** Makes the best moves among these items; how many. */
  async #best(pool: readonly number[], pace: Pace): Promise<number> {
    const layout = this.layout
    const { objective, graph, fixed } = layout.input
    const found: Found[] = []
    for (const [k, item] of pool.entries()) {
      const rest = k % BLOCK === 0 ? pace.rest() : undefined
      if (rest) await rest
      let best: Found | undefined
      const consider = (items: number[], to: number) => {
        const score = this.#score(items, to)
        if (score > 0 && (best === undefined || score > best.score)) best = { items, to, score }
      }
      const targets = this.#shortlist.targets(item)
      for (const to of targets) consider([item], to)
      if (!graph.empty && objective.crossing > 0) {
        const clump = this.#shortlist.clump(item)
        if (clump.length > 1) for (const to of targets.slice(0, CLUMP_TARGETS)) consider(clump, to)
      }
      if (best !== undefined) found.push(best)
    }
    found.sort((a, b) => b.score - a.score)
    // The table changes with every move: the others are made only as far as they are still about as good.
    let made = 0
    for (const { items, to, score } of found) {
      const from = layout.assignment[items[0]!]!
      if (items.some((item) => layout.assignment[item] !== from || fixed[item] === 1) || to === from) continue
      if (made > 0 && this.#score(items, to) < STILL_GOOD * score) continue
      layout.carryOut(items, to)
      made++
    }
    return made
  }

  /** (J removed) / (load moved), 0 for what is not worth it or not affordable. */
  #score(items: readonly number[], to: number): number {
    const layout = this.layout
    const { objective, weights } = layout.input
    if (!layout.affords(items.map((item) => [item, to] as const))) return 0
    const gain = layout.gain(items, to)
    let share = 0
    for (const item of items) share += layout.shareOf(item)
    const least = share > 0 ? Math.min(LEAST_GAIN, SMALL * share * weights.length) : LEAST_GAIN
    if (gain <= least + MARGIN * objective.churn * share) return 0
    return gain / (share + SIZE_FLOOR / weights.length)
  }

  /** Exchanges two items where no single move helps any more: the best exchange of a promising item for a smaller one. */
  async #swap(pool: readonly number[], pace: Pace): Promise<boolean> {
    const layout = this.layout
    const { open } = layout.input
    if (this.#swaps++ >= MOST_SWAPS) return false
    const onShard = this.#shortlist.byShard()
    let best: { item: number; other: number; gain: number } | undefined
    for (const item of pool.slice(0, SWAPPED)) {
      const rest = pace.rest()
      if (rest) await rest
      if (!layout.leads(item) || !open[layout.assignment[item]!]) continue
      for (const to of this.#shortlist.targets(item))
        for (const other of this.#shortlist.partners(item, onShard[to]!)) {
          const gain = this.#exchange(item, other)
          if (gain > 0 && (best === undefined || gain > best.gain)) best = { item, other, gain }
        }
    }
    if (best === undefined) return false
    const { item, other } = best
    const [from, to] = [layout.assignment[item]!, layout.assignment[other]!]
    layout.carryOut([item], to)
    layout.carryOut([other], from)
    return true
  }

  /** What the exchange of two items gains; 0 where that is not worth it or not affordable. */
  #exchange(item: number, other: number): number {
    const { assignment, input } = this.layout
    const changes = [[item, assignment[other]!] as const, [other, assignment[item]!] as const]
    if (!this.layout.affords(changes)) return 0
    const { gain, moved } = this.layout.exchange(item, other)
    return gain > LEAST_GAIN + MARGIN * input.objective.churn * Math.max(0, moved) ? gain : 0
  }
}
