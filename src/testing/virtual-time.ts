import { ManualClock } from '../clock'

/**
 * Drives a ManualClock: whenever all that can run has run, time jumps to the next sleeper. Hours of sleeping take
 * milliseconds, and what happens depends on nothing but the code and its seeds, as long as every wait is a sleep on
 * `clock` or work given to `external`.
 */
export class VirtualTime {
  readonly clock: ManualClock
  #external: Promise<unknown> = Promise.resolve()
  #inFlight = 0

  /** `start` in ms since the epoch. */
  constructor(start = 1_000_000) {
    this.clock = new ManualClock(start)
  }

  /**
   * Time stands still until this real work (a disk, a socket) is done. One piece of work at a time, in the order in which
   * it was asked for, because the order in which two would end is decided by no seed.
   */
  external<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#external.then(work)
    this.#external = result.catch(() => undefined)
    this.#inFlight++
    const done = () => {
      this.#inFlight--
    }
    result.then(done, done)
    return result
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
      this.clock.wakeNext()
    }
  }

  /** Lets everything run that can run without time passing. */
  async settle(): Promise<void> {
    await promisesSettled()
    while (this.#inFlight > 0) {
      await this.#external
      await promisesSettled()
    }
  }
}

/**
 * Every promise that can be settled has run its course: a tick that is asked for while promises run has its turn after the
 * last of them, without a turn of the event loop, which costs more than all else in a simulation.
 */
function promisesSettled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}
