/**
 * Fourier transform of a real sequence of a power of two, ≥ 4: its even and odd elements as one complex sequence of half the
 * length (Cooley and Tukey, 1965), untangled afterwards. Fill `values`, `run`, read `re` and `im` at 0 … size / 2.
 */
export class RealTransform {
  readonly values: Float64Array
  readonly re: Float64Array
  readonly im: Float64Array
  readonly #size: number
  readonly #cosines: Float64Array
  readonly #sines: Float64Array
  readonly #reversed: Uint32Array

  constructor(size: number) {
    this.#size = size
    const half = size / 2
    this.values = new Float64Array(size)
    this.re = new Float64Array(half + 1)
    this.im = new Float64Array(half + 1)
    this.#cosines = Float64Array.from({ length: half }, (_, k) => Math.cos((2 * Math.PI * k) / size))
    this.#sines = Float64Array.from({ length: half }, (_, k) => -Math.sin((2 * Math.PI * k) / size))
    this.#reversed = new Uint32Array(half)
    for (let k = 1; k < half; k++)
      this.#reversed[k] = (this.#reversed[k >> 1]! >> 1) | (k & 1 ? half >> 1 : 0)
  }

  run(): void {
    const { values, re, im } = this
    const half = this.#size / 2
    const cosines = this.#cosines
    const sines = this.#sines
    const reversed = this.#reversed
    for (let k = 0; k < half; k++) {
      const from = reversed[k]! * 2
      re[k] = values[from]!
      im[k] = values[from + 1]!
    }
    for (let length = 1; length < half; length <<= 1) {
      const step = half / length
      for (let start = 0; start < half; start += 2 * length) {
        for (let j = 0, k = 0, a = start; j < length; j++, k += step, a++) {
          const b = a + length
          const c = cosines[k]!
          const s = sines[k]!
          const r = re[b]! * c - im[b]! * s
          const i = re[b]! * s + im[b]! * c
          re[b] = re[a]! - r
          im[b] = im[a]! - i
          re[a] = re[a]! + r
          im[a] = im[a]! + i
        }
      }
    }
    re[half] = re[0]!
    im[half] = im[0]!
    for (let k = 0; 2 * k <= half; k++) {
      const m = half - k
      const evenRe = (re[k]! + re[m]!) / 2
      const evenIm = (im[k]! - im[m]!) / 2
      const oddRe = (im[k]! + im[m]!) / 2
      const oddIm = (re[m]! - re[k]!) / 2
      const c = cosines[k]!
      const s = sines[k]!
      const r = oddRe * c - oddIm * s
      const i = oddRe * s + oddIm * c
      re[k] = evenRe + r
      im[k] = evenIm + i
      re[m] = evenRe - r
      im[m] = i - evenIm
    }
  }
}
