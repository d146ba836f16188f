import { breathe, type Clock } from '../clock'

/** Work goes on for so long before others get their turn; on a clock that stands still, for so many calls. */
const SLICE_MS = 8
const SLICE_CALLS = 16

/** Cuts a long computation into slices, so that the event loop is never held for long. The result does not depend on it. */
export class Pace {
  readonly #clock: Clock
  #since: number
  #calls = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.now()
  }

  /** Call it every millisecond of work or so, and await what it returns, if anything. */
  rest(): Promise<void> | undefined {
    const now = this.#clock.now()
    const young = now >= this.#since && now - this.#since < SLICE_MS
    if (young && (now > this.#since || ++this.#calls < SLICE_CALLS)) return undefined
    this.#calls = 0
    return breathe().then(() => {
      this.#since = this.#clock.now()
    })
  }
}
