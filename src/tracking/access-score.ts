import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'

export interface ScoreOptions {
  /** Time in which an access loses half its weight; default one hour. */
  halfLifeMs?: number
  /** Weight of a write relative to a read; default 1. */
  writeWeight?: number
}

const SCORE_FIELDS: Fields<ScoreOptions> = { halfLifeMs: true, writeWeight: true }

export const DEFAULT_HALF_LIFE_MS = 3_600_000
export const DEFAULT_WRITE_WEIGHT = 1

/**
 * Frequency and recency in one number, straight from its definition: the sum over the accesses i of
 * w_i · 2^(−(at − t_i) / halfLife), w = 1 for a read and `writeWeight` for a write. Accesses after `at` do not count.
 */
export function accessScore(
  accesses: Iterable<{ timestamp: number; operation: 'read' | 'write'; count?: number }>,
  at: number,
  options: ScoreOptions = {},
): number {
  checkFields(options, SCORE_FIELDS, 'options')
  const { halfLifeMs, writeWeight } = checkScore(options, 'options')
  if (accesses === null || typeof accesses !== 'object' || !(Symbol.iterator in accesses))
    throw invalid('accesses', `must be an array or another iterable, not ${shown(accesses)}`)
  if (typeof at !== 'number' || Number.isNaN(at))
    throw invalid('at', `must be milliseconds since the epoch, not ${shown(at)}`)
  let score = 0
  let i = 0
  for (const access of accesses) {
    const { timestamp, operation, count = 1 } = access ?? {}
    if (!Number.isFinite(timestamp) || !(Number.isFinite(count) && count >= 0))
      throw invalid(`accesses[${i}]`, `must be { timestamp, operation, count? }, not ${shown(access)}`)
    i++
    if (timestamp! <= at)
      score += count * (operation === 'write' ? writeWeight : 1) * 2 ** ((timestamp! - at) / halfLifeMs)
  }
  return score
}

export function checkScore(options: ScoreOptions, field: string): Required<ScoreOptions> {
  const { halfLifeMs = DEFAULT_HALF_LIFE_MS, writeWeight = DEFAULT_WRITE_WEIGHT } = options
  if (!Number.isFinite(halfLifeMs) || halfLifeMs <= 0)
    throw invalid(
      `${field}.halfLifeMs`,
      `must be a positive number of milliseconds, not ${shown(halfLifeMs)}`,
    )
  if (!Number.isFinite(writeWeight) || writeWeight < 0)
    throw invalid(`${field}.writeWeight`, `must be a finite number, not negative, not ${shown(writeWeight)}`)
  return { halfLifeMs, writeWeight }
}

/** Powers of two that a double can still be multiplied by without loss at either end. */
const MAX_EXPONENT = 512

/**
 * The same sum, kept incrementally and exactly, for any number of scores at the price of one multiplication each
 * (forward decay: Cormode, Shkapenyuk, Srivastava, Xu 2009). Instead of ageing every score, an access at t is worth
 * 2^((t − landmark) / halfLife), more the later it comes; a score is divided by today's worth when it is read. So
 * scores of different age compare as they are, and accesses may come out of order.
 *
 * When the exponent grows large the landmark moves on, and everyone who keeps scores multiplies them by a factor.
 */
export class Decay {
  readonly halfLifeMs: number
  #landmark: number | undefined
  #at = Number.NaN
  #worth = 1
  readonly #rescale: ((factor: number) => void)[] = []

  constructor(halfLifeMs = DEFAULT_HALF_LIFE_MS) {
    this.halfLifeMs = halfLifeMs
  }

  /** What one access at `now` adds to a score. */
  worth(now: number): number {
    if (now === this.#at) return this.#worth
    this.#landmark ??= now
    let exponent = (now - this.#landmark) / this.halfLifeMs
    if (exponent > MAX_EXPONENT) {
      for (const rescale of this.#rescale) rescale(2 ** -exponent)
      this.#landmark = now
      exponent = 0
    }
    this.#at = now
    this.#worth = 2 ** exponent
    return this.#worth
  }

  /** What a kept score is worth at `now`. Reading never moves the landmark: `kept` is in today's units. */
  scoreAt(kept: number, now: number): number {
    if (kept === 0 || this.#landmark === undefined) return kept
    return kept / (now === this.#at ? this.#worth : 2 ** ((now - this.#landmark) / this.halfLifeMs))
  }

  /** Whoever keeps scores multiplies all of them when told. */
  onRescale(rescale: (factor: number) => void): void {
    this.#rescale.push(rescale)
  }
}
