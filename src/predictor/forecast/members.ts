import type { AutoregressionShape } from './autoregression'

/** How much of its own sum of squares is added to each regressor: enough to solve, too little to bias. */
const RIDGE = 1e-4
/** How fast a profile follows: a tenth of each season's surprise. */
const PROFILE = 0.1
/** How fast the level follows. */
const LEVEL = 0.3
/** Fewer rows a coefficient than this, and an autoregression is a guess; a differenced one needs more. */
const ROWS = 3
const SEASONAL_ROWS = 6
const DIFFERENCED_ROWS = 10

const NEAR = [1, 2, 3]

/**
 * The members for a history of n intervals with these seasons (ascending). The simple ones are always there; an
 * autoregression only if enough rows are left after its longest lag, so that a short history falls back by itself. The
 * simple ones cost little and are what saves a series that is not seasonal in the way it looked: a flash crowd.
 */
export function memberShapes(n: number, seasons: readonly number[]): AutoregressionShape[] {
  const usable = seasons.filter((period) => n >= 2 * period)
  const day = usable[0] ?? 0
  const week = usable[usable.length - 1] ?? 0
  const lags = seasonalLags(n, usable)
  const reach = lags[lags.length - 1]!
  const shapes: AutoregressionShape[] = []
  const add = (name: string, period: number, smoothing: number, lags: readonly number[], fixed?: number[]) =>
    shapes.push({ name, period, smoothing, lags, ridge: RIDGE, fixed })

  if (n - reach >= ROWS * (lags.length + 1)) add('autoregression', 1, 0, lags)
  if (week) {
    if (n - reach >= DIFFERENCED_ROWS * (lags.length + 1)) add('autoregression of changes', 1, 1, lags)
    if (n - week >= ROWS * (NEAR.length + 1)) add(`profile of ${week}`, week, PROFILE, NEAR)
    const daily = day > NEAR.length ? [...NEAR, day] : NEAR
    if (n - week >= DIFFERENCED_ROWS * (daily.length + 1))
      add(`profile of ${week}, lag ${day}`, week, PROFILE, daily)
    add(`last value over profile of ${day}`, day, PROFILE, [1], [1, 0])
    add(`season of ${day} ago`, day, 1, [], [0])
    if (day !== week) add(`season of ${week} ago`, week, 1, [], [0])
  }
  add('level', 1, LEVEL, [], [0])
  add('last value', 1, 1, [], [0])
  return shapes
}

/** The last three intervals, and those around the same time a season ago; the longest season only if it leaves enough rows. */
function seasonalLags(n: number, seasons: readonly number[]): number[] {
  for (let k = seasons.length; k > 0; k--) {
    const around = seasons.slice(0, k).flatMap((period) => [period - 1, period, period + 1])
    const lags = [...new Set([...NEAR, ...around])].sort((a, b) => a - b)
    if (n - lags[lags.length - 1]! >= SEASONAL_ROWS * (lags.length + 1)) return lags
  }
  return NEAR
}
