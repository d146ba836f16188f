import type { Random } from '../clock'
import type { Basis, Family } from './basis'
import type { CoAccessGraph } from './co-access'
import type { FutureLoads, PlanJudgement, Proposal } from './future-loads'
import type { PlannerInput } from './layout'
import { Mover } from './mover'
import type { Pace } from './pace'
import { Planner } from './planner'
import type { Objective } from './prediction'
import type { Workload } from './workload'

/** Moves that seem to harm are taken out, and the rest judged again, so many times at most. */
const ROUNDS = 3

export interface DraftMove extends Proposal {
  readonly item: number
  /** Share of the multi-key transactions that it uncrosses, as far as ties are expected to recur. */
  readonly uncrossed: number
  readonly loadShare: number
  /** How often it helped in the scenarios, not calibrated: between alone and as the last of the plan. */
  raw: number
}

/** A plan of one family, and what it is worth over the scenarios that all are judged by. */
export interface Candidate {
  readonly family: Family
  readonly moves: readonly DraftMove[]
  /** Of `moves`; undefined where there are none. */
  readonly judgement: PlanJudgement | undefined
}

export interface CandidateInput {
  readonly workload: Workload
  readonly shardOf: Int32Array
  readonly weights: readonly number[]
  readonly graph: CoAccessGraph
  readonly recurrence: number
  readonly objective: Objective
  readonly limits: Pick<
    PlannerInput,
    'open' | 'draining' | 'fixed' | 'tolerance' | 'maxMoves' | 'maxLoadShare' | 'maxBytes'
  >
  readonly random: Random
}

/** Plans on a basis, and takes out again what would not have paid in the scenarios; but not what the mover would have done `first`. */
export async function candidateOf(
  input: CandidateInput,
  basis: Basis,
  future: FutureLoads,
  pace: Pace,
  first: readonly DraftMove[] = [],
): Promise<Candidate> {
  const { objective, random } = input
  let moves = await draw(input, basis, future, pace, first)
  if (moves.length === 0) return { family: basis.family, moves, judgement: undefined }
  let judgement = await future.judge(moves, objective, random, pace)
  // Scenarios know too little of a new regime to overrule what was measured.
  const settled = new Set((basis.family === 'reactive' ? moves : first).map(({ item }) => item))
  for (let round = 0; round < ROUNDS; round++) {
    const kept = worthwhile(input, moves, judgement, settled)
    if (kept.length === moves.length) break
    if (kept.length === 0) return { family: basis.family, moves: kept, judgement: undefined }
    // One at a time they may seem useless where together they are not: then they stay.
    const rest = await future.judge(kept, objective, random, pace)
    if (rest.whole.gain < judgement.whole.gain) break
    moves = kept
    judgement = rest
  }
  return { family: basis.family, moves, judgement }
}

/** The moves that have to be made, or without which the plan would be worse. */
function worthwhile(
  { workload, limits, shardOf }: CandidateInput,
  moves: readonly DraftMove[],
  judgement: PlanJudgement,
  settled: ReadonlySet<number>,
): DraftMove[] {
  const kept = moves.filter(
    (move, k) =>
      limits.draining[shardOf[move.item]!] === 1 ||
      judgement.last[k]!.gain > 0 ||
      settled.has(move.item) ||
      move.from === move.to,
  )
  const leaving = new Set(kept.filter(({ from, to }) => from !== to).map(({ item }) => item))
  // A tag is named for staying only where its bucket leaves.
  return kept.filter(({ item, from, to }) => from !== to || leaving.has(workload.parent[item]!))
}

async function draw(
  { workload, shardOf, weights, graph, recurrence, objective, limits }: CandidateInput,
  basis: Basis,
  future: FutureLoads,
  pace: Pace,
  first: readonly DraftMove[],
): Promise<DraftMove[]> {
  const noise = future.noise()
  const { columns } = basis
  const planner = new (basis.family === 'reactive' ? Mover : Planner)({
    ...limits,
    ...basis,
    items: workload.segments.length,
    parent: workload.parent,
    standing: workload.standing,
    shardOf,
    weights,
    bytes: workload.bytes,
    graph,
    recurrence,
    objective,
    // The newest column lies a step before the horizon begins.
    noise: Float64Array.from({ length: columns }, (_, t) => noise.at((t - columns) % noise.length)!),
  })
  for (const { item, to } of first) planner.layout.carryOut([item], to)
  const planned = await planner.plan(pace)
  const { layout } = planner
  const moves = planned.map(({ item, from, to }): DraftMove => {
    const items = layout.companions(item)
    const loadShare = from === to ? 0 : layout.shareOf(item)
    // The graph has all moves in place: what this one is worth is what taking it back would cost.
    const uncrossed = graph.total > 0 ? (-recurrence * graph.uncrossed(items, from)) / graph.total : 0
    return {
      item,
      items,
      from,
      to,
      loadShare,
      uncrossed,
      fixedGain: objective.crossing * uncrossed - objective.churn * loadShare,
      deviation: objective.crossing * Math.sqrt(Math.abs(uncrossed) / Math.max(50, graph.total)),
      raw: 0,
    }
  })
  if (!graph.empty)
    layout.assignment.forEach((shard, item) => {
      if (shard !== shardOf[item]) graph.move(item, shardOf[item]!)
    })
  return moves
}
