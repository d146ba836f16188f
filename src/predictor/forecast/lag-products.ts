/**
 * Sums of products of a series with itself at many lags, for any stretch of rows, after one pass per distinct
 * difference of two lags.
 *
 * A row t of a lagged regression holds x(t−i) for the lags i; the entry (i, j) of its Gram matrix over the rows
 * [from, to) is Σ x(t−i)·x(t−j) = Σ over s in [from−i, to−i) of x(s)·x(s−d) with d = j − i. It therefore depends
 * on the pair only through d and the shift i, and a running sum per d answers every pair and every stretch. Nine
 * lags have 55 pairs but about 25 differences, and a backtest that refits at twelve origins pays the passes once.
 */
export class LagProducts {
  /** The lags, ascending, each ≥ 1. Column 0 of the Gram matrix is lag 0, the target; the last is the constant. */
  readonly lags: Int32Array
  /** Columns: target, lags, constant. */
  readonly width: number
  readonly #differences: Int32Array
  /** For column pair (i ≤ j): which running sum holds their difference. */
  readonly #pair: Int32Array
  #sums: Float64Array = new Float64Array(0)
  #stride = 0

  constructor(lags: readonly number[]) {
    this.lags = Int32Array.from(lags)
    this.width = lags.length + 2
    const columns = [0, ...lags]
    const differences = [...new Set(columns.flatMap((i) => columns.filter((j) => j >= i).map((j) => j - i)))]
    this.#differences = Int32Array.from(differences)
    this.#pair = new Int32Array(columns.length * columns.length)
    columns.forEach((i, a) => {
      columns.forEach((j, b) => {
        this.#pair[a * columns.length + b] = differences.indexOf(Math.abs(j - i))
      })
    })
  }

  /** One pass per difference over x[0..n). x should be centred: the sums are subtracted from each other. */
  load(x: Float64Array, n: number): void {
    const stride = n + 1
    // One sum of x itself follows those of the products.
    const rows = this.#differences.length + 1
    if (this.#sums.length < rows * stride) this.#sums = new Float64Array(rows * stride)
    this.#stride = stride
    const sums = this.#sums
    for (let k = 0; k < this.#differences.length; k++) {
      const d = this.#differences[k]!
      const at = k * stride
      let sum = 0
      const head = Math.min(d, n)
      for (let t = 0; t <= head; t++) sums[at + t] = 0
      for (let t = d; t < n; t++) {
        sum += x[t]! * x[t - d]!
        sums[at + t + 1] = sum
      }
    }
    const at = this.#differences.length * stride
    let sum = 0
    sums[at] = 0
    for (let t = 0; t < n; t++) {
      sum += x[t]!
      sums[at + t + 1] = sum
    }
  }

  /** Adds the Gram matrix of the rows [from, to), from ≥ the longest lag, to `into`: upper triangle, row-major, width². */
  gram(from: number, to: number, into: Float64Array): void {
    const { lags, width } = this
    const stride = this.#stride
    const sums = this.#sums
    const columns = width - 1
    const ones = this.#differences.length * stride
    for (let a = 0; a < columns; a++) {
      const i = a === 0 ? 0 : lags[a - 1]!
      const upper = to - i
      const lower = from - i
      for (let b = a; b < columns; b++) {
        const at = this.#pair[a * columns + b]! * stride
        into[a * width + b]! += sums[at + upper]! - sums[at + lower]!
      }
      into[a * width + columns]! += sums[ones + upper]! - sums[ones + lower]!
    }
    into[width * width - 1]! += to - from
  }
}
