import { seededRandom } from '../../../src/clock'

/** A Poisson variate (Knuth for small means, sums of smaller ones for large). */
export function poisson(mean: number, random: () => number): number {
  if (mean > 30) return poisson(mean / 2, random) + poisson(mean / 2, random)
  const limit = Math.exp(-mean)
  let k = 0
  for (let p = random(); p > limit; p *= random()) k++
  return k
}

/** A standard normal variate (Box and Muller). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** A rate with a daily and a weekly season: mean 1 over a week of hours. */
export function weekly(t: number): number {
  const day = 1 + 0.6 * Math.sin((2 * Math.PI * t) / 24)
  return (day * (Math.floor(t / 24) % 7 < 5 ? 1.2 : 0.5)) / 1
}

/** Hourly counts around level × weekly(t). */
export function counts(level: number, n: number, seed: number): number[] {
  const random = seededRandom(seed)
  return Array.from({ length: n }, (_, t) => poisson(level * weekly(t), random))
}

/** Hourly rates around level × weekly(t), with a multiplicative error of about `noise`. */
export function rates(level: number, noise: number, n: number, seed: number): number[] {
  const random = seededRandom(seed)
  return Array.from({ length: n }, (_, t) => level * weekly(t) * Math.exp(noise * normal(random)))
}

export const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0)

export function meanAbsoluteError(actual: ArrayLike<number>, forecast: ArrayLike<number>): number {
  return sum(Array.from(actual, (a, h) => Math.abs(a - forecast[h]!))) / actual.length
}
