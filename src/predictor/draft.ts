import { basesOf, type Family } from './basis'
import { type Candidate, type CandidateInput, candidateOf } from './candidate'
import type { PooledProfiles } from './forecast/bank'
import { FutureLoads } from './future-loads'
import { lookAhead, type Outlook } from './outlook'
import type { Pace } from './pace'
import { scenariosOf } from './scenarios'

/** What is less likely than this to help is not done. */
export const LEAST_PROBABILITY = 0.5

export interface DraftInput extends CandidateInput {
  readonly seasons: readonly number[]
  readonly profilesOf: (period: number) => Promise<PooledProfiles>
  readonly horizon: number
}

export interface Draft {
  readonly outlook: Outlook
  readonly future: FutureLoads
  /** A plan of each family. */
  readonly candidates: readonly Candidate[]
}

/** Everything between a workload and a choice: outlook, scenarios, and a plan of each family. */
export async function draftPlans(input: DraftInput, pace: Pace): Promise<Draft> {
  const { workload, shardOf, weights, horizon, seasons, profilesOf } = input
  const items = workload.segments.length
  const outlook = await lookAhead({ ...workload, items }, horizon, seasons, profilesOf, pace)
  const future = await FutureLoads.of(scenariosOf(outlook, workload), shardOf, weights, pace)
  const candidates: Candidate[] = []
  // The mover's moves of the last horizon are where the plan on that horizon begins: it only adds to them, or redirects them.
  const movesFirst = (family: Family) =>
    family === 'horizon' ? (candidates.find((it) => it.family === 'reactive')?.moves ?? []) : []
  const draining = input.limits.draining.includes(1)
  for (const basis of basesOf(workload, outlook)) {
    // The mover looks at the fullest shard; what has to be emptied is not its business.
    if (basis.family === 'reactive' && draining) continue
    const candidate = await candidateOf(input, basis, future, pace, movesFirst(basis.family))
    candidate.moves.forEach((move, k) => {
      const { alone, last } = candidate.judgement!
      move.raw = (alone[k]!.probability + last[k]!.probability) / 2
    })
    candidates.push(candidate)
  }
  return { outlook, future, candidates }
}
