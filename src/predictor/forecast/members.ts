import type { AutoregressionShape } from './autoregression'

/** How much of its own sum of squares is added to each regressor: enough to solve, too little to bias. */
const RIDGE = 1e-4

/** Fewer rows than this many per coefficient make an autoregression guess. */
const ROWS_PER_COEFFICIENT = 3

const around = (period: number) => [period - 1, period, period + 1]

/**
 * The members for a history of n intervals with these seasons (ascending). Simple ones always; an autoregression only
 * if enough rows are left after its longest lag, so that a short history falls back by itself.
 */
export function memberShapes(n: number, seasons: readonly number[]): AutoregressionShape[] {
  const shapes: AutoregressionShape[] = []
  const usable = seasons.filter((period) => n >= 2 * period)
  const day = usable[0] ?? 0
  const week = usable[usable.length - 1] ?? 0
  const rows = (period: number, lags: readonly number[]) => n - Math.max(period, lags[lags.length - 1] ?? 0)
  const add = (name: string, period: number, smoothing: number, lags: readonly number[]) => {
    if (rows(smoothing > 0 ? period : 0, lags) >= Math.max(12, ROWS_PER_COEFFICIENT * (lags.length + 1)))
      shapes.push({ name, period, smoothing, lags, ridge: RIDGE })
  }
  const near = [1, 2, 3]
  let seasonal = near
  for (let k = usable.length; k >= 0; k--) {
    const lags = [...new Set([...near, ...usable.slice(0, k).flatMap(around)])].filter((lag) => lag > 0)
    lags.sort((a, b) => a - b)
    if (rows(0, lags) >= 6 * (lags.length + 1)) {
      seasonal = lags
      break
    }
  }
  add('autoregression', 1, 0, seasonal)
  if (week) {
    add('seasonal difference', week, 1, seasonal)
    add(`profile of ${week}`, week, 0.1, near)
    if (day !== week) add(`profile of ${day}`, day, 0.1, seasonal)
    shapes.push({ name: `seasonal naive ${day}`, period: day, smoothing: 1, lags: [], ridge: 0 })
    if (day !== week)
      shapes.push({ name: `seasonal naive ${week}`, period: week, smoothing: 1, lags: [], ridge: 0 })
  }
  shapes.push({ name: 'level', period: 1, smoothing: 0.3, lags: [], ridge: 0 })
  shapes.push({ name: 'naive', period: 1, smoothing: 1, lags: [], ridge: 0 })
  return shapes
}
