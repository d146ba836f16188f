import type { Observation } from './calibration'
import { CoAccessGraph } from './co-access'
import { type DraftInput, draftPlan } from './draft'
import { peakOf } from './objective'
import type { Pace } from './pace'
import type { Workload } from './workload'

/** What a rehearsal found out: how moves and whole plans of a past day would have turned out. */
export interface Rehearsed {
  readonly moves: readonly Observation[]
  readonly plan: Observation | undefined
}

/**
 * Plans as if it were `back` horizons ago, with nothing that is known since, and looks at what then came. So confidence rests on
 * outcomes from the first recommendation on. Load only: who was accessed with whom at that time is not kept.
 */
export async function rehearse(input: DraftInput, back: number, pace: Pace): Promise<Rehearsed> {
  const { workload, horizon, shardOf, weights, objective } = input
  const seen = workload.intervals - back * horizon
  const past = cut(workload, seen)
  const draft = await draftPlan(
    {
      ...input,
      workload: past,
      seasons: input.seasons.filter((season) => seen >= 2 * season),
      graph: new CoAccessGraph([], 0, shardOf, weights.length),
      // Everything that would be recommended is of interest, not only what is believed in.
      probabilityOf: () => 1,
      planProbabilityOf: () => 1,
    },
    pace,
  )
  const { drafted, judgement } = draft
  if (judgement === undefined || drafted.length === 0) return { moves: [], plan: undefined }
  const proposals = draft.moves.length > 0 ? draft.moves : drafted
  const n = weights.length
  const actual = (item: number, h: number) => workload.loads[item * workload.intervals + seen + h]!
  const loads = Array.from({ length: horizon }, () => new Float64Array(n))
  let total = 0
  for (let item = 0; item < workload.segments.length; item++)
    for (let h = 0; h < horizon; h++) {
      loads[h]![shardOf[item]!]! += actual(item, h)
      total += actual(item, h)
    }
  if (total === 0) return { moves: [], plan: undefined }
  const vectors = proposals.map(({ items }) =>
    Float64Array.from({ length: horizon }, (_, h) => items.reduce((sum, item) => sum + actual(item, h), 0)),
  )
  const shift = (k: number, sign: 1 | -1) => {
    const { from, to } = proposals[k]!
    for (let h = 0; h < horizon; h++) {
      loads[h]![from]! -= sign * vectors[k]![h]!
      loads[h]![to]! += sign * vectors[k]![h]!
    }
  }
  const imbalance = () => loads.reduce((sum, row) => sum + peakOf(row, weights), 0) / horizon
  const price = (k: number) => {
    const { from, to } = proposals[k]!
    return from === to ? 0 : (objective.churn * vectors[k]!.reduce((sum, load) => sum + load, 0)) / total
  }
  const before = imbalance()
  const alone = proposals.map((_, k) => {
    shift(k, 1)
    const gain = objective.imbalance * (before - imbalance()) - price(k)
    shift(k, -1)
    return gain
  })
  await pace.rest()
  for (const k of proposals.keys()) shift(k, 1)
  const after = imbalance()
  const last = proposals.map((_, k) => {
    shift(k, -1)
    const gain = objective.imbalance * (imbalance() - after) - price(k)
    shift(k, 1)
    return gain
  })
  const whole = objective.imbalance * (before - after) - proposals.reduce((sum, _, k) => sum + price(k), 0)
  return {
    moves: proposals.flatMap(({ raw }, k) => [alone[k]!, last[k]!].map((gain) => ({ raw, held: gain > 0 }))),
    plan: { raw: judgement.whole.probability, held: whole > 0 },
  }
}

/** The workload as it was after its first `seen` intervals. */
function cut(workload: Workload, seen: number): Workload {
  const items = workload.segments.length
  const loads = new Float32Array(items * seen)
  const sums = new Float64Array(items)
  for (let item = 0; item < items; item++) {
    const from = item * workload.intervals
    const row = workload.loads.subarray(from, from + seen)
    loads.set(row, item * seen)
    for (const load of row) sums[item]! += load
  }
  return { ...workload, loads, sums, intervals: seen }
}
