import type { Loads } from './loads'

/** What counts for less than this is left out. */
const LEAST_WEIGHT = 1e-3

/** The exponentially weighted mean of an item's last loads: what a rebalancer that only reacts goes by. */
export class RecentLevel {
  readonly halfLife: number
  /** Of the last interval, the one before it, …; and their running sums. */
  readonly #weights: Float64Array
  readonly #totals: Float64Array

  /** `halfLife` in intervals. */
  constructor(halfLife: number) {
    this.halfLife = halfLife
    const length = Math.ceil(-halfLife * Math.log2(LEAST_WEIGHT))
    this.#weights = Float64Array.from({ length }, (_, age) => 2 ** (-age / halfLife))
    let total = 0
    this.#totals = this.#weights.map((weight) => {
      total += weight
      return total
    })
  }

  /** Of an item, before column `end`. */
  at({ loads, intervals }: Pick<Loads, 'loads' | 'intervals'>, item: number, end: number): number {
    const weights = this.#weights
    const length = Math.min(end, weights.length)
    if (length <= 0) return 0
    const last = item * intervals + end - 1
    let even = 0
    let odd = 0
    let age = 0
    for (; age + 1 < length; age += 2) {
      even += weights[age]! * loads[last - age]!
      odd += weights[age + 1]! * loads[last - age - 1]!
    }
    if (age < length) even += weights[age]! * loads[last - age]!
    return (even + odd) / this.#totals[length - 1]!
  }
}
