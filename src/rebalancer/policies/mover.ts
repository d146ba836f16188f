import type { Placement } from '../../placement/assignment'
import type { SegmentId, ShardAssignmentMap, ShardId } from '../../placement/segment'
import type { MoveBudget, Objective } from '../../predictor/prediction'
import type { PastInterval } from '../replay/interval'
import { LoadModel, type Unit } from './load-model'

export interface MoverInput {
  placement: Placement
  /** The loads that the mover is to balance: measured ones, or true ones of the future. */
  loads: readonly PastInterval[]
  /** Where it learns what is accessed together. */
  transactions: readonly PastInterval[]
  objective: Objective
  budget: MoveBudget
  /** No load is moved while max / mean is below 1 + tolerance. */
  tolerance: number
  /** A move must lower J by so much, its churn priced in. */
  minGain: number
}

/** Moves of one decision, unless the budget says less. */
const MOST_MOVES = 64
/** Units looked at on an overloaded shard, the hottest first; and tags that could be carved out there. */
const UNITS = 192
const CARVABLE = 24
/** Units looked at for the sake of transactions, the most accessed ones first. */
const TIED = 256

/**
 * The mover that `reactive` and `clairvoyant` share, so that what differs is only what they know. In E-Store's manner
 * (Taft et al. 2014) it relieves the fullest shard, hot tuples as well as blocks, and in Clay's (Serafini et al. 2016)
 * it also moves a unit to the shard it is most accessed with; each step takes the move that lowers J the most.
 */
export function planMoves(input: MoverInput): ShardAssignmentMap {
  const { placement, objective, budget, tolerance, minGain } = input
  const model = new LoadModel(placement, input.loads, input.transactions, objective)
  const map = new Map<SegmentId, ShardId>()
  const maxMoves = Math.min(budget.maxMoves ?? MOST_MOVES, MOST_MOVES)
  let allowance = (budget.maxLoadShare ?? 1) * model.total
  const settled = new Set<SegmentId>()
  const tied = tiedUnits(model)

  while (map.size < maxMoves) {
    let best: { unit: Unit; of: Unit; to: number; change: number } | undefined
    const consider = (unit: Unit, of: Unit, to: number) => {
      if (to === unit.shard || unit.load > allowance || settled.has(unit.segment)) return
      const change = model.change(unit, to)
      if (change < -minGain && (!best || change < best.change)) best = { unit, of, to, change }
    }
    if (model.imbalance() > 1 + tolerance) {
      const blame = model.blame()
      const fullest = blame.indexOf(Math.max(...blame))
      const units = model.units
        .filter((unit) => unit.shard === fullest)
        .sort((a, b) => b.load - a.load)
        .slice(0, UNITS)
      for (const unit of units) {
        for (let to = 0; to < placement.shards.length; to++) consider(unit, unit, to)
        for (const tag of model.hottestTags(unit, CARVABLE))
          for (let to = 0; to < placement.shards.length; to++) consider(tag, unit, to)
      }
    }
    for (const { unit, to } of tied) consider(unit, unit, to)
    if (!best) break
    const { unit, of, to } = best
    if (unit !== of) model.split(of, unit)
    model.move(unit, to)
    settled.add(unit.segment).add(of.segment)
    allowance -= unit.load
    map.set(unit.segment, placement.shards[to]!)
  }
  return map
}

/** Where transactions pull units to. Worked out once a decision; each candidate's gain is evaluated anew. */
function tiedUnits(model: LoadModel): { unit: Unit; to: number }[] {
  if (model.transactions === 0) return []
  const found: { unit: Unit; to: number; change: number }[] = []
  for (const unit of model.units) {
    const to = model.mostTied(unit)
    if (to === undefined) continue
    const change = model.crossingChange(unit, to)
    if (change < 0) found.push({ unit, to, change })
  }
  return found.sort((a, b) => a.change - b.change).slice(0, TIED)
}
