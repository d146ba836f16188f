/**
 * Loads of the shards over the intervals of a horizon, and what a move does to their imbalance, without adding up
 * anything twice: a candidate costs O(intervals).
 *
 * Load is relative: 1 is the shard's fair share of the interval's load by its capacity. The imbalance is smoothed,
 *
 *     mean over intervals t of  (1/β) · ln Σ over shards s of exp(β · x(s, t))
 *
 * which for β = √(2 ln n) / σ is about the expected maximum when each shard turns out σ away from its forecast. So a gain
 * that drowns in the noise is worth little, and one on the second hottest shard is worth something. For σ → 0 it
 * is the maximum itself.
 */
export class LoadTable {
  readonly shards: number
  readonly intervals: number
  /** x(s, t) at s · intervals + t. */
  readonly relative: Float64Array
  /** Load of an item in interval t × scale[t] / capacity[s] is its relative load; 0 for an interval without load. */
  readonly scale: Float64Array
  readonly capacity: Float64Array
  /** Sharpness by interval. */
  readonly #beta: Float64Array
  /** exp(β · (x − reference)) in the order of `relative`, and its sum by interval. */
  readonly #exps: Float64Array
  readonly #sums: Float64Array
  readonly #reference: Float64Array
  readonly #counted: number

  /** `totals`: load of all shards by interval; `weights`: capacities of any scale; `noise`: σ by interval. */
  constructor(totals: ArrayLike<number>, weights: ArrayLike<number>, noise: ArrayLike<number>) {
    const n = weights.length
    this.shards = n
    this.intervals = totals.length
    this.relative = new Float64Array(n * totals.length)
    this.scale = Float64Array.from(totals, (total) => (total > 0 ? 1 / total : 0))
    let sum = 0
    for (let s = 0; s < n; s++) sum += weights[s]!
    this.capacity = Float64Array.from(weights, (weight) => weight / sum)
    const spread = Math.sqrt(2 * Math.log(Math.max(2, n)))
    this.#beta = Float64Array.from(noise, (deviation) => spread / Math.max(deviation, 0.002))
    this.#exps = new Float64Array(this.relative.length)
    this.#sums = new Float64Array(this.intervals)
    this.#reference = new Float64Array(this.intervals)
    this.#counted = Math.max(1, this.scale.filter((scale) => scale > 0).length)
    for (let t = 0; t < this.intervals; t++) this.#settle(t)
  }

  /** Adds `sign` × an item's loads (`loads[offset …]`, one an interval) to a shard. Call `settle` when done. */
  put(shard: number, loads: ArrayLike<number>, offset: number, sign: 1 | -1): void {
    const { intervals, scale, relative } = this
    const capacity = this.capacity[shard]!
    for (let t = 0; t < intervals; t++)
      relative[shard * intervals + t]! += (sign * loads[offset + t]! * scale[t]!) / capacity
  }

  settle(): void {
    for (let t = 0; t < this.intervals; t++) this.#settle(t)
  }

  /** The smoothed imbalance. */
  value(): number {
    let sum = 0
    for (let t = 0; t < this.intervals; t++) if (this.scale[t]! > 0) sum += this.#soft(t)
    return sum / this.#counted
  }

  /** The imbalance as the objective has it, if the forecast came true to the letter. */
  peak(): number {
    let sum = 0
    for (let t = 0; t < this.intervals; t++) if (this.scale[t]! > 0) sum += this.#reference[t]!
    return sum / this.#counted
  }

  /** The shard that is to blame for most of the imbalance: by how far it exceeds its share where it is the fullest. */
  fullest(): number {
    const blame = new Float64Array(this.shards)
    for (let t = 0; t < this.intervals; t++) {
      if (this.scale[t] === 0) continue
      let top = 0
      for (let s = 1; s < this.shards; s++)
        if (this.relative[s * this.intervals + t]! > this.relative[top * this.intervals + t]!) top = s
      blame[top]! += this.relative[top * this.intervals + t]! - 1
    }
    return blame.indexOf(Math.max(...blame))
  }

  /** By how much the smoothed imbalance would fall if loads moved. Negative if it would rise. */
  gain(from: number, to: number, loads: ArrayLike<number>): number {
    const { intervals, scale, relative } = this
    let gain = 0
    for (let t = 0; t < intervals; t++) {
      const load = loads[t]! * scale[t]!
      if (load === 0) continue
      const beta = this.#beta[t]!
      const reference = this.#reference[t]!
      const a = from * intervals + t
      const b = to * intervals + t
      const sum = this.#sums[t]!
      const xa = relative[a]! - load / this.capacity[from]!
      const xb = relative[b]! + load / this.capacity[to]!
      let rest = sum - this.#exps[a]! - this.#exps[b]!
      let high = reference
      if (rest < 1e-6 * sum || xb > reference) {
        // The difference has no digits left, or the newcomer overtops the reference: add up again around the new top.
        high = Math.max(xa, xb)
        for (let s = 0; s < this.shards; s++)
          if (s !== from && s !== to) high = Math.max(high, relative[s * intervals + t]!)
        rest = 0
        for (let s = 0; s < this.shards; s++)
          if (s !== from && s !== to) rest += Math.exp(beta * (relative[s * intervals + t]! - high))
      }
      const after = high + Math.log(rest + Math.exp(beta * (xa - high)) + Math.exp(beta * (xb - high))) / beta
      gain += reference + Math.log(sum) / beta - after
    }
    return gain / this.#counted
  }

  /** What one more unit of load on a shard costs in each interval: the gradient, into `out`. */
  price(shard: number, out: Float64Array): void {
    const { intervals } = this
    for (let t = 0; t < intervals; t++)
      out[t] =
        (this.#exps[shard * intervals + t]! / this.#sums[t]!) *
        (this.scale[t]! / this.capacity[shard]! / this.#counted)
  }

  #soft(t: number): number {
    return this.#reference[t]! + Math.log(this.#sums[t]!) / this.#beta[t]!
  }

  #settle(t: number): void {
    const { intervals, shards, relative } = this
    let high = Number.NEGATIVE_INFINITY
    for (let s = 0; s < shards; s++) high = Math.max(high, relative[s * intervals + t]!)
    let sum = 0
    for (let s = 0; s < shards; s++) {
      const e = Math.exp(this.#beta[t]! * (relative[s * intervals + t]! - high))
      this.#exps[s * intervals + t] = e
      sum += e
    }
    this.#reference[t] = high
    this.#sums[t] = sum
  }
}
