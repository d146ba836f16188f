import { planMoves } from './mover'
import type { PlacementPolicy } from './placement-policy'

export interface ReactiveOptions {
  /** Newest intervals whose measured loads are balanced; by default all of the last horizon. */
  window?: number
  tolerance?: number
  minGain?: number
}

/**
 * Moves what was hot: balances the loads that were measured, E-Store's way, and brings together what was accessed
 * together. It never looks further back than a horizon, and expects the future to be like it. The whole horizon is
 * the window because on real traces (bus stops by the hour, disk blocks by the minute, baskets) every shorter one
 * costs more J: it chases noise.
 */
export function reactivePolicy(options: ReactiveOptions = {}): PlacementPolicy {
  const { window = Number.POSITIVE_INFINITY, tolerance = 0.1, minGain = 0.005 } = options
  return {
    name: 'reactive',
    decide: ({ placement, past, objective, budget }) => ({
      shardAssignmentMap: planMoves({
        placement,
        loads: window < past.length ? past.slice(-window) : past,
        transactions: past,
        objective,
        budget,
        tolerance,
        minGain,
      }),
    }),
  }
}
