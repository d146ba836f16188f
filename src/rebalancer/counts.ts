import type { ExpectedGain } from '../predictor/prediction'
import type { SkipReason } from './decision'
import type { Verdict } from './probation'

/** What a rebalancer has done since it was made. */
export interface RebalancerMetrics {
  /** Rounds in which nothing was moved, by why. */
  readonly skipped: ReadonlyMap<SkipReason, number>
  readonly recommendations: number
  /** Recommendations that the router took. */
  readonly reshardings: number
  readonly rollbacks: number
  readonly errors: number
  /** Of the last prediction; undefined before the first. */
  readonly last: { readonly confidence: number; readonly expected: ExpectedGain } | undefined
  /** How the newest resharding of its own does against the placement before it; undefined where none is on probation. */
  readonly probation: Verdict | undefined
}

export class Counts {
  readonly skipped = new Map<SkipReason, number>()
  recommendations = 0
  reshardings = 0
  rollbacks = 0
  errors = 0
  last: RebalancerMetrics['last']
  probation: Verdict | undefined

  skip(because: SkipReason): void {
    this.skipped.set(because, (this.skipped.get(because) ?? 0) + 1)
  }

  read(): RebalancerMetrics {
    const { skipped, recommendations, reshardings, rollbacks, errors, last, probation } = this
    return { skipped: new Map(skipped), recommendations, reshardings, rollbacks, errors, last, probation }
  }
}
