import type { Family } from './basis'
import type { Candidate } from './candidate'
import type { TrackRecord } from './track-record'

/** Gains in J that differ by less are alike. */
const ALIKE = 0.0005

/** The family that is followed as long as no trial tells them apart: the last horizon, and what a mover that only reacts would do there. */
const FIRST: Family = 'horizon'

/**
 * The plan of the family that has gained most lately; among those alike, the one that moves least, but the mover alone only where it has
 * gained more than all others. While nothing is known of any, the last horizon speaks. Undefined where the best of them has lost: then nothing is worth moving, unless it is `due`.
 */
export function chosen(
  candidates: readonly Candidate[],
  record: TrackRecord,
  now: number,
  horizon: number,
  due = false,
): Candidate | undefined {
  const regrets = record.regrets(now, horizon)
  if (regrets === undefined) return untried(candidates)
  const best = Math.min(...candidates.map(({ family }) => regrets.get(family)!))
  if (best > regrets.get('none')! + ALIKE && !due) return undefined
  const alike = candidates.filter(({ family }) => regrets.get(family)! <= best + ALIKE)
  const planned = alike.filter(({ family }) => family !== 'reactive')
  return (planned.length > 0 ? planned : alike).reduce((a, b) => (b.moves.length < a.moves.length ? b : a))
}

/** The plan to follow where no record tells. */
export function untried(candidates: readonly Candidate[]): Candidate | undefined {
  return candidates.find(({ family }) => family === FIRST)
}
