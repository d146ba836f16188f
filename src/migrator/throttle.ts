import type { Clock } from '../clock'
import type { Pace } from './pace'
import type { Standstill } from './standstill'

/**
 * One pace for all handoffs of a plan. A batch reserves the time that it is worth and waits until what was reserved
 * before it has passed: the rate is never exceeded by more than one batch (GCRA, the "virtual scheduling" of ATM).
 */
export class Throttle {
  readonly #clock: Clock
  readonly #keysPerSecond: number
  readonly #bytesPerSecond: number
  readonly #pace: Pace | undefined
  readonly #standstill: Standstill | undefined
  #freeAt = Number.NEGATIVE_INFINITY
  #seen = Number.NEGATIVE_INFINITY

  constructor(
    clock: Clock,
    maxKeysPerSecond: number,
    maxBytesPerSecond: number,
    pace?: Pace,
    standstill?: Standstill,
  ) {
    this.#clock = clock
    this.#keysPerSecond = maxKeysPerSecond
    this.#bytesPerSecond = maxBytesPerSecond
    this.#pace = pace
    this.#standstill = standstill
  }

  /** Waits until copying is allowed at all: before a move that has not begun. */
  async open(signal: AbortSignal): Promise<void> {
    await this.#standstill?.over(signal)
    await this.#pace?.open(signal)
  }

  async take(keys: number, bytes: number, signal: AbortSignal): Promise<void> {
    const pace = this.#pace
    // Looked at without a wait: most of the time nobody wants anything to stand still.
    if (this.#standstill?.wanted) await this.#standstill.over(signal)
    if (pace) await pace.open(signal)
    pace?.copying(keys)
    const keysPerSecond = Math.min(this.#keysPerSecond, pace?.keysPerSecond ?? Number.POSITIVE_INFINITY)
    const now = this.#clock.now()
    // A clock that was set back must not turn what is reserved into a standstill.
    if (now < this.#seen) this.#freeAt -= this.#seen - now
    this.#seen = now
    const at = Math.max(now, this.#freeAt)
    this.#freeAt = at + 1000 * Math.max(keys / keysPerSecond, bytes / this.#bytesPerSecond)
    if (at - now >= 1) await this.#clock.sleep(at - now, signal)
  }
}
