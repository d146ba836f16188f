/** A probability that was given, and whether what it was given to came true. */
export interface Scored {
  readonly score: number
  readonly held: boolean
}

export interface Reliability {
  readonly count: number
  /** Share that came true. */
  readonly base: number
  /** Expected calibration error over ten bins of equal width (Naeini, Cooper and Hauskrecht 2015). */
  readonly ece: number
  /** Mean squared error of the scores (Brier 1950), and that of the constant `base`, known in hindsight. */
  readonly brier: number
  readonly constant: number
  readonly bins: readonly { count: number; score: number; held: number }[]
}

export function reliabilityOf(scored: readonly Scored[]): Reliability {
  const count = scored.length
  const bins = Array.from({ length: 10 }, () => ({ count: 0, score: 0, held: 0 }))
  let brier = 0
  for (const { score, held } of scored) {
    const bin = bins[Math.min(9, Math.floor(score * 10))]!
    bin.count++
    bin.score += score
    bin.held += held ? 1 : 0
    brier += (score - (held ? 1 : 0)) ** 2 / count
  }
  const base = bins.reduce((sum, bin) => sum + bin.held, 0) / count
  const ece = bins.reduce((sum, bin) => sum + Math.abs(bin.score - bin.held), 0) / count
  for (const bin of bins) {
    bin.score /= Math.max(1, bin.count)
    bin.held /= Math.max(1, bin.count)
  }
  return { count, base, ece, brier, constant: base * (1 - base), bins }
}
