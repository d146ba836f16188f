/**
 * The scale on which a series is modelled. Rates that are never negative: log(y + offset) with 5 % of the mean as
 * offset, so that a zero is far below the mean but not infinitely far; the seasons of a rate multiply. Anything
 * with a negative value: y itself, in units of its mean deviation.
 */
export class Scale {
  readonly logarithmic: boolean
  readonly #offset: number
  readonly #center: number
  readonly #unit: number

  constructor(values: Float64Array, min: number, mean: number) {
    const n = values.length
    this.logarithmic = min >= 0
    let center = 0
    let unit = 1
    this.#offset = this.logarithmic ? 0.05 * mean : 0
    if (this.logarithmic) {
      for (let t = 0; t < n; t++) center += Math.log(values[t]! + this.#offset)
      center /= n
    } else {
      for (let t = 0; t < n; t++) center += values[t]!
      center /= n
      unit = 0
      for (let t = 0; t < n; t++) unit += Math.abs(values[t]! - center)
      unit = unit / n || 1
    }
    this.#center = center
    this.#unit = unit
  }

  /** Centred at 0: the running sums of products need it. */
  to(value: number): number {
    return this.logarithmic
      ? Math.log(value + this.#offset) - this.#center
      : (value - this.#center) / this.#unit
  }

  from(z: number): number {
    return this.logarithmic
      ? Math.max(0, Math.exp(z + this.#center) - this.#offset)
      : z * this.#unit + this.#center
  }
}
