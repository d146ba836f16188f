import type { Random } from '../clock'
import type { Objective } from './prediction'

const DRAWS = 200
/** Blocks of a horizon that are drawn one by one; within a block, errors stay together. */
const BLOCKS = 4

/** One alternative to be judged: what J would be with it, and without. */
export interface Alternative {
  /** J's parts that do not depend on the interval: crossing and churn, as a mean and a standard deviation. */
  readonly fixedGain: number
  readonly deviation: number
  /** [future · horizon + step]: peak without and with it. 0 for an interval without load. */
  readonly without: Float64Array
  readonly with: Float64Array
}

export interface Judgement {
  /** Share of the draws in which J was lower with it. */
  readonly probability: number
  /** J without − J with, mean over the draws. */
  readonly gain: number
  readonly deviation: number
}

/**
 * The probability that an alternative lowers J: a block bootstrap (Künsch 1989) over the futures of an outlook. Every draw puts a
 * horizon together from blocks of past forecast errors, the same for all segments.
 */
export function judge(
  alternatives: readonly Alternative[],
  futures: number,
  horizon: number,
  objective: Objective,
  random: Random,
): Judgement[] {
  const blocks = Math.min(BLOCKS, horizon)
  const picks = Array.from({ length: DRAWS }, () => {
    const future = Int32Array.from({ length: blocks }, () => Math.floor(random() * futures))
    return { future, noise: normal(random) }
  })
  return alternatives.map((alternative) => {
    // Sums by future and block once; a draw then adds up `blocks` numbers.
    const gains = new Float64Array(futures * blocks)
    const counts = new Float64Array(futures * blocks)
    for (let f = 0; f < futures; f++)
      for (let t = 0; t < horizon; t++) {
        const without = alternative.without[f * horizon + t]!
        if (without === 0) continue
        const block = Math.floor((t * blocks) / horizon)
        gains[f * blocks + block]! += without - alternative.with[f * horizon + t]!
        counts[f * blocks + block]!++
      }
    let wins = 0
    let sum = 0
    let squares = 0
    for (const { future, noise } of picks) {
      let gain = 0
      let intervals = 0
      for (let block = 0; block < blocks; block++) {
        gain += gains[future[block]! * blocks + block]!
        intervals += counts[future[block]! * blocks + block]!
      }
      const imbalance = intervals > 0 ? gain / intervals : 0
      const total = objective.imbalance * imbalance + alternative.fixedGain + noise * alternative.deviation
      if (total > 0) wins++
      sum += total
      squares += total * total
    }
    const mean = sum / DRAWS
    return {
      probability: (wins + 0.5) / (DRAWS + 1),
      gain: mean,
      deviation: Math.sqrt(Math.max(0, squares / DRAWS - mean * mean)),
    }
  })
}

/** A standard normal deviate (Box and Muller 1958). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
