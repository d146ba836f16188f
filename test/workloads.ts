import { seededRandom } from '../src/clock'
import type { AccessLogEntry } from '../src/tracking/access-log'

export const HOUR = 3_600_000
const DAY = 24

/** A number of accesses with the given expectation, by chance (Poisson; Knuth's method, the normal approximation above 50). */
export function poisson(mean: number, random: () => number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  let count = 0
  for (let p = Math.exp(-mean), u = random(); u > p; u *= random()) count++
  return count
}

/** A standard normal deviate (Box and Muller 1958). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** One period of a wave that never falls below 0 and whose mean is 1. */
function wave(hour: number, peak: number, period = DAY, depth = 0.9): number {
  return 1 + depth * Math.cos((2 * Math.PI * (hour - peak)) / period)
}

const zipf = (rank: number, exponent = 1) => 1 / (rank + 1) ** exponent

/** Accesses by key and hour; one entry stands for all accesses of a key in an hour. */
function streams(seed: number, keys: number, hours: number, rate: (key: number, hour: number) => number) {
  const random = seededRandom(seed)
  const log: AccessLogEntry[] = []
  for (let hour = 0; hour < hours; hour++)
    for (let key = 0; key < keys; key++) {
      const count = poisson(rate(key, hour), random)
      if (count > 0) log.push({ timestamp: hour * HOUR, key: `key:${key}`, operation: 'read', count })
    }
  return log
}

/** Transactions by hour, each over the keys that `touch` says. */
function together(
  seed: number,
  hours: number,
  perHour: number,
  touch: (hour: number, random: () => number) => Iterable<string>,
) {
  const random = seededRandom(seed)
  const log: AccessLogEntry[] = []
  for (let hour = 0; hour < hours; hour++)
    for (let k = 0; k < perHour; k++) {
      const timestamp = Math.floor((hour + k / perHour) * HOUR)
      const transactionId = `${hour}-${k}`
      for (const key of touch(hour, random)) log.push({ timestamp, key, operation: 'read', transactionId })
    }
  return log
}

/** A random walk of log rates, one a key, drawn before the log is. */
function walk(seed: number, keys: number, hours: number, step: number): Float64Array {
  const random = seededRandom(seed)
  const rates = new Float64Array(keys * hours)
  for (let key = 0; key < keys; key++)
    for (let hour = 0, x = normal(random); hour < hours; hour++) {
      x = 0.995 * x + step * normal(random)
      rates[key * hours + hour] = Math.exp(x)
    }
  return rates
}

/** Synthetic access logs by the hour, each with one trait that a placement policy can stumble over. Seeded. */
export const WORKLOADS = {
  /** Few keys, one common rhythm: at every hour the same key is the hottest. */
  'daily sine': (days = 14, seed = 1) =>
    streams(seed, 60, days * DAY, (key, hour) => 10 * (1 + (key % 5)) * wave(hour, 15)),

  /** Half of the keys work on weekdays, the others at weekends. */
  weekly: (days = 28, seed = 2) =>
    streams(seed, 120, days * DAY, (key, hour) => {
      const weekend = Math.floor(hour / DAY) % 7 >= 5
      return 40 * zipf(key % 60, 0.6) * ((key % 2 === 0) === weekend ? 2 : 0.3) * wave(hour, 14, DAY, 0.6)
    }),

  /** Every key has a peak of its own, some time of the day. */
  'staggered peaks': (days = 14, seed = 3) =>
    streams(seed, 96, days * DAY, (key, hour) => 60 * zipf(key % 24, 0.5) * wave(hour, (key * 7) % DAY)),

  /** Every six hours another quarter of the keys is hot, in a fixed order. */
  rotation: (days = 14, seed = 4) =>
    streams(seed, 64, days * DAY, (key, hour) => (key % 4 === Math.floor(hour / 6) % 4 ? 80 : 4)),

  /** Rates that wander off, with no season. */
  'random walk': (days = 14, seed = 5) => {
    const rates = walk(seed, 80, days * DAY, 0.1)
    return streams(seed + 1, 80, days * DAY, (key, hour) => 15 * rates[key * days * DAY + hour]!)
  },

  /** Quiet keys of which one now and then draws everybody for a few hours. */
  'flash crowd': (days = 14, seed = 6) => {
    const random = seededRandom(seed)
    const crowds = Array.from({ length: days }, () => ({
      key: Math.floor(100 * random()),
      from: Math.floor(random() * days * DAY),
    }))
    return streams(seed + 1, 100, days * DAY, (key, hour) => {
      const crowd = crowds.find((it) => it.key === key && hour >= it.from && hour < it.from + 5)
      return 8 * wave(hour, 12, DAY, 0.4) * (crowd ? 60 * 0.6 ** (hour - crowd.from) : 1)
    })
  },

  /** Nothing ever changes but by chance. */
  'zipf constant': (days = 14, seed = 7) => streams(seed, 200, days * DAY, (key) => 60 * zipf(key)),

  /** One key alone is hotter than a shard's fair share. */
  'hot key': (days = 14, seed = 8) =>
    streams(
      seed,
      80,
      days * DAY,
      (key, hour) => (key === 0 ? 300 : 12 * zipf(key % 20, 0.4)) * wave(hour, 18),
    ),

  /** After half of the time, all keys swap their heat. */
  'step shift': (days = 14, seed = 9) =>
    streams(
      seed,
      80,
      days * DAY,
      (key, hour) => 40 * zipf(hour < (days * DAY) / 2 ? key : 79 - key, 0.7) * wave(hour, 12, DAY, 0.5),
    ),

  /** Messages within families of keys, some of which fade while others grow. */
  messages: (days = 14, seed = 10) =>
    together(seed, days * DAY, 60, (hour, random) => {
      const family = Math.floor(40 * random() ** 2 + (hour / (days * DAY)) * 20) % 60
      const member = () => `user:${family}:${Math.floor(6 * random())}`
      return new Set([member(), random() < 0.1 ? `user:${Math.floor(60 * random())}:0` : member()])
    }),

  /** Baskets of staples that all share and of items that go together. */
  baskets: (days = 14, seed = 11) =>
    together(seed, days * DAY, 40, (_, random) => {
      const aisle = Math.floor(30 * random())
      const items = new Set([`item:${aisle}:${Math.floor(10 * random() ** 2)}`])
      if (random() < 0.3) items.add(`staple:${Math.floor(12 * random() ** 2)}`)
      for (let size = 1 + Math.floor(4 * random()); size > 0; size--)
        items.add(`item:${aisle}:${Math.floor(10 * random() ** 2)}`)
      return items
    }),

  /** Hardly an access an hour: nothing can be known, and nothing gained. */
  'nearly idle': (days = 14, seed = 12) => streams(seed, 40, days * DAY, () => 0.05),
} satisfies Record<string, (days?: number, seed?: number) => AccessLogEntry[]>

export type WorkloadName = keyof typeof WORKLOADS
