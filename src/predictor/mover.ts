import { Layout, type PlannedMove, type PlannerInput } from './layout'
import type { Pace } from './pace'

/** A move must lower J by so much, its churn priced in; and nothing is moved for load's sake while max / mean is below 1 + TOLERANCE. */
const LEAST_GAIN = 0.005
const TOLERANCE = 0.1
const MOST_MOVES = 64
/** Items that are looked at on the fullest shard, the hottest first; and for the sake of ties. */
const HOTTEST = 192
const TIED = 256
/** Items between two rests. */
const BLOCK = 16
/** What is measured is taken as it was: no load table is sharper than this. */
const EXACT = 0

/**
 * What a mover that only reacts would do: the moves, one by one, that lower J of the last horizon most, off the fullest shard (E-Store, Taft et
 * al. 2014) or towards what an item is accessed with (Clay, Serafini et al. 2016). It moves little and at once, and needs no record.
 */
export class Mover {
  readonly layout: Layout

  constructor(input: PlannerInput) {
    this.layout = new Layout({ ...input, noise: new Float64Array(input.columns).fill(EXACT) })
  }

  /** The moves, by item. */
  async plan(pace: Pace): Promise<PlannedMove[]> {
    const { layout } = this
    const settled = new Set<number>()
    const most = Math.min(MOST_MOVES, layout.input.maxMoves)
    while (settled.size < most) {
      const best = await this.#best(settled, pace)
      if (best === undefined) break
      layout.carryOut([best.item], best.to)
      settled.add(best.item)
    }
    return layout.moves()
  }

  async #best(settled: ReadonlySet<number>, pace: Pace): Promise<{ item: number; to: number } | undefined> {
    const { layout } = this
    const { weights } = layout.input
    let best: { item: number; to: number } | undefined
    let most = LEAST_GAIN
    const consider = (item: number, to: number) => {
      if (to === layout.assignment[item] || settled.has(item)) return
      const gain = layout.gain([item], to)
      if (gain <= most || !layout.affords([[item, to]])) return
      most = gain
      best = { item, to }
    }
    if (layout.table.peak() > 1 + TOLERANCE) {
      const hottest = this.#hottest(layout.table.fullest())
      for (const [k, item] of hottest.entries()) {
        for (let to = 0; to < weights.length; to++) consider(item, to)
        if (k % BLOCK === 0) await pace.rest()
      }
    }
    for (const [k, item] of this.#tied().entries()) {
      consider(item, layout.input.graph.strongest(item))
      if (k % BLOCK === 0) await pace.rest()
    }
    return best
  }

  #hottest(shard: number): number[] {
    const { assignment, share, input } = this.layout
    const found: number[] = []
    for (let item = 0; item < input.items; item++)
      if (assignment[item] === shard && !input.fixed[item]) found.push(item)
    return found.sort((a, b) => share[b]! - share[a]! || a - b).slice(0, HOTTEST)
  }

  /** The items that transactions pull to another shard most. */
  #tied(): number[] {
    const { assignment, input } = this.layout
    const { graph, fixed, items } = input
    if (graph.empty) return []
    const found: { item: number; pull: number }[] = []
    for (let item = 0; item < items; item++) {
      const to = graph.strongest(item)
      const pull = graph.affinity(item, to) - graph.affinity(item, assignment[item]!)
      if (pull > 0 && !fixed[item]) found.push({ item, pull })
    }
    return found
      .sort((a, b) => b.pull - a.pull || a.item - b.item)
      .slice(0, TIED)
      .map(({ item }) => item)
  }
}
