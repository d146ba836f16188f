/**
 * The scale on which a series is modelled. Rates that are never negative: log(y + offset) with 5 % of the mean as
 * offset, so that a zero is far below the mean but not infinitely far; the seasons of a rate multiply. Anything
 * with a negative value: y itself. Both centred and in units of their mean deviation, so that a penalty or a
 * tolerance means the same for every series.
 */
export class Scale {
  readonly logarithmic: boolean
  /** The series on this scale. */
  readonly z: Float64Array
  readonly #offset: number
  readonly #center: number
  readonly #unit: number

  constructor(values: Float64Array, min: number, mean: number) {
    const n = values.length
    const z = new Float64Array(n)
    this.z = z
    this.logarithmic = min >= 0
    this.#offset = this.logarithmic ? 0.05 * mean : 0
    let center = 0
    for (let t = 0; t < n; t++) {
      const v = this.logarithmic ? Math.log(values[t]! + this.#offset) : values[t]!
      z[t] = v
      center += v
    }
    center /= n
    let deviation = 0
    for (let t = 0; t < n; t++) {
      z[t]! -= center
      deviation += Math.abs(z[t]!)
    }
    deviation = deviation / n || 1
    for (let t = 0; t < n; t++) z[t]! /= deviation
    this.#center = center
    this.#unit = deviation
  }

  /** Back from the scale: a rate is never negative. */
  from(z: number): number {
    const v = z * this.#unit + this.#center
    return this.logarithmic ? Math.max(0, Math.exp(v) - this.#offset) : v
  }
}
