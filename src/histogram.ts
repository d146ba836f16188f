/**
 * Counts of values in fixed ranges: bounded memory whatever is recorded, and two of them with the same bounds can be added and
 * subtracted, so that a window is the difference of two readings.
 */
export class Histogram {
  /** Upper bounds of the ranges, rising; what lies above the last one is counted in a range of its own. */
  readonly bounds: readonly number[]
  /** One number a range, not cumulative; the last one is of what lies above all bounds. */
  readonly counts: Float64Array
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  get count(): number {
    let total = 0
    for (const count of this.counts) total += count
    return total
  }

  /** What is not a number is not counted; a negative value, of a clock that was set back, counts as 0. */
  record(value: number): void {
    if (!(value < Number.POSITIVE_INFINITY)) return
    const counted = Math.max(0, value)
    let low = 0
    let high = this.bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (counted <= this.bounds[middle]!) high = middle
      else low = middle + 1
    }
    this.counts[low]!++
    this.sum += counted
  }

  /** What was recorded since `earlier`, a copy of this histogram. */
  since(earlier: Histogram): Histogram {
    const later = this.copy()
    later.counts.forEach((count, range) => {
      later.counts[range] = Math.max(0, count - (earlier.counts[range] ?? 0))
    })
    later.sum = Math.max(0, this.sum - earlier.sum)
    return later
  }

  copy(): Histogram {
    const copy = new Histogram(this.bounds)
    copy.counts.set(this.counts)
    copy.sum = this.sum
    return copy
  }

  /** The value that a share `q` of all lie below, evenly spread inside a range; undefined of nothing. */
  quantile(q: number): number | undefined {
    const wanted = q * this.count
    if (!(wanted > 0)) return undefined
    let seen = 0
    for (let range = 0; range < this.bounds.length; range++) {
      const inside = this.counts[range]!
      if (seen + inside >= wanted) {
        const low = range === 0 ? 0 : this.bounds[range - 1]!
        return low + ((wanted - seen) / inside) * (this.bounds[range]! - low)
      }
      seen += inside
    }
    return this.bounds[this.bounds.length - 1]
  }
}

/** 1, 2, 5 times every power of ten from a hundredth of a millisecond to ten seconds. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
]
/** Of what takes longer: steps of a move, moves, pauses. Up to an hour. */
export const DURATION_BOUNDS_MS: readonly number[] = [
  1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
]
