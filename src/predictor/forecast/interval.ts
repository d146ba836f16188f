import { quantile } from 'simple-statistics'

/** Steps to either side over which the mean error of a step is averaged. */
const SMOOTHING = 8

/** Errors of a backtest's origins hang together; with few origins their quantile is too low by about this share of one. */
const FEW_ORIGINS = 1.2

/**
 * Prediction intervals from the errors that the method made on its own past (split conformal prediction, Lei and others,
 * 2018), normalised by how large the error is at each step, so that errors of all steps can be pooled.
 */
export interface ErrorBand {
  /** Mean absolute error at each step, on the model's scale. */
  scale: Float64Array
  /** Half the width of the interval, in units of `scale`. */
  reach: number
}

/**
 * `errors[origin][step]`: actual minus forecast on the model's scale, NaN where the actual is not known. Steps beyond those
 * that could be backtested widen with the square root of the step, as a random walk does.
 */
export function errorBand(errors: readonly Float64Array[], horizon: number, level: number): ErrorBand {
  const tested = errors[0]?.length ?? 0
  const scale = new Float64Array(horizon)
  if (tested === 0) return { scale, reach: 0 }
  const sums = new Float64Array(tested)
  const counts = new Float64Array(tested)
  for (const row of errors)
    for (let h = 0; h < tested; h++) {
      const e = row[h]!
      if (!Number.isNaN(e)) {
        sums[h]! += Math.abs(e)
        counts[h]!++
      }
    }
  const steps = Math.min(tested, horizon)
  for (let h = 0; h < steps; h++) {
    let sum = 0
    let count = 0
    for (let k = Math.max(0, h - SMOOTHING); k <= Math.min(tested - 1, h + SMOOTHING); k++) {
      sum += sums[k]!
      count += counts[k]!
    }
    scale[h] = count ? sum / count : 0
  }
  for (let h = steps; h < horizon; h++) scale[h] = scale[steps - 1]! * Math.sqrt((h + 1) / steps)
  const scores: number[] = []
  for (const row of errors)
    for (let h = 0; h < steps; h++) {
      const e = row[h]!
      if (!Number.isNaN(e) && scale[h]! > 0) scores.push(Math.abs(e) / scale[h]!)
    }
  if (scores.length === 0) return { scale, reach: 0 }
  const rank = Math.min(1, (level * (scores.length + 1)) / scores.length)
  return { scale, reach: quantile(scores, rank) * (1 + FEW_ORIGINS / errors.length) }
}
