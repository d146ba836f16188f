import type { Autoregression } from './autoregression'
import type { History } from './history'
import type { Scale } from './scale'

/**
 * The past, forecast again: every member, from the same origins, a season apart, newest first, each fitted to what came
 * before its origin only (but never to fewer than MIN_ROWS rows, of which a few then lie after it).
 */
export interface Backtest {
  origins: number[]
  /** Steps that were forecast from each origin. */
  horizon: number
  /** forecasts[member][origin]: `horizon` values on the model's scale. */
  forecasts: Float64Array[][]
  /** Mean absolute error of each member in the series' own unit, over the known intervals. */
  errors: number[]
}

const MIN_ROWS = 100

export function backtest(
  members: readonly Autoregression[],
  history: History,
  scale: Scale,
  stretches: readonly number[],
  bounds: { low: number; high: number },
  plan: { origins: number; step: number; horizon: number },
): Backtest {
  const n = history.length
  const { horizon, step } = plan
  const origins: number[] = []
  const earliest = Math.max(2, Math.floor(n / 3))
  for (let origin = n - horizon; origins.length < plan.origins && origin >= earliest; origin -= step)
    origins.push(origin)
  const forecasts: Float64Array[][] = []
  const errors: number[] = []
  for (const member of members) {
    const mine: Float64Array[] = []
    let sum = 0
    let count = 0
    for (const origin of origins) {
      const steps = new Float64Array(horizon)
      member.fit(Math.max(origin, Math.min(n, member.firstRow + MIN_ROWS)), stretches)
      member.forecast(origin, horizon, bounds.low, bounds.high, steps)
      for (let h = 0; h < horizon; h++) {
        if (!history.known[origin + h]) continue
        sum += Math.abs(history.values[origin + h]! - scale.from(steps[h]!))
        count++
      }
      mine.push(steps)
    }
    forecasts.push(mine)
    errors.push(count ? sum / count : 0)
  }
  return { origins, horizon, forecasts, errors }
}
