import type { Intervals } from './history'

/** Pseudo-accesses of the shrinkage: a phase needs about this many of its own before it is believed half. */
const SHRINKAGE = 6

/** Accesses, or two seasons' worth of them if that is more, that the level remembers: it follows as fast as there is something to follow. */
export const LEVEL_ACCESSES = 200

/** A single interval may count for this many standard deviations above the mean, so that one spike is not a level. */
const CAP_DEVIATIONS = 8

export interface CountProfile {
  /** Expected accesses of each interval of the history, then of `horizon` more. */
  fitted: Float64Array
  /** Variance of an interval is mean + mean² · dispersion (negative binomial); 0 is Poisson. */
  dispersion: number
}

export interface BorrowedProfile {
  /** Factors by phase, with a mean of 1. */
  factors: ArrayLike<number>
  /** Phase of the first interval of the history. */
  phase: number
}

/**
 * Low counts: level × phase of the first season × cycle within the second (hour of day, day of week), each factor
 * shrunk towards 1 by the gamma-Poisson rule (accesses + κ) / (expected + κ). A logarithm of counts this small says
 * more about the zeros than about the rate; sums do not. With a borrowed profile the factors are shrunk towards that.
 */
export function countProfile(
  history: Intervals,
  seasons: readonly number[],
  horizon: number,
  borrowed?: BorrowedProfile,
): CountProfile {
  const { known, length: n } = history
  const day = seasons[0] ?? 0
  const week = seasons.length > 1 ? seasons[seasons.length - 1]! : 0
  const values = capped(history)
  const fitted = new Float64Array(n + horizon).fill(1)
  if (borrowed) {
    const { factors, phase } = borrowed
    for (
      let t = 0, k = phase % factors.length;
      t < n + horizon;
      t++, k = k + 1 === factors.length ? 0 : k + 1
    )
      fitted[t] = factors[k]!
  }
  let sum = 0
  let exposure = 0
  for (let t = 0; t < n; t++)
    if (known[t]) {
      sum += values[t]!
      exposure += fitted[t]!
    }
  const overall = exposure > 0 ? sum / exposure : 0
  for (let t = 0; t < n + horizon; t++) fitted[t]! *= overall
  if (overall === 0) return { fitted, dispersion: 0 }
  if (day && n >= 2 * day) shrinkTowards(values, known, fitted, 1, day)
  if (week && n >= 2 * week) shrinkTowards(values, known, fitted, day, week)
  let accesses = 0
  let awaited = 0
  const memory = Math.max(LEVEL_ACCESSES, 2 * (day || 24) * overall)
  for (let t = n - 1; t >= 0 && awaited < memory; t--)
    if (known[t]) {
      accesses += values[t]!
      awaited += fitted[t]!
    }
  let excess = 0
  let squares = 0
  for (let t = 0; t < n; t++)
    if (known[t]) {
      const e = values[t]! - fitted[t]!
      excess += e * e - fitted[t]!
      squares += fitted[t]! * fitted[t]!
    }
  const level = (accesses + SHRINKAGE) / (awaited + SHRINKAGE)
  for (let t = n; t < n + horizon; t++) fitted[t]! *= level
  return { fitted, dispersion: squares > 0 ? Math.max(0, excess / squares) : 0 }
}

/** Multiplies `fitted` by a factor for each phase, a phase being `width` intervals of `period`. */
function shrinkTowards(
  values: Float64Array,
  known: Uint8Array,
  fitted: Float64Array,
  width: number,
  period: number,
): void {
  const n = values.length
  const phases = Math.ceil(period / width)
  const own = new Float64Array(phases).fill(SHRINKAGE)
  const due = new Float64Array(phases).fill(SHRINKAGE)
  for (let start = 0; start < n; start += period)
    for (let p = 0, t = start; p < phases; p++) {
      const end = Math.min(start + Math.min((p + 1) * width, period), n)
      for (; t < end; t++)
        if (known[t]) {
          own[p]! += values[t]!
          due[p]! += fitted[t]!
        }
    }
  for (let p = 0; p < phases; p++) own[p]! /= due[p]!
  for (let start = 0; start < fitted.length; start += period)
    for (let p = 0, t = start; p < phases; p++) {
      const end = Math.min(start + Math.min((p + 1) * width, period), fitted.length)
      for (; t < end; t++) fitted[t]! *= own[p]!
    }
}

/** The values, of which at most one in 200 is cut down to what can still belong to the others. */
function capped(history: Intervals): Float64Array {
  const { values, known, length: n } = history
  let cap = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3; round++) {
    let sum = 0
    let squares = 0
    let count = 0
    let highest = 0
    for (let t = 0; t < n; t++) {
      const v = values[t]!
      if (!known[t]) continue
      if (v > highest) highest = v
      if (v > cap) continue
      sum += v
      squares += v * v
      count++
    }
    if (count < 2) return values
    const mean = sum / count
    const limit = mean + CAP_DEVIATIONS * Math.sqrt(Math.max(squares / count - mean * mean, mean, 1 / count))
    if (highest <= limit) break
    let above = 0
    for (let t = 0; t < n; t++) if (known[t] && values[t]! > limit) above++
    if (above > 1 + count / 200) break
    cap = limit
  }
  return cap === Number.POSITIVE_INFINITY ? values : values.map((v) => Math.min(v, cap))
}

/** The smallest k with P(X ≤ k) ≥ p, X negative binomial with this mean and dispersion. */
export function countQuantile(mean: number, dispersion: number, p: number): number {
  if (!(mean > 0)) return 0
  let k = 0
  if (mean > 1000)
    return Math.max(0, Math.round(mean + normal(p) * Math.sqrt(mean + dispersion * mean * mean)))
  let mass = dispersion > 1e-6 ? (1 + dispersion * mean) ** (-1 / dispersion) : Math.exp(-mean)
  let total = mass
  const limit = 10 * mean + 1000
  while (total < p && k < limit) {
    mass *=
      dispersion > 1e-6
        ? ((1 / dispersion + k) / (k + 1)) * ((dispersion * mean) / (1 + dispersion * mean))
        : mean / (k + 1)
    k++
    total += mass
  }
  return k
}

/** Quantile of the standard normal (Hastings' approximation, error below 4.5e−4). */
function normal(p: number): number {
  const t = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)))
  const x =
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
  return p < 0.5 ? -x : x
}
