import type { Random } from '../clock'
import type { CoAccessGraph } from './co-access'
import type { PooledProfiles } from './forecast/bank'
import { FutureLoads, type PlanJudgement, type Proposal } from './future-loads'
import { lookAhead, type Outlook } from './outlook'
import type { Pace } from './pace'
import { Planner, type PlannerInput } from './planner'
import type { Objective } from './prediction'
import type { Workload } from './workload'

/** Moves that seem to harm are taken out, and the rest judged again, so many times at most. */
const ROUNDS = 2
/** What is less likely than this to help is not done. */
export const LEAST_PROBABILITY = 0.5
/** A plan this likely to help is not picked to pieces. */
const TRUSTED_PLAN = 0.9

export interface DraftMove extends Proposal {
  readonly item: number
  /** Share of the multi-key transactions that it uncrosses, as far as ties are expected to recur. */
  readonly uncrossed: number
  readonly loadShare: number
  /** How often it helped in the futures, not calibrated: between alone and as the last of the plan. */
  raw: number
}

export interface Draft {
  readonly outlook: Outlook
  readonly future: FutureLoads
  /** All moves that the planner found. */
  readonly drafted: readonly DraftMove[]
  /** Those that are worth it. */
  readonly moves: readonly DraftMove[]
  /** Of `moves`, or of all that was drafted where none is worth it. */
  readonly judgement: PlanJudgement | undefined
}

export interface DraftInput {
  readonly workload: Workload
  readonly seasons: readonly number[]
  readonly profilesOf: (period: number) => Promise<PooledProfiles>
  readonly horizon: number
  readonly shardOf: Int32Array
  readonly weights: readonly number[]
  readonly graph: CoAccessGraph
  readonly recurrence: number
  readonly objective: Objective
  readonly limits: Pick<
    PlannerInput,
    'open' | 'draining' | 'fixed' | 'tolerance' | 'maxMoves' | 'maxLoadShare' | 'maxBytes'
  >
  /** The probability behind a raw score, by what came of earlier ones. */
  readonly probabilityOf: (raw: number) => number
  /** The same for whole plans. */
  readonly planProbabilityOf: (raw: number) => number
  readonly random: Random
}

/** Outlook, plan, judgement: everything between a workload and a recommendation. */
export async function draftPlan(input: DraftInput, pace: Pace): Promise<Draft> {
  const { workload, shardOf, weights, graph, recurrence, objective, horizon, limits } = input
  const items = workload.segments.length
  const outlook = await lookAhead({ ...workload, items }, horizon, input.seasons, input.profilesOf, pace)
  const future = await FutureLoads.of(outlook, shardOf, weights, pace)
  const planner = new Planner({
    ...limits,
    items,
    horizon,
    loads: outlook.mean,
    parent: workload.parent,
    standing: workload.standing,
    shardOf,
    weights,
    bytes: workload.bytes,
    keys: workload.keys,
    graph,
    recurrence,
    objective,
    noise: future.noise(),
  })
  await planner.plan(pace)
  const drafted = planner.moves().map(({ item, from, to }): DraftMove => {
    const together = planner.companions(item)
    const loadShare = from === to ? 0 : planner.shareOf(item)
    // The graph has all moves in place: what this one is worth is what taking it back would cost.
    const uncrossed = graph.total > 0 ? (-recurrence * graph.uncrossed(together, from)) / graph.total : 0
    return {
      item,
      items: together,
      from,
      to,
      loadShare,
      uncrossed,
      fixedGain: objective.crossing * uncrossed - objective.churn * loadShare,
      deviation: objective.crossing * Math.sqrt(Math.abs(uncrossed) / Math.max(50, graph.total)),
      raw: 0,
    }
  })
  if (drafted.length === 0) return { outlook, future, drafted, moves: [], judgement: undefined }
  const judge = async (moves: readonly DraftMove[]) => {
    const judgement = await future.judge(moves, objective, input.random, pace)
    moves.forEach((move, k) => {
      move.raw = (judgement.alone[k]!.probability + judgement.last[k]!.probability) / 2
    })
    return judgement
  }
  const due = (move: DraftMove) => limits.draining[shardOf[move.item]!] === 1
  let judgement = await judge(drafted)
  // What earlier recommendations came to weighs more than what this one promises, unless plans as sure as this have held as a whole:
  // of many small moves that even the load out together, each alone is a matter of chance.
  const trusted = input.planProbabilityOf(judgement.whole.probability) >= TRUSTED_PLAN
  let moves = drafted.filter(
    (move) => trusted || due(move) || input.probabilityOf(move.raw) >= LEAST_PROBABILITY,
  )
  if (moves.length > 0 && moves.length < drafted.length) judgement = await judge(moves)
  for (let round = 0; round < ROUNDS && moves.length > 0; round++) {
    const kept = moves.filter((move, k) => due(move) || judgement.last[k]!.gain > 0)
    if (kept.length === moves.length || kept.length === 0) break
    // One at a time they may seem useless where together they are not: then they stay.
    const without = await judge(kept)
    if (without.whole.gain < judgement.whole.gain) {
      judgement = await judge(moves)
      break
    }
    moves = kept
    judgement = without
  }
  if (!moves.some(due) && judgement.whole.gain <= 0) moves = []
  return { outlook, future, drafted, moves, judgement }
}
