import type { History } from './history'

/** Pseudo-accesses of the shrinkage: a phase needs about this many of its own before it is believed half. */
const SHRINKAGE = 6

/** Half-life of the level's memory, in intervals of evidence: the level follows the last HALF_LIFE_ACCESSES accesses. */
const LEVEL_ACCESSES = 200

/** A single interval may count for this many standard deviations above the mean, so that one spike is not a level. */
const CAP_DEVIATIONS = 8

/**
 * Low counts: level × phase of the first season × cycle within the second (hour of day, day of week), each factor
 * shrunk towards 1 by the gamma-Poisson rule (accesses + κ) / (expected + κ). A logarithm of counts this small says
 * more about the zeros than about the rate; sums do not.
 */
export interface CountProfile {
  mean: Float64Array
  /** Variance of an interval is mean + mean² · dispersion (negative binomial); 0 is Poisson. */
  dispersion: number
}

/** `borrowed`: factors per phase of the longest season (mean 1) towards which the own ones are shrunk, instead of 1. */
export function countProfile(
  history: History,
  seasons: readonly number[],
  horizon: number,
  borrowed?: ArrayLike<number>,
): CountProfile {
  const { values, known, length: n } = history
  const day = seasons[0] ?? 0
  const week = seasons.length > 1 ? seasons[seasons.length - 1]! : 0
  const cap = spikeCap(history)
  const expected = (t: number) => (borrowed && borrowed.length > 0 ? borrowed[t % borrowed.length]! : 1)
  let sum = 0
  let exposure = 0
  for (let t = 0; t < n; t++)
    if (known[t]) {
      sum += Math.min(values[t]!, cap)
      exposure += expected(t)
    }
  const overall = exposure > 0 ? sum / exposure : 0
  const mean = new Float64Array(horizon)
  if (overall === 0) return { mean, dispersion: 0 }
  const fitted = new Float64Array(n + horizon)
  for (let t = 0; t < n + horizon; t++) fitted[t] = overall * expected(t)
  if (day) multiply(day, (t) => t % day)
  if (week && n >= 2 * week) multiply(week / day, (t) => Math.floor((t % week) / day))
  // The level follows recent accesses, but only as fast as there are accesses to follow.
  let accesses = 0
  let awaited = 0
  const memory = Math.max(LEVEL_ACCESSES, 2 * (day || 24) * overall)
  for (let t = n - 1; t >= 0 && awaited < memory; t--)
    if (known[t]) {
      accesses += Math.min(values[t]!, cap)
      awaited += fitted[t]!
    }
  const level = (accesses + SHRINKAGE) / (awaited + SHRINKAGE)
  for (let h = 0; h < horizon; h++) mean[h] = level * fitted[n + h]!
  let excess = 0
  let squares = 0
  for (let t = 0; t < n; t++)
    if (known[t]) {
      const e = Math.min(values[t]!, cap) - fitted[t]!
      excess += e * e - fitted[t]!
      squares += fitted[t]! * fitted[t]!
    }
  return { mean, dispersion: Math.max(0, excess / squares) }

  function multiply(phases: number, phase: (t: number) => number): void {
    const own = new Float64Array(phases)
    const due = new Float64Array(phases)
    for (let t = 0; t < n; t++)
      if (known[t]) {
        own[phase(t)]! += Math.min(values[t]!, cap)
        due[phase(t)]! += fitted[t]!
      }
    for (let t = 0; t < n + horizon; t++) {
      const p = phase(t)
      fitted[t]! *= (own[p]! + SHRINKAGE) / (due[p]! + SHRINKAGE)
    }
  }
}

/** Above it lie at most one in 200 intervals, and those far above the others. */
function spikeCap(history: History): number {
  const { values, known, length: n } = history
  const spikes = Math.floor((n - history.gaps) / 200) + 1
  let cap = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3; round++) {
    let sum = 0
    let squares = 0
    let count = 0
    for (let t = 0; t < n; t++)
      if (known[t] && values[t]! <= cap) {
        sum += values[t]!
        squares += values[t]! * values[t]!
        count++
      }
    if (count < 2) return Number.POSITIVE_INFINITY
    const mean = sum / count
    const limit = mean + CAP_DEVIATIONS * Math.sqrt(Math.max(squares / count - mean * mean, mean, 1 / count))
    let above = 0
    for (let t = 0; t < n; t++) if (known[t] && values[t]! > limit) above++
    if (above === 0 || above > spikes) return cap
    cap = limit
  }
  return cap
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
