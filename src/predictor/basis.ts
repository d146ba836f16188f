import type { PlannerInput } from './layout'
import type { Outlook } from './outlook'
import type { Workload } from './workload'

/** What a plan goes by. */
export const FAMILIES = ['reactive', 'horizons', 'horizon', 'forecast'] as const
export type Family = (typeof FAMILIES)[number]

/** Past horizons that make up the longer of the two memories. */
const HORIZONS = 3

/** The loads that a plan is made for. */
export type Basis = Pick<PlannerInput, 'loads' | 'columns' | 'stride' | 'offset'> & {
  readonly family: Family
}

/**
 * What is planned on: the last horizon as it was, which is what a mover that only reacts goes by ('reactive' are that mover's moves
 * alone, 'horizon' is a whole plan that begins with them); the last few, which overfit one day's
 * chance less; and the forecast. Past horizons keep whatever their loads had to do with each other, known to a model or not.
 */
export function basesOf(
  { loads, intervals }: Pick<Workload, 'loads' | 'intervals'>,
  outlook: Outlook,
): Basis[] {
  const { mean, horizon } = outlook
  const past = (family: Family, columns: number): Basis => ({
    family,
    loads,
    columns,
    stride: intervals,
    offset: intervals - columns,
  })
  return [
    past('reactive', Math.min(intervals, horizon)),
    past('horizons', Math.min(intervals, HORIZONS * horizon)),
    past('horizon', Math.min(intervals, horizon)),
    { family: 'forecast', loads: mean, columns: horizon, stride: horizon, offset: 0 },
  ]
}
