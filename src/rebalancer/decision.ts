import type { ShardAssignmentPrediction } from '../predictor/prediction'
import { type Bill, billOf, type MovingCosts, type MovingPace } from './bill'

export { DEFAULT_COSTS, type MovingCosts } from './bill'

export interface DecisionRules {
  readonly minConfidence: number
  /** J that a resharding must save over the horizon, all costs paid. */
  readonly minGain: number
  readonly cooldownMs: number
  readonly costs: MovingCosts
  /** The limits of copying, for what a move takes. */
  readonly pace?: MovingPace
}

export interface Circumstances {
  /** ms since the epoch. */
  readonly now: number
  readonly reshardingInFlight: boolean
  /** When the last resharding ended, or a recommendation was rejected; -Infinity if never. */
  readonly quietSince: number
}

/** Why nothing is moved. A closed list. */
export type SkipReason =
  | 'observing'
  | 'resharding-in-flight'
  | 'cooling-down'
  | 'rolled-back'
  | 'outside-windows'
  | 'budget-spent'
  | 'nothing-to-move'
  | 'low-confidence'
  | 'low-gain'
  | 'not-worth-its-cost'
  | 'refused'
  | 'predictor-unavailable'
  | 'failed'
  | 'stopped'

export interface Skip {
  readonly act: false
  readonly because: SkipReason
  /** A sentence with the numbers that decided. */
  readonly reason: string
}

export interface Go {
  readonly act: true
  readonly reason: string
  /** What moving costs by the rules, and what J saves after it, over the horizon. */
  readonly cost: number
  readonly gain: number
  /** Cost against gain, part by part, in one unit. */
  readonly bill: Bill
}

/** Whether this is a time to move anything at all: undefined if it is. Asked before a prediction is paid for. */
export function notNow(rules: DecisionRules, circumstances: Circumstances): Skip | undefined {
  const { now, reshardingInFlight, quietSince } = circumstances
  if (reshardingInFlight)
    return skip('resharding-in-flight', 'a resharding is under way; loads and placement are in motion')
  const restMs = quietSince + rules.cooldownMs - now
  if (restMs > 0) return skip('cooling-down', `${Math.ceil(restMs)} ms of the cool-down are left`)
  return undefined
}

/** Whether a prediction is worth acting on, and why. */
export function decide(prediction: ShardAssignmentPrediction, rules: DecisionRules): Go | Skip {
  const { shardAssignmentMap, merges, confidence, expected } = prediction
  const { minConfidence, minGain, costs } = rules
  const segments = shardAssignmentMap.size + merges.length
  if (segments === 0) return skip('nothing-to-move', 'the predictor finds nothing worth moving')
  const bill = billOf(segments, expected, costs, rules.pace)
  // What J counts already is paid in its net gain.
  const cost = bill.cost - bill.costs.churn
  const gain = expected.netGain - cost
  const numbers = `J falls by ${show(expected.netGain)}, moving ${segments} segments, ${Math.round(expected.keysMoved)} keys and ${Math.round(expected.bytesMoved)} bytes costs ${show(cost)}`
  // Tags are folded back to keep the table small, not to lower J: of that, nobody need be convinced.
  if (shardAssignmentMap.size === 0)
    return { act: true, reason: `${segments} tags need no segment any more`, cost, gain, bill }
  if (!(confidence >= minConfidence))
    return skip('low-confidence', `confidence ${show(confidence)} is below ${show(minConfidence)}`)
  if (!(expected.netGain >= minGain))
    return skip('low-gain', `the expected gain of ${show(expected.netGain)} is below ${show(minGain)}`)
  if (!(gain >= minGain))
    return skip('not-worth-its-cost', `${numbers}: what is left is below ${show(minGain)}`)
  return { act: true, reason: numbers, cost, gain, bill }
}

export function skip(because: SkipReason, reason: string): Skip {
  return { act: false, because, reason }
}

function show(value: number): string {
  return String(Number(value.toFixed(4)))
}
