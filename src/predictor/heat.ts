export type Heat = 'hot' | 'warm' | 'cold'

/** Hot: the hottest segments that carry half of all load. Cold: the coldest that carry a tenth. */
const HOT_LOAD = 0.5
const WARM_LOAD = 0.9
/** Loads are put in order by classes of a hundredth: exact sorting of a million would hold everybody up. */
const CLASSES_A_FACTOR_OF_E = 100

/** How hot each item is among all. */
export class Heats {
  readonly #sums: ArrayLike<number>
  readonly #hot: number
  readonly #warm: number

  private constructor(sums: ArrayLike<number>, hot: number, warm: number) {
    this.#sums = sums
    this.#hot = hot
    this.#warm = warm
  }

  /** `sums`: load of each item. */
  static of(sums: ArrayLike<number>): Heats {
    const loads = new Map<number, number>()
    let all = 0
    for (let item = 0; item < sums.length; item++) {
      const sum = sums[item]!
      if (sum <= 0) continue
      all += sum
      const each = classOf(sum)
      loads.set(each, (loads.get(each) ?? 0) + sum)
    }
    let above = 0
    let hot = Number.POSITIVE_INFINITY
    let warm = Number.POSITIVE_INFINITY
    for (const [each, load] of [...loads].sort(([a], [b]) => b - a)) {
      if (above < HOT_LOAD * all) hot = each
      if (above < WARM_LOAD * all) warm = each
      above += load
    }
    return new Heats(sums, hot, warm)
  }

  of(item: number): Heat {
    const sum = this.#sums[item] ?? 0
    if (sum <= 0) return 'cold'
    const each = classOf(sum)
    return each >= this.#hot ? 'hot' : each >= this.#warm ? 'warm' : 'cold'
  }
}

function classOf(sum: number): number {
  return Math.floor(Math.log(sum) * CLASSES_A_FACTOR_OF_E)
}
