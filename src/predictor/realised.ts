import type { CoAccessGraph } from './co-access'
import { peakOf } from './objective'
import type { Objective } from './prediction'

/** What came over a horizon, under the placement before any move. */
export interface Actual {
  /** By interval, the load of each shard. */
  readonly loads: readonly Float64Array[]
  readonly weights: readonly number[]
  /** Who was accessed with whom in that time. */
  readonly graph: CoAccessGraph
  readonly objective: Objective
}

/** A move, and what its items carried. */
export interface ActualMove {
  readonly items: readonly number[]
  readonly from: number
  readonly to: number
  readonly vector: Float64Array
}

/** By how much J would have been lower: with each move alone, with it as the last of the plan, and with the plan. */
export interface Realised {
  readonly alone: readonly number[]
  readonly last: readonly number[]
  readonly whole: number
}

/** Holds a plan against what came, whether or not it was carried out. Leaves what it is given as it was. */
export function realise(actual: Actual, moves: readonly ActualMove[]): Realised {
  const { loads, weights, graph, objective } = actual
  const total = loads.reduce((sum, row) => sum + row.reduce((a, b) => a + b, 0), 0)
  const shift = ({ from, to, vector }: ActualMove, sign: 1 | -1) => {
    if (from === to) return
    loads.forEach((row, h) => {
      row[from]! -= sign * vector[h]!
      row[to]! += sign * vector[h]!
    })
  }
  const seen = Math.max(1, loads.filter((row) => row.some((load) => load > 0)).length)
  const imbalance = () => loads.reduce((sum, row) => sum + peakOf(row, weights), 0) / seen
  const price = ({ from, to, vector }: ActualMove) =>
    from === to || total === 0 ? 0 : (objective.churn * vector.reduce((sum, load) => sum + load, 0)) / total
  const ties = (weight: number) => (graph.total > 0 ? (objective.crossing * weight) / graph.total : 0)
  const place = ({ items }: ActualMove, to: number) => {
    if (!graph.empty) for (const item of items) graph.move(item, to)
  }

  const before = imbalance()
  const alone = moves.map((move) => {
    shift(move, 1)
    const gain = objective.imbalance * (before - imbalance()) + ties(graph.uncrossed(move.items, move.to))
    shift(move, -1)
    return gain - price(move)
  })
  const crossingBefore = graph.crossing()
  for (const move of moves) {
    shift(move, 1)
    place(move, move.to)
  }
  const after = imbalance()
  const last = moves.map((move) => {
    shift(move, -1)
    const gain = objective.imbalance * (imbalance() - after) - ties(graph.uncrossed(move.items, move.from))
    shift(move, 1)
    return gain - price(move)
  })
  const whole =
    objective.imbalance * (before - after) +
    objective.crossing * (crossingBefore - graph.crossing()) -
    moves.reduce((sum, move) => sum + price(move), 0)
  for (const move of moves) {
    shift(move, -1)
    place(move, move.from)
  }
  return { alone, last, whole }
}
