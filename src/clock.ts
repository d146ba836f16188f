/**
 * Time and chance. This is the only file that touches Date, timers and Math.random; everything else
 * receives a Clock and a Random, so that a simulation can own both.
 */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`. Rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `fn` every `ms` until the returned function is called. Never keeps the process alive. */
  every(ms: number, fn: () => void): () => void
  /** For measuring how long something takes: milliseconds since any fixed moment, finer than `now` and never set back. */
  elapsed?(): number
}

/** A source of numbers in [0, 1). */
export type Random = () => number

/** Node takes a longer time for a millisecond: 24.8 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A time over the longest of a timer is waited for in parts; of `every`, up to one part more. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      // Nothing to wait for but the others' turn.
      if (ms <= 0) return void setImmediate(resolve)
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal!.reason)
      }
      let timer: NodeJS.Timeout
      const wait = (left: number) => {
        timer = setTimeout(
          () => {
            if (left > LONGEST_TIMER_MS) return wait(left - LONGEST_TIMER_MS)
            signal?.removeEventListener('abort', onAbort)
            resolve()
          },
          Math.min(left, LONGEST_TIMER_MS),
        )
      }
      wait(ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    }),
  every: (ms, fn) => {
    let left = ms
    const timer = setInterval(
      () => {
        left -= LONGEST_TIMER_MS
        if (left > 0) return
        left = ms
        fn()
      },
      Math.min(ms, LONGEST_TIMER_MS),
    )
    timer.unref()
    return () => clearInterval(timer)
  },
}

/** For measuring how long something takes. */
export function elapsed(clock: Clock): number {
  return clock.elapsed ? clock.elapsed() : clock.now()
}

export const systemRandom: Random = Math.random

/** A deterministic Random (mulberry32, T. Ettinger): the same seed gives the same sequence everywhere. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
  cancelled: boolean
}

/** A clock that stands still until told otherwise: for tests, and for replaying logs in compressed time. */
export class ManualClock implements Clock {
  #now: number
  #order = 0
  /** A binary heap, the earliest first. What is cancelled stays until it comes up, or is the most. */
  #timers: Timer[] = []
  #cancelled = 0

  constructor(start = 0) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (!signal) return void this.#arm(this.#now + Math.max(0, ms), resolve)
      const timer = this.#arm(this.#now + Math.max(0, ms), () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = () => {
        this.#cancel(timer)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  every(ms: number, fn: () => void): () => void {
    let timer: Timer
    const arm = (at: number) => {
      timer = this.#arm(at, () => {
        arm(at + ms)
        fn()
      })
    }
    arm(this.#now + ms)
    return () => this.#cancel(timer)
  }

  /** The time at which the next sleeper wakes, or Infinity. */
  get nextAt(): number {
    return this.#next()?.at ?? Number.POSITIVE_INFINITY
  }

  /** Moves time on to the next sleeper and wakes that one; what it started has not run yet. False: nobody sleeps. */
  wakeNext(): boolean {
    const next = this.#next()
    if (!next) return false
    this.#pop()
    this.#now = Math.max(this.#now, next.at)
    next.fire()
    return true
  }

  /** Moves time on by `ms`, waking sleepers in order, and lets what they started run between two of them. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    while (this.nextAt <= until) {
      this.wakeNext()
      // A macrotask: every promise that the sleeper settled has run its course when it ends.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now = until
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Sets the time without waking anyone, also backwards: a clock that jumps. */
  jump(to: number): void {
    this.#now = to
  }

  #arm(at: number, fire: () => void): Timer {
    const timer: Timer = { at, order: this.#order++, fire, cancelled: false }
    const heap = this.#timers
    let place = heap.push(timer) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (isEarlier(heap[parent]!, timer)) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = timer
    return timer
  }

  #cancel(timer: Timer): void {
    if (timer.cancelled) return
    timer.cancelled = true
    if (++this.#cancelled <= 64 || this.#cancelled <= this.#timers.length / 2) return
    // A sorted array is a heap.
    this.#timers = this.#timers.filter((it) => !it.cancelled).sort((a, b) => (isEarlier(a, b) ? -1 : 1))
    this.#cancelled = 0
  }

  #next(): Timer | undefined {
    while (this.#timers[0]?.cancelled) {
      this.#pop()
      this.#cancelled--
    }
    return this.#timers[0]
  }

  #pop(): void {
    const heap = this.#timers
    const last = heap.pop()!
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isEarlier(heap[child + 1]!, heap[child]!)) child++
      if (isEarlier(last, heap[child]!)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = last
  }
}

function isEarlier(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** Lets everything else that is due run first: long computations call it between slices. Takes no time on any clock. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Long work over stores that answer at once would never leave the queue of microtasks, and no timer and no I/O of the
 * process would have its turn: whoever does such work asks here again and again.
 */
export class Breather {
  readonly #clock: Clock
  readonly #everyMs: number
  #since: number

  constructor(clock: Clock, everyMs = 5) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#since = clock.now()
  }

  /** Resolves after the others' turn; undefined as long as they need none. */
  rest(): Promise<void> | undefined {
    if (Math.abs(this.#clock.now() - this.#since) < this.#everyMs) return undefined
    return this.#clock.sleep(0).then(() => {
      this.#since = this.#clock.now()
    })
  }
}
