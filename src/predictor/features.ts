import type { Workload } from './workload'

/** What a segment is like, one number a column, in the order of FEATURES. */
export const FEATURES = [
  'log rate',
  'write share',
  'trend',
  'burstiness',
  'daily strength',
  'weekly strength',
  'daily phase, cosine',
  'daily phase, sine',
  'co-access degree',
  'log size',
] as const

export const WIDTH = FEATURES.length

/** The hour-like phase of the daily wave, in 0..1 of a day after midnight UTC, from a row of features; undefined without one. */
export function peakOfDay(row: ArrayLike<number>): number | undefined {
  const x = row[6]!
  const y = row[7]!
  return x * x + y * y < 0.01 ? undefined : (Math.atan2(y, x) / (2 * Math.PI) + 1) % 1
}

/** Angles of the days and weeks of a history, computed once for all segments. */
export class Waves {
  readonly #tables: { cosine: Float64Array; sine: Float64Array }[]
  readonly #intervals: number

  /** `seasons`: at most a day and a week, in intervals; `first`: number of the first interval. */
  constructor(seasons: readonly number[], intervals: number, first: number) {
    this.#intervals = intervals
    this.#tables = seasons.map((season) => {
      const angle = (t: number) => (2 * Math.PI * ((first + t) % season)) / season
      return {
        cosine: Float64Array.from({ length: intervals }, (_, t) => Math.cos(angle(t))),
        sine: Float64Array.from({ length: intervals }, (_, t) => Math.sin(angle(t))),
      }
    })
  }

  /** The features of an item; all finite, whatever its loads. `degree`: share of the multi-key transactions it takes part in. */
  featuresOf(workload: Workload, item: number, degree: number): Float64Array {
    const n = this.#intervals
    const at = item * n
    const { loads } = workload
    let sum = 0
    let squares = 0
    let recent = 0
    const tail = Math.max(1, n >> 3)
    for (let t = 0; t < n; t++) {
      const load = loads[at + t]!
      sum += load
      squares += load * load
      if (t >= n - tail) recent += load
    }
    const mean = n > 0 ? sum / n : 0
    const waves = this.#tables.map(({ cosine, sine }) => {
      let a = 0
      let b = 0
      for (let t = 0; t < n; t++) {
        const load = loads[at + t]!
        a += load * cosine[t]!
        b += load * sine[t]!
      }
      // Relative amplitude; counts of this size show about √(4 / sum) of it by chance.
      const amplitude = sum > 0 ? (2 * Math.hypot(a, b)) / sum : 0
      const real = Math.sqrt(Math.max(0, amplitude * amplitude - (sum > 0 ? 4 / sum : 0)))
      const norm = Math.hypot(a, b) || 1
      return { strength: real, x: (real * a) / norm, y: (real * b) / norm }
    })
    const [day, week] = waves
    const variance = n > 0 ? Math.max(0, squares / n - mean * mean) : 0
    return Float64Array.of(
      Math.log(mean + 0.01),
      workload.writeShare[item]!,
      Math.log((recent / tail + 0.1 + 0.05 * mean) / (mean + 0.1 + 0.05 * mean)),
      // What is left of the variance beyond that of counts, in units of the mean: 0 for a Poisson stream.
      mean > 0 ? Math.log1p(Math.max(0, variance - mean) / (mean * mean)) : 0,
      day?.strength ?? 0,
      week?.strength ?? 0,
      day?.x ?? 0,
      day?.y ?? 0,
      Math.sqrt(degree),
      Math.log1p(workload.bytes[item]!),
    )
  }
}
