import { type Clock, elapsed } from '../clock'
import { Histogram, LATENCY_BOUNDS_MS } from '../histogram'
import type { Operation } from '../shard-store'

/** One operation in so many is timed: a power of two. */
export const TIMED_ONE_IN = 16

/** How long operations take, from the call to the answer, tries and waits included. Reads and writes apart. */
export class Latencies {
  readonly reads = new Histogram(LATENCY_BOUNDS_MS)
  readonly writes = new Histogram(LATENCY_BOUNDS_MS)
  readonly #clock: Clock
  #operations = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The time, for an operation that is to be timed. */
  begin(): number | undefined {
    return (this.#operations++ & (TIMED_ONE_IN - 1)) === 0 ? this.#time() : undefined
  }

  end(began: number, kind: Operation['kind']): void {
    const histogram = kind === 'get' || kind === 'has' ? this.reads : this.writes
    histogram.record(this.#time() - began)
  }

  #time(): number {
    return elapsed(this.#clock)
  }
}
