import { stretchSum } from './stretch-sum'

/** Neighbouring differences that share a pass. */
const LANES = 4

/**
 * The Gram matrix of a lagged regression over one stretch of rows, with one pass for every four neighbouring
 * differences of lags and no memory of its own to write to: cheaper than LagProducts where only one stretch is ever
 * asked for.
 *
 * Entry (i, j) is Σ x(s)·x(s−d) over s in [from−i, to−i), d = j − i. Seasonal lags come in groups (24, 25), so their
 * differences do: such a group shares a pass, which reads every number once and stops at the ends of all its pairs
 * to note the sums so far.
 */
export class LagGram {
  readonly width: number
  readonly #passes: Pass[]
  /** stop · LANES + lane: the sums up to there. */
  readonly #sums: Float64Array
  readonly #lanes = new Float64Array(LANES)
  /** Of the columns, ascending: 0, then the lags. */
  readonly #shifts: Int32Array
  readonly #from: number
  readonly #to: number

  /** Rows [from, to), from ≥ the longest lag. Columns: target, lags, constant; see solveRidge. */
  constructor(lags: readonly number[], from: number, to: number) {
    const columns = [0, ...lags]
    this.width = columns.length + 1
    this.#from = from
    this.#to = to
    this.#shifts = Int32Array.from(columns)
    this.#passes = passesOf(columns, from, to)
    this.#sums = new Float64Array(LANES * Math.max(...this.#passes.map(({ stops }) => stops.length)))
  }

  compute(x: Float64Array, into: Float64Array): void {
    const { width } = this
    const sums = this.#sums
    const lanes = this.#lanes
    for (const { d, stops, entries } of this.#passes) {
      lanes.fill(0)
      sums.fill(0, 0, LANES)
      for (let k = 1; k < stops.length; k++) {
        addProducts(x, d, stops[k - 1]!, stops[k]!, lanes)
        sums.set(lanes, k * LANES)
      }
      for (let k = 0; k < entries.length; k += 3)
        into[entries[k]!] = sums[entries[k + 2]!]! - sums[entries[k + 1]!]!
    }
    // Column sums: that of the longest lag, then what each shorter one has gained at its end and lost at its start.
    const last = width - 1
    const shifts = this.#shifts
    const longest = shifts[last - 1]!
    let start = this.#from - longest
    let end = this.#to - longest
    let sum = stretchSum(x, start, end)
    for (let a = last - 1; a >= 0; a--) {
      const to = this.#to - shifts[a]!
      for (; end < to; end++, start++) sum += x[end]! - x[start]!
      into[a * width + last] = sum
    }
    into[width * width - 1] = this.#to - this.#from
  }
}

interface Pass {
  /** The least difference; those of the other lanes follow it. */
  readonly d: number
  readonly stops: Int32Array
  /** Triples: entry of the matrix, then the sums between which it lies. */
  readonly entries: Int32Array
}

function passesOf(columns: readonly number[], from: number, to: number): Pass[] {
  const width = columns.length + 1
  const pairs = columns.flatMap((i, a) =>
    columns.slice(a).map((j, k) => ({ d: j - i, entry: a * width + a + k, start: from - i, end: to - i })),
  )
  pairs.sort((a, b) => a.d - b.d)
  const passes: Pass[] = []
  while (pairs.length > 0) {
    const { d } = pairs[0]!
    const count = pairs.findIndex((pair) => pair.d >= d + LANES)
    const group = pairs.splice(0, count < 0 ? pairs.length : count)
    const stops = [...new Set(group.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)
    const sumAt = (stop: number, lane: number) => stops.indexOf(stop) * LANES + lane
    passes.push({
      d,
      stops: Int32Array.from(stops),
      entries: Int32Array.from(
        group.flatMap((pair) => [pair.entry, sumAt(pair.start, pair.d - d), sumAt(pair.end, pair.d - d)]),
      ),
    })
  }
  return passes
}

/** lanes[k] += Σ x(s)·x(s−d−k) over s in [from, to), for each lane; before the series began x is 0. */
function addProducts(x: Float64Array, d: number, from: number, to: number, lanes: Float64Array): void {
  let s = from
  for (; s < to && s < d + LANES; s++)
    for (let k = 0; k < LANES && k <= s - d; k++) lanes[k]! += x[s]! * x[s - d - k]!
  if (s >= to) return
  let a = lanes[0]!
  let b = lanes[1]!
  let c = lanes[2]!
  let e = lanes[3]!
  let p = x[s - d - 1]!
  let q = x[s - d - 2]!
  let r = x[s - d - 3]!
  for (; s < to; s++) {
    const now = x[s]!
    const then = x[s - d]!
    a += now * then
    b += now * p
    c += now * q
    e += now * r
    r = q
    q = p
    p = then
  }
  lanes[0] = a
  lanes[1] = b
  lanes[2] = c
  lanes[3] = e
}
