import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { DEFAULT_OBJECTIVE, type Objective } from './prediction'

/**
 * The objective J: what the planner lowers, and what a replay computes from what then happened.
 *
 *     J = imbalance · (mean over intervals of max shard load / mean shard load)
 *       + crossing · (multi-key transactions that touch two shards or more / multi-key transactions)
 *       + churn · (load moved / total load)
 *
 * Everything here is pure.
 */
export interface Outcome {
  /** One array an interval, one number a shard: accesses, writes weighted. Shards without load are there as 0. */
  loads: readonly ArrayLike<number>[]
  /** Capacity of each shard relative to the others', in the order of `loads`; all alike if not given. */
  weights?: ArrayLike<number>
  /** Transactions over two or more distinct keys, and those of them whose keys lie on two or more shards. */
  transactions?: { multiKey: number; crossing: number }
  /** Load, over the same intervals, of the segments that changed their shard. */
  loadMoved?: number
  objective?: Partial<Objective>
}

export interface ObjectiveValue {
  /** ≥ 1; 1 is even. */
  imbalance: number
  /** Crossing transactions as a fraction of the multi-key ones; 0 where there are none. */
  crossing: number
  /** Load moved as a fraction of all load; 0 where there is none. */
  churn: number
  /** The weighted sum. */
  j: number
}

/** The load of so many accesses. */
export function loadOf(operation: 'read' | 'write', count: number, writeWeight: number): number {
  return operation === 'write' ? count * writeWeight : count
}

/**
 * Max shard load over mean shard load in one interval, 0 for an interval without load. With weights a shard's load
 * counts per unit of capacity, so that 1 still means: every shard carries its share.
 */
export function peakOf(loads: ArrayLike<number>, weights?: ArrayLike<number>): number {
  let total = 0
  let capacity = 0
  let max = 0
  for (let shard = 0; shard < loads.length; shard++) {
    const weight = weights === undefined ? 1 : weights[shard]!
    total += loads[shard]!
    capacity += weight
    max = Math.max(max, loads[shard]! / weight)
  }
  return total > 0 ? (max * capacity) / total : 0
}

/** Mean of `peakOf` over the intervals that saw any load; 1 where none did. */
export function imbalanceOf(loads: readonly ArrayLike<number>[], weights?: ArrayLike<number>): number {
  let sum = 0
  let intervals = 0
  for (const interval of loads) {
    const peak = peakOf(interval, weights)
    if (peak === 0) continue
    sum += peak
    intervals++
  }
  return intervals > 0 ? sum / intervals : 1
}

/** Whether what was accessed together lies on two shards or more. */
export function crosses<T>(accessed: Iterable<T>, shardOf: (item: T) => unknown): boolean {
  let first: unknown
  let any = false
  for (const item of accessed) {
    const shard = shardOf(item)
    if (!any) {
      first = shard
      any = true
    } else if (shard !== first) return true
  }
  return false
}

/** J of an outcome, and its parts. */
export function evaluate(outcome: Outcome): ObjectiveValue {
  const { loads, weights, transactions, loadMoved = 0 } = outcome
  const objective = checkObjective(outcome.objective)
  let total = 0
  for (const interval of loads)
    for (let shard = 0; shard < interval.length; shard++) total += interval[shard]!
  const imbalance = imbalanceOf(loads, weights)
  const crossing =
    transactions && transactions.multiKey > 0 ? transactions.crossing / transactions.multiKey : 0
  const churn = total > 0 ? loadMoved / total : 0
  return { imbalance, crossing, churn, j: weigh(objective, imbalance, crossing, churn) }
}

export function weigh(objective: Objective, imbalance: number, crossing: number, churn: number): number {
  return objective.imbalance * imbalance + objective.crossing * crossing + objective.churn * churn
}

const OBJECTIVE_FIELDS: Fields<Objective> = {
  imbalance: true,
  crossing: true,
  churn: true,
  writeWeight: true,
}

/** The whole objective: what is not given keeps its default. */
export function checkObjective(given: Partial<Objective> | undefined, field = 'objective'): Objective {
  if (given === undefined) return DEFAULT_OBJECTIVE
  checkFields(given, OBJECTIVE_FIELDS, field)
  const objective = { ...DEFAULT_OBJECTIVE }
  for (const name of Object.keys(DEFAULT_OBJECTIVE) as (keyof Objective)[]) {
    const value = given[name]
    if (value === undefined) continue
    if (!Number.isFinite(value) || value < 0)
      throw invalid(`${field}.${name}`, `must be a finite number, not negative, not ${shown(value)}`)
    objective[name] = value
  }
  return objective
}
