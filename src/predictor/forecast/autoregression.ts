import { LagProducts } from './lag-products'
import { type Recursion, RecursionSpace, recur, seasonalBase } from './recursion'
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
  /** Coefficients, then the constant, that are not fitted but given. */
  fixed?: readonly number[]
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
  #x: Float64Array = new Float64Array(0)
  readonly #gram: Float64Array
  readonly #work: Float64Array
  readonly coefficients: Float64Array
  readonly #reach: number
  readonly #recursion: Recursion
  readonly #space = new RecursionSpace()

  constructor(shape: AutoregressionShape) {
    this.shape = shape
    this.products = new LagProducts(shape.lags)
    this.#recursion = { lags: this.products.lags, period: shape.period, smoothing: shape.smoothing }
    const width = this.products.width
    this.#gram = new Float64Array(width * width)
    this.#work = new Float64Array((width - 1) * (width - 1))
    this.coefficients = new Float64Array(width - 1)
    if (shape.fixed) this.coefficients.set(shape.fixed)
    this.#reach = shape.lags[shape.lags.length - 1] ?? 0
  }

  load(z: Float64Array, n: number): void {
    const { period, smoothing } = this.shape
    if (smoothing === 0) {
      this.#x = z
    } else {
      if (this.#base.length !== n + period) {
        this.#x = new Float64Array(n)
        this.#base = new Float64Array(n + period)
      }
      seasonalBase(z, n, period, smoothing, this.#base, this.#x)
    }
    this.firstRow = Math.max(this.#reach, smoothing === 0 ? 0 : period)
    if (!this.shape.fixed) this.products.load(this.#x, n)
  }

  /**
   * Fits to the rows before `to`. `stretches` lists [from, to) pairs whose targets are known; rows between them
   * are not targets, though what was filled in there may be a regressor. A member whose coefficients are given has nothing to fit.
   */
  fit(to: number, stretches: readonly number[]): void {
    if (this.shape.fixed) return
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
    recur(
      this.#recursion,
      this.coefficients,
      this.#x,
      this.#base,
      origin,
      horizon,
      low,
      high,
      this.#space,
      into,
    )
  }
}
