import type { Candidate } from './candidate'
import type { TrackRecord } from './track-record'

/** Gains in J that differ by less are alike. */
const ALIKE = 0.0005

/**
 * The plan of the family that has gained most lately; among those alike, the one that moves least. While nothing is known of any, the
 * first one is taken. Undefined where the best of them has lost: then nothing is worth moving, unless it is `due`.
 */
export function chosen(
  candidates: readonly Candidate[],
  record: TrackRecord,
  now: number,
  horizon: number,
  due = false,
): Candidate | undefined {
  const regrets = record.regrets(now, horizon)
  if (regrets === undefined) return candidates[0]
  const best = Math.min(...candidates.map(({ family }) => regrets.get(family)!))
  if (best > regrets.get('none')! + ALIKE && !due) return undefined
  return candidates
    .filter(({ family }) => regrets.get(family)! <= best + ALIKE)
    .reduce((a, b) => (b.moves.length < a.moves.length ? b : a))
}
