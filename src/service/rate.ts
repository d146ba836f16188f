import type { Clock } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'

/** Callers that are told apart; the longest unseen one makes room. */
const MOST_CALLERS = 10_000

/**
 * So many requests a second from each caller, and twice as many at once (GCRA, the "virtual scheduling" of ATM). Callers are
 * told apart by address; where that is not known they share one allowance.
 */
export class Rate {
  readonly #clock: Clock
  readonly #gapMs: number
  readonly #slackMs: number
  /** By caller: the time up to which its allowance is used. The longest unseen first. */
  readonly #usedUntil = new Map<string, number>()

  constructor(clock: Clock, requestsPerSecond: number) {
    this.#clock = clock
    this.#gapMs = 1_000 / requestsPerSecond
    this.#slackMs = 2_000
  }

  /** @throws TOO_MANY_REQUESTS */
  take(caller: string): void {
    const now = this.#clock.now()
    const known = this.#usedUntil.get(caller) ?? 0
    // A clock that was set back must not lock anybody out.
    const until = Math.min(Math.max(now, known), now + this.#slackMs + this.#gapMs)
    if (until - now > this.#slackMs)
      throw new ForeshardError(ErrorCode.TOO_MANY_REQUESTS, 'too many requests from this caller')
    this.#usedUntil.delete(caller)
    if (this.#usedUntil.size >= MOST_CALLERS) this.#usedUntil.delete(this.#usedUntil.keys().next().value!)
    this.#usedUntil.set(caller, until + this.#gapMs)
  }
}
