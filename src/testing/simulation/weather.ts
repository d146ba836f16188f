import type { Random } from '../../clock'
import { HANDOFF_STEPS } from '../../migrator/gate'
import type { FaultRates } from '../fault-injector'

/** What a seed decides where the caller does not. What is rare in most simulations is common in some. */
export interface Weather {
  readonly rates: FaultRates
  readonly batchKeys: number
  readonly hot: boolean
  readonly expiring: boolean
  readonly crashAt: string | undefined
  /** Share of the reshardings that compare both copies before the cutover. */
  readonly verified: number
}

export function weatherOf(random: Random): Weather {
  const oneOf = <T>(...choices: T[]) => choices[Math.floor(random() * choices.length)]!
  const slowErasesMs = oneOf<FaultRates['slowErasesMs']>(undefined, undefined, [0, 2_000], [0, 45_000])
  const rates: FaultRates = {
    delayMs: [0, oneOf(3, 12, 12, 50)],
    lostRequests: oneOf(0, 0.01, 0.03),
    lostReplies: oneOf(0, 0.01, 0.03),
    lateRequests: oneOf(0, 0.005, 0.02),
    repeatedSteps: oneOf(0, 0.1, 0.5, 1),
    lateMs: [1, oneOf(60, 1_000, 10_000, 60_000)],
    crashes: oneOf(0, 0, 0.001, 0.003),
    ...(slowErasesMs && { slowErasesMs }),
  }
  // Damage is found by nothing else.
  const damagedBatches = oneOf(0, 0, 0, 0.1)
  const expiring = random() < 0.15
  return {
    rates: { ...rates, damagedBatches },
    verified: damagedBatches > 0 ? 1 : 0.7,
    expiring,
    // A hot key that expires all the time is more than the checker can decide.
    hot: !expiring && random() < 0.3,
    // Small batches, so that few keys make many.
    batchKeys: oneOf(1, 2, 256),
    crashAt: random() < 0.3 ? oneOf(...HANDOFF_STEPS) : undefined,
  }
}
