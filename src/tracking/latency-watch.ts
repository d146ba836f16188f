import type { LatencySketch as Sketch } from './latency-sketch'
import { LatencySketch } from './latency-sketch'

/** What the operations of some time took. */
export interface Latency {
  /** Operations. */
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const SLOTS = 6
const SLOT_MS = 10_000

/** What operations take: over the last minute, in slots of ten seconds; and since somebody asked last. */
export class LatencyWatch {
  readonly #slots = Array.from({ length: SLOTS }, () => new LatencySketch())
  readonly #since = new LatencySketch()
  #slot = Number.NaN

  add(ms: number, now: number): void {
    this.#turn(now)
    this.#slots[this.#slot % SLOTS]!.add(ms)
    this.#since.add(ms)
  }

  /** Of the last minute. */
  recent(now: number): Latency {
    this.#turn(now)
    const all = new LatencySketch()
    for (const slot of this.#slots) all.merge(slot)
    return latencyOf(all)
  }

  /** Since the last call. */
  take(): Latency {
    const latency = latencyOf(this.#since)
    this.#since.clear()
    return latency
  }

  #turn(now: number): void {
    const slot = Math.floor(now / SLOT_MS)
    if (slot === this.#slot) return
    // A clock that was set back begins anew, too: what lies in the slots is of no known time then.
    const stale = slot > this.#slot ? Math.min(SLOTS, slot - this.#slot) : SLOTS
    for (let i = 0; i < stale; i++) this.#slots[(((slot - i) % SLOTS) + SLOTS) % SLOTS]!.clear()
    this.#slot = slot
  }
}

function latencyOf(sketch: Sketch): Latency {
  return { count: sketch.count, p50Ms: sketch.quantile(0.5), p99Ms: sketch.quantile(0.99) }
}
