import { breathe, type Clock } from '../clock'

/** Work goes on for so long before others get their turn. */
const SLICE_MS = 8

/** Cuts a long computation into slices, so that the event loop is never held for long. The result does not depend on it. */
export class Pace {
  readonly #clock: Clock
  #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.now()
  }

  /** Call it every millisecond of work or so, and await what it returns, if anything. */
  rest(): Promise<void> | undefined {
    const now = this.#clock.now()
    if (now >= this.#since && now - this.#since < SLICE_MS) return undefined
    return breathe().then(() => {
      this.#since = this.#clock.now()
    })
  }
}
