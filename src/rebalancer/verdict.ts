import type { NoiseFloor, PolicyReport } from './report'

/** A difference smaller than this share of J is none, however sure it is. */
const NEGLIGIBLE = 0.005
const FEWEST_BLOCKS = 6

/**
 * One sentence on whether prediction pays, from paired differences of J between policies. Neighbouring intervals are
 * alike, so the error of a mean is estimated over blocks of a horizon (method of batch means), and a difference
 * counts as one from two standard errors on.
 */
export function verdictOf(
  policies: Readonly<Record<string, PolicyReport>>,
  floor: NoiseFloor,
  horizon: number,
): string {
  const { hash, reactive, predictive, clairvoyant } = policies
  const any = predictive ?? reactive ?? hash ?? clairvoyant ?? Object.values(policies)[0]
  if (!any || any.intervals.length === 0) return 'The log has no usable entry, so there is nothing to say.'
  const least = floorSentence(floor)
  if (!predictive || !(reactive ?? hash)) {
    const all = Object.values(policies).sort((a, b) => a.J - b.J)
    if (all.length === 1) return `${all[0]!.name} costs J ${show(all[0]!.J)}. ${least}`
    return `${all[0]!.name} costs least: ${all.map((it) => `${it.name} J ${show(it.J)}`).join(', ')}. ${least}`
  }
  const rival = reactive ?? hash!
  const { mean, error } = difference(predictive, rival, horizon)
  const rivals = `J ${show(predictive.J)} against ${show(rival.J)} for ${rival.name}${
    hash && hash !== rival ? ` and ${show(hash.J)} for hash` : ''
  }`
  const size = `${show(Math.abs(mean))} ± ${show(2 * error)} an interval`
  const certain = Math.abs(mean) > 2 * error && Math.abs(mean) > NEGLIGIBLE * rival.J
  if (!Number.isFinite(error))
    return `The log is too short to tell whether prediction helps: ${rivals} over ${any.intervals.length} intervals. ${least}`
  if (!certain)
    return `Prediction makes no difference here that stands out from chance: ${rivals} (${size}). ${least}`
  if (mean > 0) return `Prediction does not help here: ${rivals} (worse by ${size}). ${least}`
  const possible = clairvoyant ? rival.J - clairvoyant.J : 0
  const share =
    possible > NEGLIGIBLE * rival.J
      ? `, ${Math.min(999, Math.round((100 * (rival.J - predictive.J)) / possible))} % of what the same mover gains by knowing the future`
      : ''
  return `Prediction helps here: ${rivals} (better by ${size})${share}. ${least}`
}

function floorSentence({ imbalance, hottestTag }: NoiseFloor): string {
  return hottestTag > imbalance
    ? `The hottest tag alone keeps imbalance at ${show(hottestTag)} at least; moving cannot help that.`
    : `Chance alone would keep imbalance at about ${show(imbalance)}, with every rate known.`
}

/** Mean of a's J − b's J over intervals, and its standard error; infinite where there are too few blocks. */
function difference(a: PolicyReport, b: PolicyReport, horizon: number): { mean: number; error: number } {
  const n = a.intervals.length
  const size = Math.max(1, Math.min(horizon, Math.floor(n / FEWEST_BLOCKS)))
  const blocks = Math.floor(n / size)
  const means = new Array<number>(blocks).fill(0)
  let mean = 0
  for (let i = 0; i < n; i++) {
    const gap = a.intervals[i]!.J - b.intervals[i]!.J
    mean += gap / n
    // What is left over at the end belongs to the last block.
    const block = Math.min(blocks - 1, Math.floor(i / size))
    means[block]! += gap / (block === blocks - 1 ? n - size * (blocks - 1) : size)
  }
  if (blocks < FEWEST_BLOCKS) return { mean, error: Number.POSITIVE_INFINITY }
  const variance = means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (blocks - 1)
  return { mean, error: Math.sqrt(variance / blocks) }
}

function show(value: number): string {
  return value.toFixed(3)
}
