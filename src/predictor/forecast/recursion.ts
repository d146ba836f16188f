/** A fitted recursion: z(t) = b(t) + c₀x(t−l₀) + … + constant, x = z − b. See autoregression.ts for b. */
export interface Recursion {
  /** Ascending, each ≥ 1. */
  lags: Int32Array
  period: number
  smoothing: number
}

/** Space that a recursion needs while it runs; grown as needed, shared by all that run one after the other. */
export class RecursionSpace {
  x = new Float64Array(0)
  base = new Float64Array(0)

  reserve(horizon: number): void {
    if (this.x.length >= horizon) return
    this.x = new Float64Array(horizon)
    this.base = new Float64Array(horizon)
  }
}

/**
 * Runs the recursion on from `origin` and writes z(origin … origin + horizon) to `into`, each kept in [low, high].
 * Reads x at origin − lag and base at origin … origin + min(period, horizon); one coefficient per lag, then
 * the constant.
 */
export function recur(
  recursion: Recursion,
  coefficients: Float64Array,
  x: Float64Array,
  base: Float64Array,
  origin: number,
  horizon: number,
  low: number,
  high: number,
  space: RecursionSpace,
  into: Float64Array,
): void {
  const { lags, period, smoothing } = recursion
  const p = lags.length
  space.reserve(horizon)
  const ahead = space.x
  const level = space.base
  // What lies in the past, lag by lag; before the series began x is 0, its mean.
  const constant = coefficients[p]!
  for (let h = 0; h < horizon; h++) into[h] = constant
  for (let k = 0; k < p; k++) {
    const lag = lags[k]!
    const c = coefficients[k]!
    const end = Math.min(lag, horizon)
    let h = lag > origin ? lag - origin : 0
    for (let t = origin + h - lag; h < end; h++, t++) into[h]! += c * x[t]!
  }
  // Then what was forecast itself, step by step.
  for (let h = 0; h < horizon; h++) {
    let v = into[h]!
    for (let k = 0; k < p; k++) {
      const lag = lags[k]!
      if (lag > h) break
      v += coefficients[k]! * ahead[h - lag]!
    }
    let b = 0
    if (smoothing !== 0) {
      // After a whole season the profile follows the forecast itself.
      b = h < period ? base[origin + h]! : level[h - period]! + smoothing * ahead[h - period]!
      level[h] = b
    }
    let value = v + b
    if (value < low) value = low
    else if (value > high) value = high
    into[h] = value
    ahead[h] = value - b
  }
}

/**
 * What a profile that follows with α expects at each of the n + period intervals, into `base`, and what z leaves over at each
 * of the n, into `x`; the first cycles are averaged evenly (1, 1/2, 1/3 … down to α), and the first of all expects what it sees.
 */
export function seasonalBase(
  z: Float64Array,
  n: number,
  period: number,
  smoothing: number,
  base: Float64Array,
  x: Float64Array,
): void {
  const first = Math.min(period, n)
  for (let t = 0; t < first; t++) {
    base[t] = z[t]!
    x[t] = 0
  }
  let cycle = 1
  for (let start = period; start < n + period; start += period, cycle++) {
    const alpha = Math.max(smoothing, 1 / cycle)
    const end = Math.min(start + period, n)
    let t = start
    let s = start - period
    for (; t < end; t++, s++) {
      const expected = base[s]! + alpha * x[s]!
      base[t] = expected
      x[t] = z[t]! - expected
    }
    for (const last = Math.min(start + period, n + period); t < last; t++, s++)
      base[t] = base[s]! + alpha * x[s]!
  }
}
