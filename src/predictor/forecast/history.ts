import { invalid } from '../../errors'

/** A stretch of a series: a number an interval, and whether it is known; one that is not is of no account. */
export interface Intervals {
  readonly values: Float64Array
  readonly known: Uint8Array
  readonly length: number
}

/** What is used of a series: its last intervals, from the first one that is known; gaps are filled, and marked. */
export class History implements Intervals {
  /** Every interval has a number here; a filled gap is 0 in `known`. */
  readonly values: Float64Array
  readonly known: Uint8Array
  readonly length: number
  readonly gaps: number
  /** Of the known intervals. */
  readonly min: number
  readonly max: number
  readonly mean: number
  /** Whether every known interval is a whole number ≥ 0, as accesses are. */
  readonly counts: boolean

  private constructor(values: Float64Array, known: Uint8Array) {
    this.values = values
    this.known = known
    this.length = values.length
    let min = Number.POSITIVE_INFINITY
    let max = Number.NEGATIVE_INFINITY
    let sum = 0
    let gaps = 0
    let counts = true
    for (let t = 0; t < values.length; t++) {
      if (!known[t]) {
        gaps++
        continue
      }
      const v = values[t]!
      if (v < min) min = v
      if (v > max) max = v
      sum += v
      if (v < 0 || v !== Math.floor(v)) counts = false
    }
    const seen = values.length - gaps
    this.gaps = gaps
    this.min = seen ? min : 0
    this.max = seen ? max : 0
    this.mean = seen ? sum / seen : 0
    this.counts = counts
  }

  /** Reads the last `limit` intervals; NaN is a gap. Throws on a series that is no series of numbers. */
  static read(series: ArrayLike<number>, limit: number): History {
    const end = series.length
    let start = Math.max(0, end - limit)
    for (let t = 0; t < end; t++) {
      const v = series[t]
      if (typeof v !== 'number')
        throw invalid(
          `series[${t}]`,
          `must be a number, not ${v === null ? 'null' : typeof v}; give NaN for a gap`,
        )
      if (v === Number.POSITIVE_INFINITY || v === Number.NEGATIVE_INFINITY)
        throw invalid(`series[${t}]`, 'must be finite; give NaN for an interval that is missing')
    }
    while (start < end && Number.isNaN(series[start]!)) start++
    const n = end - start
    const values = new Float64Array(n)
    const known = new Uint8Array(n)
    for (let t = 0; t < n; t++) {
      const v = series[start + t]!
      if (!Number.isNaN(v)) {
        values[t] = v
        known[t] = 1
      }
    }
    return new History(values, known)
  }

  /** The last `limit` intervals of this one. */
  last(limit: number): History {
    if (limit >= this.length) return this
    let start = this.length - limit
    while (start < this.length && !this.known[start]) start++
    return new History(this.values.slice(start), this.known.slice(start))
  }

  /**
   * A gap becomes the mean of the known intervals a season before and after it, of the longest season that has any; one of two
   * intervals or less, or without a season, lies on a line between its ends. Seasons ascending.
   */
  fill(seasons: readonly number[]): void {
    const { values, known, length } = this
    if (this.gaps === 0) return
    let before = -1
    for (let t = 0; t < length; t++) {
      if (known[t]) {
        before = t
        continue
      }
      let end = t
      while (end < length && !known[end]) end++
      for (let g = t; g < end; g++) {
        const left = values[before]!
        const right = end < length ? values[end]! : left
        let fill = left + ((right - left) * (g - before)) / (end - before)
        if (end - t > 2) fill = this.#aSeasonAway(g, seasons) ?? fill
        values[g] = fill
      }
      t = end - 1
    }
  }

  #aSeasonAway(gap: number, seasons: readonly number[]): number | undefined {
    const { values, known, length } = this
    for (let k = seasons.length - 1; k >= 0; k--) {
      const season = seasons[k]!
      let past = gap - season
      while (past >= 0 && !known[past]) past -= season
      let next = gap + season
      while (next < length && !known[next]) next += season
      if (past >= 0 && next < length) return (values[past]! + values[next]!) / 2
      if (past >= 0) return values[past]!
      if (next < length) return values[next]!
    }
    return undefined
  }
}
