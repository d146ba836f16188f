import type { Observation } from './calibration'
import { chosen } from './choice'
import type { CoAccessGraph } from './co-access'
import { type DraftInput, draftPlans } from './draft'
import type { Pace } from './pace'
import { type Realised, realise } from './realised'
import type { TrackRecord, Trial } from './track-record'
import { oldest } from './workload'

/** What a rehearsal found out: what each family's plan of a past day would have gained, and how the moves of the chosen one turned out. */
export interface Rehearsed {
  readonly trial: Trial
  readonly moves: readonly Observation[]
  readonly plan: Observation | undefined
}

/** The co-access graph of what was known before an interval, and of what was accessed together from then until another one. */
export type TiesAt = (
  before: number,
  until: number,
) => Promise<{ known: CoAccessGraph; recurrence: number; came: CoAccessGraph }>

/**
 * Plans as if it were `back` horizons ago, with nothing that is known since, and looks at what then came. So choice and confidence rest
 * on outcomes from the first recommendation on.
 */
export async function rehearse(
  input: DraftInput,
  back: number,
  record: TrackRecord,
  tiesAt: TiesAt,
  pace: Pace,
): Promise<Rehearsed> {
  const { workload, horizon, shardOf, weights, objective, seasons } = input
  const seen = workload.intervals - back * horizon
  const start = workload.first + seen
  const { known, recurrence, came } = await tiesAt(start, start + horizon)
  const draft = await draftPlans(
    {
      ...input,
      workload: await oldest(workload, seen, pace),
      seasons: seasons.filter((season) => seen >= 2 * season),
      graph: known,
      recurrence,
    },
    pace,
  )
  const column = (item: number, h: number) => workload.loads[item * workload.intervals + seen + h]!
  const loads = Array.from({ length: horizon }, () => new Float64Array(weights.length))
  for (let item = 0; item < workload.segments.length; item++)
    for (let h = 0; h < horizon; h++) loads[h]![shardOf[item]!]! += column(item, h)
  const actual = { loads, weights, graph: came, objective }
  const outcomes = new Map<string, Realised>()
  for (const { family, moves } of draft.candidates) {
    const made = moves.map((move) => ({
      ...move,
      vector: Float64Array.from({ length: horizon }, (_, h) =>
        move.items.reduce((sum, item) => sum + column(item, h), 0),
      ),
    }))
    outcomes.set(family, realise(actual, made))
    await pace.rest()
  }
  const gains = Object.fromEntries(
    draft.candidates.map(({ family }) => [family, outcomes.get(family)!.whole]),
  )
  const choice = chosen(draft.candidates, record, start, horizon)
  const trial = { start, gains }
  if (choice?.judgement === undefined) return { trial, moves: [], plan: undefined }
  const { alone, last, whole } = outcomes.get(choice.family)!
  return {
    trial,
    moves: choice.moves.flatMap(({ raw }, k) =>
      [alone[k]!, last[k]!].map((gain) => ({ raw, held: gain > 0 })),
    ),
    plan: { raw: choice.judgement.whole.probability, held: whole > 0 },
  }
}
