import type { Clock } from '../clock'

/**
 * A process that can be stopped at any moment, as SIGSTOP, SIGCONT and SIGKILL would: while frozen it neither sends a
 * request, nor sees a reply, nor wakes from a sleep; after `kill` never again. What it had sent before is on its way.
 * It sees the outside only through `clock` and through stores that were given it as `process`.
 */
export class SimulatedProcess {
  readonly name: string
  readonly clock: Clock
  #state: 'running' | 'frozen' | 'dead' = 'running'
  #waiting: (() => void)[] = []

  /** `skewMs`: how far its clock is ahead of `clock`. */
  constructor(name: string, clock: Clock, skewMs = 0) {
    this.name = name
    this.clock = {
      now: () => clock.now() + skewMs,
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal)
        await this.running()
      },
      every: (ms, fn) =>
        clock.every(ms, () => {
          if (this.#state === 'running') fn()
        }),
    }
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  /** Resolves as soon as the process runs; never for a dead one. */
  running(): Promise<void> {
    if (this.#state === 'running') return Promise.resolve()
    return new Promise((resolve) => {
      if (this.#state === 'frozen') this.#waiting.push(resolve)
    })
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen'
  }

  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'running'
    const waiting = this.#waiting
    this.#waiting = []
    for (const resume of waiting) resume()
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }
}
