import type { Outlook } from './outlook'
import type { Workload } from './workload'

/** Past horizons that may come again as they were. */
const REPEATED = 3
/** How likely it is that one of the forecast's futures comes rather than a repetition: with errors of its own past, and with guessed ones. */
const MEASURED = 0.5
const GUESSED = 0.25

/** Ways in which the horizon may go, each drawn for all items at once: what rises together stays together. */
export interface Scenarios {
  readonly horizon: number
  readonly count: number
  /** So many of them, the first ones, are a forecast and its errors. */
  readonly drawn: number
  /** How likely each is; adds up to 1. */
  readonly chances: readonly number[]
  /** Writes an item's loads in scenario s, `horizon` numbers, to `out`. */
  loads(s: number, item: number, out: Float64Array): void
}

/** The futures of an outlook, and the last horizons as they were. */
export function scenariosOf(
  { futures, horizon, future }: Outlook,
  { loads, intervals }: Pick<Workload, 'loads' | 'intervals'>,
): Scenarios {
  const repeated = Math.min(REPEATED, Math.max(1, Math.floor(intervals / horizon)))
  const believed = intervals < 2 * horizon ? GUESSED : MEASURED
  return {
    horizon,
    count: futures + repeated,
    drawn: futures,
    chances: Array.from({ length: futures + repeated }, (_, s) =>
      s < futures ? believed / futures : (1 - believed) / repeated,
    ),
    loads: (s, item, out) => {
      if (s < futures) {
        future(s, item, out)
        return
      }
      const from = intervals - (s - futures + 1) * horizon
      // A history shorter than a horizon says nothing about the steps before it.
      for (let h = 0; h < horizon; h++) out[h] = from + h < 0 ? 0 : loads[item * intervals + from + h]!
    },
  }
}
