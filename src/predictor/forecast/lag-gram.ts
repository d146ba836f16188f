/**
 * The Gram matrix of a lagged regression over one stretch of rows, with one pass per distinct difference of lags
 * and no memory of its own to write to: cheaper than LagProducts where only one stretch is ever asked for.
 *
 * Entry (i, j) is Σ x(s)·x(s−d) over s in [from−i, to−i), d = j − i. All pairs of one d share the pass, which stops
 * at their ends to note the sum so far.
 */
export class LagGram {
  readonly width: number
  readonly #passes: { d: number; stops: Int32Array; entries: Int32Array }[] = []
  readonly #sums: Float64Array
  readonly #constant: Int32Array
  readonly #rows: number

  /** Rows [from, to), from ≥ the longest lag. Columns: target, lags, constant; see solveRidge. */
  constructor(lags: readonly number[], from: number, to: number) {
    const columns = [0, ...lags]
    const width = columns.length + 1
    this.width = width
    this.#rows = to - from
    const byDifference = new Map<number, [number, number][]>()
    columns.forEach((i, a) => {
      columns.forEach((j, b) => {
        if (b < a) return
        const pairs = byDifference.get(j - i)
        if (pairs) pairs.push([a, b])
        else byDifference.set(j - i, [[a, b]])
      })
    })
    let longest = 0
    for (const [d, pairs] of byDifference) {
      const stops = [...new Set(pairs.flatMap(([a]) => [from - columns[a]!, to - columns[a]!]))].sort(
        (a, b) => a - b,
      )
      const entries = pairs.flatMap(([a, b]) => [
        a * width + b,
        stops.indexOf(from - columns[a]!),
        stops.indexOf(to - columns[a]!),
      ])
      longest = Math.max(longest, stops.length)
      this.#passes.push({ d, stops: Int32Array.from(stops), entries: Int32Array.from(entries) })
    }
    this.#sums = new Float64Array(longest)
    this.#constant = Int32Array.from(columns.flatMap((i) => [from - i, to - i]))
  }

  compute(x: Float64Array, into: Float64Array): void {
    const { width } = this
    const sums = this.#sums
    for (const { d, stops, entries } of this.#passes) {
      let sum = 0
      sums[0] = 0
      for (let k = 1; k < stops.length; k++) {
        sum += product(x, d, stops[k - 1]!, stops[k]!)
        sums[k] = sum
      }
      for (let k = 0; k < entries.length; k += 3)
        into[entries[k]!] = sums[entries[k + 2]!]! - sums[entries[k + 1]!]!
    }
    // Column sums: the core once, then the ends by which the columns differ.
    const last = width - 1
    const constant = this.#constant
    const low = constant[0]!
    const high = Math.max(low, constant[constant.length - 1]!)
    let core = 0
    for (let s = low; s < high; s++) core += x[s]!
    for (let a = 0; a < last; a++) {
      let sum = core
      const end = constant[2 * a + 1]!
      if (end < high) {
        sum = 0
        for (let s = constant[2 * a]!; s < end; s++) sum += x[s]!
      } else {
        for (let s = constant[2 * a]!; s < low; s++) sum += x[s]!
        for (let s = high; s < end; s++) sum += x[s]!
      }
      into[a * width + last] = sum
    }
    into[width * width - 1] = this.#rows
  }
}

/** Four sums at a time: one would wait for the addition before it. */
function product(x: Float64Array, d: number, from: number, to: number): number {
  let a = 0
  let b = 0
  let c = 0
  let e = 0
  let s = from
  for (; s + 3 < to; s += 4) {
    a += x[s]! * x[s - d]!
    b += x[s + 1]! * x[s + 1 - d]!
    c += x[s + 2]! * x[s + 2 - d]!
    e += x[s + 3]! * x[s + 3 - d]!
  }
  for (; s < to; s++) a += x[s]! * x[s - d]!
  return a + b + (c + e)
}
