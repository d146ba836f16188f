import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import type { AccessLogEntry } from '../../src/tracking/access-log'

export const HOUR = 3_600_000

export interface LogShape {
  hours: number
  /** Expected accesses of a key in an hour. */
  rate: (key: number, hour: number) => number
  keys: number
  seed?: number
  start?: number
  name?: (key: number) => string
}

/** A log of Poisson streams, one a key, in order of time; an entry stands for all accesses of its key in an hour. */
export function generatedLog({
  hours,
  rate,
  keys,
  seed = 1,
  start = 0,
  name = (key) => `key:${key}`,
}: LogShape): AccessLogEntry[] {
  const random = seededRandom(seed)
  const log: AccessLogEntry[] = []
  for (let hour = start; hour < start + hours; hour++)
    for (let key = 0; key < keys; key++) {
      const count = poisson(rate(key, hour), random)
      if (count > 0) log.push({ timestamp: hour * HOUR + key, key: name(key), operation: 'read', count })
    }
  return log
}

export function poisson(mean: number, random: () => number): number {
  if (mean > 50) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal))
  }
  let k = 0
  for (let p = random(); p > Math.exp(-mean); p *= random()) k++
  return k
}

/** A wave that peaks at the given hour of the day: 0.1 … 1.9. */
export function daily(hour: number, peak: number): number {
  return 1 + 0.9 * Math.cos((2 * Math.PI * (hour - peak)) / 24)
}

/** Names of keys that fall into a bucket. */
export function keysOfBucket(bucket: number, buckets: number, count: number): string[] {
  const found: string[] = []
  for (let k = 0; found.length < count; k++) if (murmur3(`k${k}`) % buckets === bucket) found.push(`k${k}`)
  return found
}
