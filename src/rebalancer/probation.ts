/** What one interval has cost with a resharding and without it, on the same accesses. */
export interface Tested {
  readonly before: number
  readonly after: number
  /** Standard deviation of after − before that chance alone explains. */
  readonly noise: number
}

export interface ProbationRules {
  /** Intervals that must all have been seen before anything is undone, and over which it must still be worse. */
  readonly patience: number
  /** Intervals of the horizon that the resharding was planned for. */
  readonly horizon: number
  /** J that going back must save on the average of these intervals, its own cost paid. */
  readonly minGain: number
}

export interface Verdict {
  /** early: too little has been seen. worse: undo it. open: nothing speaks for that so far. kept: it has stood its time. */
  readonly kind: 'early' | 'worse' | 'open' | 'kept'
  /** Mean of after − before over the last `patience` intervals, and half of its interval. */
  readonly loss: number
  readonly interval: number
  /** A sentence with the numbers. */
  readonly reason: string
}

/** Quantiles of Student's t at 0.99 by degrees of freedom, from 1; the normal one from 30 on. */
const T = [31.82, 6.96, 4.54, 3.75, 3.36, 3.14, 3, 2.9, 2.82, 2.76, 2.72, 2.68, 2.65, 2.62, 2.6]
const NORMAL = 2.33

/**
 * Whether a resharding is to be undone. Compared is what came with what the placement before it would have made of the same
 * accesses: a rise of J that it did not cause shows on both sides. It has to be worse by more than chance explains, now and over the
 * whole time; and while its horizon is not over, by so much that the rest of it would not make up for it if it went as
 * expected: a placement may be made for a peak that is yet to come.
 *
 * @param tested one an interval since the resharding, oldest first.
 * @param expectedGain what J was expected to fall by, mean over the horizon.
 * @param price of going back, in J over a horizon.
 */
export function judge(
  tested: readonly Tested[],
  expectedGain: number,
  price: number,
  rules: ProbationRules,
): Verdict {
  const { patience, horizon, minGain } = rules
  const seen = tested.filter((it) => [it.before, it.after, it.noise].every(Number.isFinite)).slice(0, horizon)
  const { mean: loss, half: interval } = differenceOf(seen.slice(-patience))
  const verdict = (kind: Verdict['kind'], reason: string): Verdict => ({ kind, loss, interval, reason })
  if (seen.length < patience)
    return verdict('early', `${seen.length} of ${patience} intervals have been seen since`)
  const whole = differenceOf(seen)
  const threshold = minGain + Math.max(0, price)
  const numbers = `J is higher by ${show(loss)} ± ${show(interval)} than it would have been without it, over the last ${patience} intervals`
  const left = horizon - seen.length
  if (loss - interval > threshold && whole.mean - whole.half > threshold) {
    const owed = Math.max(0, expectedGain) * left
    const lost = seen.length * (whole.mean - whole.half)
    if (lost > owed) return verdict('worse', numbers)
    return verdict('open', `${numbers}; the ${left} intervals left may still make up for it`)
  }
  return left > 0
    ? verdict('open', `J is higher by ${show(loss)} ± ${show(interval)}: no reason to go back`)
    : verdict('kept', `it has stood its ${horizon} intervals`)
}

/** Mean of after − before, and half of its one-sided interval: by how much it varies, and by what counting alone explains. */
function differenceOf(tested: readonly Tested[]): { mean: number; half: number } {
  const n = tested.length
  if (n === 0) return { mean: 0, half: Number.POSITIVE_INFINITY }
  const mean = tested.reduce((sum, { before, after }) => sum + after - before, 0) / n
  const squares = tested.reduce((sum, { before, after }) => sum + (after - before - mean) ** 2, 0)
  const varied =
    n > 1 ? (T[n - 2] ?? NORMAL + 3 / n) * Math.sqrt(squares / (n - 1) / n) : Number.POSITIVE_INFINITY
  const counted = (NORMAL * Math.sqrt(tested.reduce((sum, { noise }) => sum + noise * noise, 0))) / n
  return { mean, half: Math.max(varied, counted) }
}

function show(value: number): string {
  return value.toFixed(4)
}
