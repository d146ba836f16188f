import type { Clock } from '../clock'

/** What a caller outside is told of an answer that will never come. */
export class ProcessDied extends Error {}

/**
 * A process that can be stopped at any moment, as SIGSTOP, SIGCONT and SIGKILL would: while frozen it neither sends a
 * request, nor sees a reply, nor wakes from a sleep; after `kill` never again. What it had sent before is on its way.
 * It sees the outside only through `clock` and through stores that were given it as `process`.
 */
export class SimulatedProcess {
  readonly name: string
  readonly clock: Clock
  #state: 'running' | 'frozen' | 'dead' = 'running'
  #skewMs: number
  #waiting: (() => void)[] = []
  readonly #mourners = new Set<(reason: ProcessDied) => void>()

  /** `skewMs`: how far its clock is ahead of `clock`. */
  constructor(name: string, clock: Clock, skewMs = 0) {
    this.name = name
    this.#skewMs = skewMs
    this.clock = {
      now: () => clock.now() + this.#skewMs,
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

  /** Its clock is set by so much, forwards or back; what sleeps sleeps on. */
  jump(ms: number): void {
    this.#skewMs += ms
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
    for (const mourn of this.#mourners) mourn(new ProcessDied(`${this.name} was killed`))
    this.#mourners.clear()
  }

  /** The answer of the process, or ProcessDied. */
  answer<T>(work: Promise<T>): Promise<T> {
    if (this.isDead) return Promise.reject(new ProcessDied(`${this.name} is dead`))
    return new Promise((resolve, reject) => {
      this.#mourners.add(reject)
      work.finally(() => this.#mourners.delete(reject)).then(resolve, reject)
    })
  }
}
