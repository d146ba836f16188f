import { ManualClock } from '../clock'

/**
 * Drives a ManualClock: whenever all that can run has run, time jumps to the next sleeper. Hours of sleeping take
 * milliseconds, and what happens depends on nothing but the code and its seeds, as long as every wait is a sleep on
 * `clock` or work given to `external`.
 */
export class VirtualTime {
  readonly clock: ManualClock
  readonly #inFlight = new Set<Promise<unknown>>()

  /** `start` in ms since the epoch. */
  constructor(start = 1_000_000) {
    this.clock = new ManualClock(start)
  }

  /**
   * Time stands still until this real work (a disk, a socket) is done. Work that is under way together ends in an order
   * that no seed decides; give it one at a time where a run must repeat exactly.
   */
  external<T>(work: Promise<T>): Promise<T> {
    this.#inFlight.add(work)
    const done = () => this.#inFlight.delete(work)
    work.then(done, done)
    return work
  }

  /** Runs `main` to its end. Throws when it waits for something that no sleeper will ever bring about, or for too long. */
  async run<T>(main: () => Promise<T>, limitMs = Number.POSITIVE_INFINITY): Promise<T> {
    const until = this.clock.now() + limitMs
    let settled = false
    const result = main().finally(() => {
      settled = true
    })
    // Whoever awaits `result` below comes too late for an early rejection.
    result.catch(() => {})
    for (;;) {
      await this.settle()
      if (settled) return result
      const next = this.clock.nextAt
      if (next === Number.POSITIVE_INFINITY)
        throw new Error('virtual time: everything waits and nobody sleeps, so nothing will ever happen')
      if (next > until) throw new Error(`virtual time: not done after ${limitMs} ms`)
      await this.clock.advance(Math.max(0, next - this.clock.now()))
    }
  }

  /** Lets everything run that can run without time passing. */
  async settle(): Promise<void> {
    await this.clock.advance(0)
    while (this.#inFlight.size > 0) {
      await Promise.allSettled(this.#inFlight)
      await this.clock.advance(0)
    }
  }
}
