import type { PastInterval } from '../replay/interval'
import { planMoves } from './mover'
import type { CheckedDecision, PolicyStep } from './placement-policy'

export interface ClairvoyantOptions {
  tolerance?: number
  minGain?: number
}

/**
 * The mover of `reactive`, shown the true next horizon. It bounds what any forecast could do for that mover, and is
 * the only policy that sees the future: it is no PlacementPolicy, and runs a horizon behind the others.
 */
export function clairvoyantDecision(
  step: PolicyStep,
  future: readonly PastInterval[],
  options: ClairvoyantOptions = {},
): CheckedDecision {
  const { tolerance = 0, minGain = 0.001 } = options
  const { placement, objective, budget } = step
  const map = planMoves({
    placement,
    loads: future,
    transactions: future,
    objective,
    budget,
    tolerance,
    minGain,
  })
  return { map, merges: [] }
}
