import { LagProducts } from './lag-products'
import { solveRidge } from './ridge'

/** How one autoregression is built; lags ascending, each ≥ 1. */
export interface AutoregressionShape {
  name: string
  lags: readonly number[]
  /** Period of the seasonal base in intervals. */
  period: number
  /**
   * How fast the base follows: 0, no base, a plain autoregression; 1, the value a season ago, so that what is
   * modelled is a seasonal difference; between them, an exponentially weighted seasonal profile.
   */
  smoothing: number
  ridge: number
}

/**
 * Autoregression of x(t) = z(t) − b(t), where b(t) = b(t−P) + α·(z(t−P) − b(t−P)) is what a profile of period P that
 * follows with α expects. In Box and Jenkins' terms ARIMA(p,0,0)(0,1,1) with the seasonal moving average fixed
 * at 1 − α, fitted by ridge least squares instead of likelihood.
 *
 * b(t) depends on z up to t − P only. Backtests from many origins therefore share one base.
 */
export class Autoregression {
  readonly shape: AutoregressionShape
  readonly products: LagProducts
  /** First row that can be fitted. */
  firstRow = 0
  #base = new Float64Array(0)
  #x = new Float64Array(0)
  readonly #gram: Float64Array
  readonly #work: Float64Array
  readonly coefficients: Float64Array
  readonly #reach: number
  #ext = new Float64Array(0)
  #level = new Float64Array(0)

  constructor(shape: AutoregressionShape) {
    this.shape = shape
    this.products = new LagProducts(shape.lags)
    const width = this.products.width
    this.#gram = new Float64Array(width * width)
    this.#work = new Float64Array((width - 1) * (width - 1))
    this.coefficients = new Float64Array(width - 1)
    this.#reach = shape.lags[shape.lags.length - 1] ?? 0
  }

  load(z: Float64Array, n: number): void {
    const { period, smoothing } = this.shape
    const x = (this.#x = new Float64Array(n))
    const base = (this.#base = new Float64Array(n + period))
    if (smoothing === 0) {
      x.set(z.subarray(0, n))
    } else {
      const first = Math.min(period, n)
      for (let t = 0; t < first; t++) base[t] = z[t]!
      for (let t = period; t < n + period; t++) {
        const s = t - period
        const cycle = (t / period) | 0
        const alpha = cycle === 1 ? 1 : Math.max(smoothing, 1 / cycle)
        base[t] = base[s]! + alpha * (z[s]! - base[s]!)
      }
      for (let t = 0; t < n; t++) x[t] = z[t]! - base[t]!
    }
    this.firstRow = Math.max(this.#reach, smoothing === 0 ? 0 : period)
    if (this.#reach > 0) this.products.load(x, n)
  }

  /**
   * Fits to the rows before `to`. `stretches` lists [from, to) pairs whose targets are known; rows between them
   * are not targets, though what was filled in there may be a regressor. A member without lags has nothing to fit.
   */
  fit(to: number, stretches: readonly number[]): void {
    if (this.#reach === 0) return
    this.#gram.fill(0)
    for (let k = 0; k < stretches.length; k += 2) {
      const from = Math.max(this.firstRow, stretches[k]!)
      const end = Math.min(to, stretches[k + 1]!)
      if (end > from) this.products.gram(from, end, this.#gram)
    }
    solveRidge(this.#gram, this.products.width, this.shape.ridge, this.coefficients, this.#work)
  }

  /** Forecasts z(origin … origin + horizon) into `into`, each value kept in [low, high]. */
  forecast(origin: number, horizon: number, low: number, high: number, into: Float64Array): void {
    const { period, smoothing } = this.shape
    const { lags } = this.products
    const reach = this.#reach
    const c = this.coefficients
    const p = lags.length
    const x = this.#x
    const base = this.#base
    const room = reach + horizon
    if (this.#ext.length < room) this.#ext = new Float64Array(room)
    if (this.#level.length < horizon) this.#level = new Float64Array(horizon)
    const ext = this.#ext
    const level = this.#level
    // Before the series began x is 0, its mean.
    for (let k = 0, t = origin - reach; k < reach; k++, t++) ext[k] = t < 0 ? 0 : x[t]!
    for (let h = 0; h < horizon; h++) {
      let v = c[p]!
      for (let k = 0; k < p; k++) v += c[k]! * ext[reach + h - lags[k]!]!
      let b = 0
      if (smoothing !== 0) {
        // After a whole season the profile follows the forecast itself.
        b = h < period ? base[origin + h]! : level[h - period]! + smoothing * ext[reach + h - period]!
        level[h] = b
      }
      let value = v + b
      if (value < low) value = low
      else if (value > high) value = high
      into[h] = value
      ext[reach + h] = value - b
    }
  }
}
