import { Autoregression } from './autoregression'
import { type Backtest, backtest, backtestOrigins } from './backtest'
import type { History } from './history'
import { errorBand } from './interval'
import { memberShapes } from './members'
import type { Scale } from './scale'

/** A member whose error is this many times the best one's has no say. */
const DROPPED_ABOVE = 1.4
/** The same if the best one is a simple one: what is fitted then only sees patterns that are not there. */
const DROPPED_ABOVE_SIMPLE = 1.2
/** Weights fall with this power of the error. */
const POWER = 4

export interface Weighted {
  name: string
  weight: number
}

export interface Ensemble {
  mean: Float64Array
  lower: Float64Array
  upper: Float64Array
  members: Weighted[]
}

/**
 * The weighted members' forecast. `history` is filled and longer than three intervals; `scale` is its own.
 */
export function ensemble(
  history: History,
  scale: Scale,
  seasons: readonly number[],
  horizon: number,
  level: number,
): Ensemble {
  const n = history.length
  const { z } = scale
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (let t = 0; t < n; t++) {
    if (z[t]! < low) low = z[t]!
    if (z[t]! > high) high = z[t]!
  }
  // A third of fitted recursions have an explosive root; none may leave what was seen by more than a quarter of its range.
  const margin = (high - low) / 4
  const bounds = { low: low - margin, high: high + margin }
  const members = membersFor(n, seasons)
  for (const member of members) member.load(z, n)
  const stretches = knownStretches(history)
  const season = seasons.length && n >= 3 * seasons[0]! ? seasons[0]! : 0
  const tested = Math.min(horizon, Math.max(1, Math.floor(n / 4)))
  const { origins, step } = backtestOrigins(n, season, tested)
  const past = backtest(members, history, scale, stretches, bounds, origins, tested)
  const weights = weigh(past, members)

  const mean = new Float64Array(horizon)
  const steps = new Float64Array(horizon)
  members.forEach((member, k) => {
    if (weights[k] === 0) return
    member.fit(n, stretches)
    member.forecast(n, horizon, bounds.low, bounds.high, steps)
    for (let h = 0; h < horizon; h++) mean[h]! += weights[k]! * scale.from(steps[h]!)
  })

  // Errors grow with the square root of the rate: between noise that adds and noise that multiplies.
  const unit = (forecast: number) => (scale.logarithmic ? Math.sqrt(forecast + 0.05 * history.mean) : 1)
  const errors = origins.map((origin, o) => {
    const row = new Float64Array(tested)
    for (let k = 0; k < members.length; k++) {
      const weight = weights[k]!
      if (weight === 0) continue
      const forecasts = past.forecasts[k]!
      for (let h = 0, at = o * tested; h < tested; h++, at++) row[h]! += weight * forecasts[at]!
    }
    for (let h = 0; h < tested; h++)
      row[h] = history.known[origin + h]
        ? (history.values[origin + h]! - row[h]!) / unit(row[h]!)
        : Number.NaN
    return row
  })
  const seasonsTested = Math.max(1, ((origins.length - 1) * step) / (season || tested))
  const band = errorBand(errors, horizon, level, seasonsTested)
  const lower = new Float64Array(horizon)
  const upper = new Float64Array(horizon)
  for (let h = 0; h < horizon; h++) {
    const half = band.reach * band.scale[h]! * unit(mean[h]!)
    lower[h] = scale.logarithmic ? Math.max(0, mean[h]! - half) : mean[h]! - half
    upper[h] = mean[h]! + half
  }
  const named = members.map((member, k) => ({ name: member.shape.name, weight: weights[k]! }))
  return {
    mean,
    lower,
    upper,
    members: named.filter((member) => member.weight > 0),
  }
}

let last: { key: string; members: Autoregression[] } = { key: '', members: [] }

/** Members hold a megabyte of space and no memory of a series: one after the other can use it if they have the same shape. */
function membersFor(n: number, seasons: readonly number[]): Autoregression[] {
  const key = `${n}:${seasons.join()}`
  if (last.key !== key)
    last = { key, members: memberShapes(n, seasons).map((shape) => new Autoregression(shape)) }
  return last.members
}

/** 1 / MAE⁴ over the backtest, shared among the members that come near the best. */
function weigh(past: Backtest, members: readonly Autoregression[]): number[] {
  // Without a backtest the simplest member, which is last, speaks alone.
  if (past.forecasts[0]!.length === 0) return members.map((_, k) => (k === members.length - 1 ? 1 : 0))
  const best = Math.min(...past.errors)
  const floor = best * 1e-3 + Number.MIN_VALUE
  const simple = members[past.errors.indexOf(best)]!.shape.fixed !== undefined
  const limit = best * (simple ? DROPPED_ABOVE_SIMPLE : DROPPED_ABOVE) + floor
  const raw = past.errors.map((error) => (error <= limit ? ((best + floor) / (error + floor)) ** POWER : 0))
  const total = raw.reduce((sum, r) => sum + r, 0)
  return raw.map((r) => r / total)
}

/** [from, to) pairs of known intervals; a gap of one or two is taken as known, since a line through it is near enough. */
function knownStretches(history: History): number[] {
  const { known, length: n } = history
  if (history.gaps === 0) return [0, n]
  const stretches: number[] = []
  let from = 0
  for (let t = 0; t < n; t++) {
    if (known[t]) continue
    let end = t
    while (end < n && !known[end]) end++
    if (end - t > 2) {
      if (t > from) stretches.push(from, t)
      from = end
    }
    t = end
  }
  if (from < n) stretches.push(from, n)
  return stretches
}
