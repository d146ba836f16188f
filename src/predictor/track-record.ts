import type { Family } from './basis'

/** Predictions that are remembered. */
const MEMORY = 64
/** Half-life of what a prediction counts, in horizons. */
const HALF_LIFE = 3
/** J that a family can lag behind in one trial at most. */
const MOST_REGRET = 0.02

/** What each family's plan would have gained in J over one past horizon, nothing known that came later. */
export interface Trial {
  /** Number of the horizon's first interval. */
  readonly start: number
  readonly gains: Readonly<Partial<Record<Family, number>>>
}

/**
 * Which way of planning has been worth most lately: follow the leader over discounted gains (Cesa-Bianchi and Lugosi 2006), all measured
 * from the same placements over the same horizons. So forecasting costs nothing where it does not help.
 */
export class TrackRecord {
  readonly #trials: Trial[] = []

  get trials(): readonly Trial[] {
    return this.#trials
  }

  add(trial: Trial): void {
    this.#trials.push(trial)
    this.#trials.sort((a, b) => a.start - b.start)
    if (this.#trials.length > MEMORY) this.#trials.shift()
  }

  /**
   * Discounted mean of what each family lagged behind the best of its trial, as of interval `now`: of horizons that were over by then.
   * Undefined before the first one. A single trial counts for little, however far apart its gains: the first plan of all moves most.
   */
  regrets(now: number, horizon: number): ReadonlyMap<Family | 'none', number> | undefined {
    const sums = new Map<Family | 'none', number>()
    let weight = 0
    for (const { start, gains } of this.#trials) {
      if (start + horizon > now) continue
      const w = 2 ** (-(now - start) / (horizon * HALF_LIFE))
      weight += w
      const all = [...Object.entries(gains), ['none', 0]] as [Family | 'none', number][]
      const best = Math.max(...all.map(([, gain]) => gain))
      for (const [family, gain] of all)
        sums.set(family, (sums.get(family) ?? 0) + w * Math.min(MOST_REGRET, best - gain))
    }
    if (weight === 0) return undefined
    for (const [family, sum] of sums) sums.set(family, sum / weight)
    return sums
  }
}
