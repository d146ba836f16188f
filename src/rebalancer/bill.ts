import type { ExpectedGain, Objective } from '../predictor/prediction'
import { DEFAULT_OBJECTIVE } from '../predictor/prediction'

/** What moving costs beside the churn that J counts already, in units of J over the horizon. */
export interface MovingCosts {
  /** Of every segment: each one is fenced, carved, published, and holds its writes for a moment. */
  readonly perMove: number
  /** Of a million keys that are copied. */
  readonly perMillionKeys: number
  /** Of a gibibyte that is copied. */
  readonly perGibibyte: number
  /** Of an hour of copying, in which operations take longer; known only where the pace is. */
  readonly perHour: number
}

/** A million keys, or a gibibyte, or an hour, must buy a hundredth of J: one per cent off the fullest shard. */
export const DEFAULT_COSTS: MovingCosts = {
  perMove: 0.0001,
  perMillionKeys: 0.01,
  perGibibyte: 0.01,
  perHour: 0.01,
}

/** How fast it will be copied, as far as that is known; and how long writes are held for a move at most. */
export interface MovingPace {
  readonly maxKeysPerSecond?: number
  readonly maxBytesPerSecond?: number
  readonly maxHoldMs?: number
}

/**
 * What a resharding costs and brings, all in one unit: J over the horizon. One J is the fullest shard serving, over the
 * whole horizon, as much more as an average shard serves; or every multi-key transaction crossing shards that did not.
 */
export interface Bill {
  readonly segments: number
  readonly keys: number
  readonly bytes: number
  /** At the pace that copying is limited to; undefined where it is not. */
  readonly durationMs: number | undefined
  /** Writes to one of the segments wait so long at most, all segments together. */
  readonly heldMs: number
  /** Every part of the cost, in J over the horizon. */
  readonly costs: {
    readonly moves: number
    readonly keys: number
    readonly bytes: number
    readonly time: number
    /** What J itself counts for the load that is moved. */
    readonly churn: number
  }
  readonly cost: number
  /** What imbalance and crossing fall by. */
  readonly gain: number
  /** gain − cost. */
  readonly net: number
  /** Share of the horizon after which the gain has made up for the cost; Infinity where it never does. */
  readonly paidBackAfter: number
}

const USUAL_HOLD_MS = 50
const HOUR_MS = 3_600_000

export function billOf(
  segments: number,
  expected: ExpectedGain,
  costs: MovingCosts,
  { maxKeysPerSecond = 0, maxBytesPerSecond = 0, maxHoldMs = USUAL_HOLD_MS }: MovingPace = {},
  objective: Objective = DEFAULT_OBJECTIVE,
): Bill {
  const keys = expected.keysMoved
  const bytes = expected.bytesMoved
  const byKeys = maxKeysPerSecond > 0 ? (1000 * keys) / maxKeysPerSecond : 0
  const byBytes = maxBytesPerSecond > 0 ? (1000 * bytes) / maxBytesPerSecond : 0
  const paced = maxKeysPerSecond > 0 || maxBytesPerSecond > 0
  const durationMs = paced ? Math.max(byKeys, byBytes) : undefined
  const parts = {
    moves: costs.perMove * segments,
    keys: (costs.perMillionKeys * keys) / 1e6,
    bytes: (costs.perGibibyte * bytes) / 2 ** 30,
    time: (costs.perHour * (durationMs ?? 0)) / HOUR_MS,
    churn: objective.churn * (expected.loadMoved || 0),
  }
  const cost = parts.moves + parts.keys + parts.bytes + parts.time + parts.churn
  // J's own net gain has the churn paid already.
  const gain = expected.netGain + parts.churn
  return {
    segments,
    keys,
    bytes,
    durationMs,
    heldMs: maxHoldMs * segments,
    costs: parts,
    cost,
    gain,
    net: gain - cost,
    paidBackAfter: gain > 0 ? cost / gain : Number.POSITIVE_INFINITY,
  }
}

/** The bill in a sentence. */
export function billText(bill: Bill): string {
  const { segments, keys, bytes, durationMs, gain, cost, net, paidBackAfter } = bill
  const time = durationMs === undefined ? '' : `, ${Math.ceil(durationMs / 1000)} s`
  const back = Number.isFinite(paidBackAfter)
    ? `, paid back after ${Math.round(100 * paidBackAfter)} % of the horizon`
    : ''
  return `brings ${j(gain)}, costs ${j(cost)} (${segments} segments, ${Math.round(keys)} keys, ${Math.round(bytes)} bytes${time}): ${j(net)} of J are left${back}`
}

function j(value: number): string {
  return String(Number(value.toFixed(4)))
}
