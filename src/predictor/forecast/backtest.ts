import type { Autoregression } from './autoregression'
import type { History } from './history'
import type { Scale } from './scale'

/**
 * The past, forecast again: every member, from the same origins, each time fitted to what came before the origin only (but
 * never to fewer than MIN_ROWS rows, of which some then lie after it).
 */
export interface Backtest {
  /** forecasts[member][origin · horizon + step], in the series' own unit. */
  forecasts: Float64Array[]
  /** Mean absolute error of each member in the series' own unit, over the known intervals. */
  errors: number[]
}

/** Rows that a fit has at least, as far as the history has them. */
const MIN_ROWS = 100
/** Origins. */
const COUNT = 12

/**
 * Up to COUNT origins, a season apart, closer together if the history is short; none in its first third. Without a
 * season they are spread over the last two thirds.
 */
export function backtestOrigins(
  n: number,
  season: number,
  horizon: number,
): { origins: number[]; step: number } {
  const earliest = Math.max(2, Math.floor(n / 3))
  const newest = n - horizon
  const spread = Math.floor((newest - earliest) / (COUNT - 1))
  const step = Math.max(1, season ? Math.min(season, spread) : spread)
  const origins: number[] = []
  for (let origin = newest; origins.length < COUNT && origin >= earliest; origin -= step) origins.push(origin)
  return { origins, step }
}

export function backtest(
  members: readonly Autoregression[],
  history: History,
  scale: Scale,
  stretches: readonly number[],
  bounds: { low: number; high: number },
  origins: readonly number[],
  horizon: number,
): Backtest {
  const { values, known, length: n } = history
  const steps = new Float64Array(horizon)
  const errors: number[] = []
  const forecasts = members.map((member) => {
    const own = new Float64Array(origins.length * horizon)
    let at = 0
    let sum = 0
    let count = 0
    for (const origin of origins) {
      member.fit(Math.max(origin, Math.min(n, member.firstRow + MIN_ROWS)), stretches)
      member.forecast(origin, horizon, bounds.low, bounds.high, steps)
      for (let h = 0; h < horizon; h++, at++) {
        const value = scale.from(steps[h]!)
        own[at] = value
        if (!known[origin + h]) continue
        sum += Math.abs(values[origin + h]! - value)
        count++
      }
    }
    errors.push(count ? sum / count : 0)
    return own
  })
  return { forecasts, errors }
}
