import { ErrorCode, ForeshardError, invalid } from '../../errors'
import { checkMap, type Placement } from '../../placement/assignment'
import type { SegmentId, ShardAssignmentMap } from '../../placement/segment'
import type { MoveBudget, Objective } from '../../predictor/prediction'
import type { AccessLogEntry } from '../../tracking/access-log'
import type { PastInterval } from '../replay/interval'

/**
 * A way to place data that a log can be replayed against. Between two decisions it is told of every entry; at a
 * decision it knows the past only. What it answers holds from the next interval on.
 */
export interface PlacementPolicy {
  /** Its name in the report; unique in a simulation. */
  readonly name: string
  /** Called for every entry that was used, interval by interval, in the order of the log within one. */
  observe?(entry: AccessLogEntry): void
  decide(step: PolicyStep): PolicyDecision | Promise<PolicyDecision>
}

/** The shortest policy: a function of the step. It is reported under its own name. */
export type PolicyFunction = PlacementPolicy['decide']

export interface PolicyStep {
  /** Where everything lives now. */
  readonly placement: Placement
  /** End of the last interval that is over, ms since the epoch. */
  readonly now: number
  readonly intervalMs: number
  /** Time over which a move has to pay off. */
  readonly horizonMs: number
  readonly objective: Objective
  readonly budget: MoveBudget
  /** The intervals of the last horizon that saw accesses, the newest last. */
  readonly past: readonly PastInterval[]
}

/** The segments that should move, and where to; or these and the tags to fold back; or nothing. */
export type PolicyDecision =
  | ShardAssignmentMap
  | { readonly shardAssignmentMap: ShardAssignmentMap; readonly merges?: readonly SegmentId[] }
  | undefined
  | null
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing decides nothing
  | void

export interface CheckedDecision {
  readonly map: ShardAssignmentMap
  readonly merges: readonly SegmentId[]
}

const NOTHING: CheckedDecision = { map: new Map(), merges: [] }

/** Asks a policy, and refuses an answer that names what is not there. */
export async function decisionOf(policy: PlacementPolicy, step: PolicyStep): Promise<CheckedDecision> {
  const field = `policies.${policy.name}`
  let answer: PolicyDecision
  try {
    answer = await policy.decide(step)
  } catch (cause) {
    throw threw(policy, cause)
  }
  if (answer === undefined || answer === null) return NOTHING
  const map = answer instanceof Map ? answer : (answer as { shardAssignmentMap: unknown }).shardAssignmentMap
  if (!(map instanceof Map))
    throw invalid(field, 'must return a Map from segment to shard, or { shardAssignmentMap, merges? }')
  const shards = new Set(step.placement.shards)
  checkMap(map, step.placement.buckets, (shard) => shards.has(shard), field)
  const merges = answer instanceof Map ? [] : ((answer as { merges?: unknown }).merges ?? [])
  if (!Array.isArray(merges)) throw invalid(`${field}.merges`, 'must be an array of tag segments')
  for (const segment of merges)
    if (typeof segment !== 'string' || !/^\{[\s\S]+\}$/.test(segment))
      throw new ForeshardError(
        ErrorCode.UNKNOWN_SEGMENT,
        `${field}.merges: ${String(segment).slice(0, 80)} is not a tag`,
        { field: `${field}.merges` },
      )
  return { map, merges }
}

/** What a policy threw, as an error that says whose it is; a coded one keeps its code. */
export function threw(policy: PlacementPolicy, cause: unknown): ForeshardError {
  const code = cause instanceof ForeshardError ? cause.code : ErrorCode.INVALID_ARGUMENT
  const message = cause instanceof Error ? cause.message : String(cause)
  return new ForeshardError(code, `policies.${policy.name}: threw "${message.slice(0, 200)}"`, {
    field: `policies.${policy.name}`,
    cause,
  })
}
