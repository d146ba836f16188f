import type { Clock } from '../clock'

/**
 * One pace for all handoffs of a plan. A batch reserves the time that it is worth and waits until what was reserved
 * before it has passed: the rate is never exceeded by more than one batch (GCRA, the "virtual scheduling" of ATM).
 */
export class Throttle {
  readonly #clock: Clock
  readonly #keysPerSecond: number
  readonly #bytesPerSecond: number
  #freeAt = Number.NEGATIVE_INFINITY
  #seen = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, maxKeysPerSecond: number, maxBytesPerSecond: number) {
    this.#clock = clock
    this.#keysPerSecond = maxKeysPerSecond
    this.#bytesPerSecond = maxBytesPerSecond
  }

  async take(keys: number, bytes: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    // A clock that was set back must not turn what is reserved into a standstill.
    if (now < this.#seen) this.#freeAt -= this.#seen - now
    this.#seen = now
    const at = Math.max(now, this.#freeAt)
    this.#freeAt = at + 1000 * Math.max(keys / this.#keysPerSecond, bytes / this.#bytesPerSecond)
    if (at - now >= 1) await this.#clock.sleep(at - now, signal)
  }
}
