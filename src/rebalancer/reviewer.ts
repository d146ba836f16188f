import type { Placement } from '../placement/assignment'
import type { HistoryEntry } from '../topology-store'
import type { RebalancedRouter, RebalancingPredictor } from './options'
import { expectedGainOf, ownAtTheEnd, ownRollbacks, placementBefore } from './own-reshardings'
import { judge, type Verdict } from './probation'

export interface ReviewRules {
  readonly horizonMs: number
  readonly patience: number | undefined
  readonly restMs: number
  readonly minGain: number
}

/** A resharding that should be undone, with all that follow on it. */
export interface Regret {
  readonly to: string
  /** The newest of the history. */
  readonly last: string
  /** When it ended. */
  readonly at: number
  readonly verdict: Verdict
}

export interface Review {
  readonly regret: Regret | undefined
  /** What the newest resharding of its own looks like, undefined where none is on probation. */
  readonly probation: Verdict | undefined
  /** When anything was resharded last, by anybody; -Infinity where nothing is remembered. */
  readonly lastAt: number
  /** No resharding before: the rest after rollbacks. */
  readonly restUntil: number
}

/** Reshardings on probation that are looked at, the newest. */
const MOST = 8
/** Longest rest after rollbacks, in rests. */
const LONGEST_REST = 8
/** A verdict on what was made so many horizons ago comes too late. */
const LATEST = 2
const FEWEST = 3

/**
 * Second thoughts about what the rebalancer has done by itself. All that it knows is in the history of the topology and in the
 * predictor: it goes on after a restart as if there had been none.
 */
export class Reviewer {
  readonly #router: RebalancedRouter
  readonly #predictor: RebalancingPredictor
  readonly #rules: ReviewRules

  constructor(router: RebalancedRouter, predictor: RebalancingPredictor, rules: ReviewRules) {
    this.#router = router
    this.#predictor = predictor
    this.#rules = rules
  }

  async review(now: number): Promise<Review> {
    const { horizonMs } = this.#rules
    const history = await this.#router.history!()
    const placement = this.#router.placement
    let probation: Verdict | undefined
    let regret: Regret | undefined
    let expectedGain = 0
    for (const entry of ownAtTheEnd(history).slice(0, MOST)) {
      expectedGain += expectedGainOf(entry.reason)!
      if (now - entry.at > LATEST * horizonMs) break
      const verdict = await this.#verdictOn(entry, history, placement, expectedGain, now)
      if (!verdict) break
      probation ??= verdict
      if (verdict.kind === 'worse' && verdict.loss > (regret?.verdict.loss ?? 0))
        regret = { to: entry.id, last: history.at(-1)!.id, at: entry.at, verdict }
    }
    const lastAt = history.at(-1)?.at ?? Number.NEGATIVE_INFINITY
    return { regret, probation, lastAt, restUntil: this.#restUntil(history, now) }
  }

  /** Tells the predictor, so that its confidence learns from it. */
  async conclude({ at }: Regret, now: number): Promise<void> {
    await this.#predictor.conclude?.(at, now)
  }

  /** Undefined where the placement of then cannot be had any more: a shard of it has left. */
  async #verdictOn(
    { id, at }: HistoryEntry,
    history: readonly HistoryEntry[],
    after: Placement,
    expectedGain: number,
    now: number,
  ): Promise<Verdict | undefined> {
    const { horizonMs, minGain } = this.#rules
    const before = placementBefore(after, history, id)
    if (!before) return undefined
    const { intervals, intervalMs, churn } = await this.#predictor.hindsight!({
      before,
      after,
      since: at,
      now,
    })
    const horizon = Math.max(FEWEST, Math.round(horizonMs / intervalMs))
    const patience = Math.min(horizon, this.#rules.patience ?? Math.max(FEWEST, Math.ceil(horizon / 4)))
    return judge(intervals, expectedGain, churn, { patience, horizon, minGain })
  }

  #restUntil(history: readonly HistoryEntry[], now: number): number {
    const { restMs } = this.#rules
    const { count, last } = ownRollbacks(history, now - LONGEST_REST * restMs)
    return count > 0 ? last + restMs * Math.min(LONGEST_REST, 2 ** (count - 1)) : Number.NEGATIVE_INFINITY
  }
}
