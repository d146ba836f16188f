/** Outcomes that are remembered. */
const MEMORY = 2_000
/** Weight of the belief that scores are right as they are, in outcomes, spread over the whole range. */
const PRIOR = 30
const GRID = 15

export interface Observation {
  /** The score as it was drawn, before calibration. */
  readonly raw: number
  /** Whether J was lower with the move than without. */
  readonly held: boolean
}

/**
 * Turns raw scores into probabilities that hold: isotonic regression (pool adjacent violators; Zadrozny and Elkan 2002) of outcome on
 * score. Until outcomes come in, a score stands for itself; they outweigh that belief bit by bit.
 */
export class Calibration {
  readonly #observations: Observation[] = []
  #next = 0
  #steps: { from: number; value: number }[] | undefined

  /** Oldest first. */
  get observations(): readonly Observation[] {
    const all = this.#observations
    return all.length < MEMORY ? all : [...all.slice(this.#next), ...all.slice(0, this.#next)]
  }

  observe(observation: Observation): void {
    if (this.#observations.length < MEMORY) this.#observations.push(observation)
    else this.#observations[this.#next] = observation
    this.#next = (this.#next + 1) % MEMORY
    this.#steps = undefined
  }

  /** The probability behind a raw score; grows with it. */
  of(raw: number): number {
    this.#steps ??= this.#fit()
    const steps = this.#steps
    let right = steps.findIndex((step) => step.from > raw)
    if (right < 0) right = steps.length
    if (right === 0) return steps[0]!.value
    if (right === steps.length) return steps[right - 1]!.value
    const a = steps[right - 1]!
    const b = steps[right]!
    return a.value + ((raw - a.from) / (b.from - a.from)) * (b.value - a.value)
  }

  #fit(): { from: number; value: number }[] {
    const points = this.#observations.map(({ raw, held }) => ({ raw, value: held ? 1 : 0, weight: 1 }))
    for (let k = 0; k < GRID; k++) {
      const raw = (k + 0.5) / GRID
      points.push({ raw, value: raw, weight: PRIOR / GRID })
    }
    points.sort((a, b) => a.raw - b.raw)
    const pools: { raw: number; value: number; weight: number }[] = []
    for (const point of points) {
      let pool = { ...point }
      for (;;) {
        const last = pools[pools.length - 1]
        if (last === undefined || (last.value < pool.value && last.raw < pool.raw)) break
        pools.pop()
        const weight = last.weight + pool.weight
        pool = {
          raw: (last.raw * last.weight + pool.raw * pool.weight) / weight,
          value: (last.value * last.weight + pool.value * pool.weight) / weight,
          weight,
        }
      }
      pools.push(pool)
    }
    return pools.map(({ raw, value }) => ({ from: raw, value }))
  }
}
