import { quantile } from 'simple-statistics'

/** Steps to either side over which the mean error of a step is averaged. */
const NEIGHBOURS = 3

/**
 * Errors of neighbouring days hang together, and the members were chosen by them: with a backtest of this many seasons the
 * quantile of the errors is too low by half, with ten times as many by a twentieth. At most MOST times too low.
 */
const OPTIMISM = 1.2
const MOST = 1.6

/**
 * Prediction intervals from the errors that the method made on its own past (split conformal prediction, Lei and others,
 * 2018), normalised by how large the error is at each step, so that errors of all steps can be pooled.
 */
export interface ErrorBand {
  /** Mean absolute error at each step. */
  scale: Float64Array
  /** Half the width of the interval, in units of `scale`. */
  reach: number
}

/**
 * `errors[origin][step]`: actual minus forecast, NaN where the actual is not known; `seasons`: how many seasons the origins span.
 * Steps beyond those that could be backtested widen with the square root of the step, as a random walk does.
 */
export function errorBand(
  errors: readonly Float64Array[],
  horizon: number,
  level: number,
  seasons: number,
): ErrorBand {
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
    for (let k = Math.max(0, h - NEIGHBOURS); k <= Math.min(tested - 1, h + NEIGHBOURS); k++) {
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
  return { scale, reach: quantile(scores, rank) * Math.min(MOST, 1 + OPTIMISM / seasons) }
}
