import type { Random } from '../clock'
import type { Objective } from './prediction'
import type { Scenarios } from './scenarios'

const DRAWS = 200
/** Blocks of a horizon that are drawn one by one; within a block, errors stay together. */
const BLOCKS = 4

/** One alternative to be judged: what J would be with it, and without. */
export interface Alternative {
  /** J's parts that do not depend on the interval: crossing and churn, as a mean and a standard deviation. */
  readonly fixedGain: number
  readonly deviation: number
  /** [scenario · horizon + step]: peak without and with it. 0 for an interval without load. */
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
 * The probability that an alternative lowers J: a block bootstrap (Künsch 1989) over scenarios. Every draw puts a horizon together from
 * blocks of several of them, the same for all segments and for all alternatives.
 */
export class Bootstrap {
  readonly #count: number
  readonly #horizon: number
  readonly #objective: Objective
  readonly #blocks: number
  /** draw · blocks + block -> scenario; and per draw, a deviate for what does not depend on the interval. */
  readonly #picks: Int32Array
  readonly #noise: Float64Array
  readonly #gains: Float64Array
  readonly #counts: Float64Array

  constructor(
    { count, horizon, chances }: Pick<Scenarios, 'count' | 'horizon' | 'chances'>,
    objective: Objective,
    random: Random,
  ) {
    this.#count = count
    this.#horizon = horizon
    this.#objective = objective
    this.#blocks = Math.min(BLOCKS, horizon)
    this.#picks = Int32Array.from({ length: DRAWS * this.#blocks }, () => drawn(chances, random()))
    this.#noise = Float64Array.from({ length: DRAWS }, () => normal(random))
    this.#gains = new Float64Array(count * this.#blocks)
    this.#counts = new Float64Array(count * this.#blocks)
  }

  judge(alternative: Alternative): Judgement {
    const blocks = this.#blocks
    const horizon = this.#horizon
    // Sums by scenario and block once; a draw then adds up `blocks` numbers.
    const gains = this.#gains.fill(0)
    const counts = this.#counts.fill(0)
    for (let f = 0; f < this.#count; f++)
      for (let t = 0; t < horizon; t++) {
        const without = alternative.without[f * horizon + t]!
        if (without === 0) continue
        const at = f * blocks + Math.floor((t * blocks) / horizon)
        gains[at]! += without - alternative.with[f * horizon + t]!
        counts[at]!++
      }
    let wins = 0
    let sum = 0
    let squares = 0
    for (let draw = 0; draw < DRAWS; draw++) {
      let gain = 0
      let intervals = 0
      for (let block = 0; block < blocks; block++) {
        const at = this.#picks[draw * blocks + block]! * blocks + block
        gain += gains[at]!
        intervals += counts[at]!
      }
      const imbalance = intervals > 0 ? gain / intervals : 0
      const total =
        this.#objective.imbalance * imbalance +
        alternative.fixedGain +
        this.#noise[draw]! * alternative.deviation
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
  }
}

/** The scenario that a number in [0, 1) falls on. */
function drawn(chances: readonly number[], number: number): number {
  let rest = number
  for (let k = 0; k < chances.length; k++) {
    rest -= chances[k]!
    if (rest < 0) return k
  }
  return chances.length - 1
}

/** A standard normal deviate (Box and Muller 1958). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
