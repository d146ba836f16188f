/**
 * Durations in a small histogram with a relative error of 2 % (DDSketch, Masson, Rim and Lee 2019, with a fixed range):
 * from 1 µs to 17 minutes, everything shorter or longer counted at the ends. Two of them merge by addition.
 */
export class LatencySketch {
  readonly #counts = new Uint32Array(BUCKETS)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(ms: number): void {
    const bucket = ms > LEAST_MS ? Math.ceil(Math.log(ms / LEAST_MS) / LOG_GAMMA) : 0
    this.#counts[bucket < BUCKETS ? bucket : BUCKETS - 1]!++
    this.#count++
  }

  merge(other: LatencySketch): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! += other.#counts[i]!
    this.#count += other.#count
  }

  clear(): void {
    this.#counts.fill(0)
    this.#count = 0
  }

  /** The duration in ms below which so large a share of them lies; 0 of none. */
  quantile(share: number): number {
    if (this.#count === 0) return 0
    const rank = share * (this.#count - 1)
    let below = 0
    for (let i = 0; i < BUCKETS; i++) {
      below += this.#counts[i]!
      if (below > rank) return (2 * LEAST_MS * GAMMA ** i) / (GAMMA + 1)
    }
    return 0
  }
}

const ACCURACY = 0.02
const GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
const LOG_GAMMA = Math.log(GAMMA)
const LEAST_MS = 0.001
/** Up to 2^20 seconds of the least one. */
const BUCKETS = Math.ceil(Math.log(1e6 / LEAST_MS) / LOG_GAMMA) + 1
