/** Intervals before the statistic is trusted, and over which its usual size is learnt. */
const WARM_UP = 8
const MEMORY = 48
/** Deviations from the usual that are no coincidence, if they are met so many times in a row. */
export const SHIFT_LIMIT = 6
const IN_A_ROW = 2
/** What the usual size may vary by without a shift, beside chance: forecasts are a little better at noon than at night. */
const WOBBLE = 0.05

export interface FleetSpreadState {
  seen: number
  mean: number
  variance: number
  beyond: number
}

/**
 * How far a fleet lies from its forecasts altogether: the mean of the squared residuals. Many segments that each left by too little to
 * be noticed alone are noticed at once, since the mean of n of them varies by √(3/n) only. Compared with its own usual size, as error scales are
 * never quite right (a Shewhart chart of the dispersion, with estimated limits).
 */
export class FleetSpread {
  state: FleetSpreadState = { seen: 0, mean: 1, variance: 0, beyond: 0 }

  /** Takes the mean square of `segments` residuals in; how many deviations it lies above the usual, 0 until that is known. */
  observe(square: number, segments: number): number {
    const { state } = this
    const chance = Math.sqrt(3 / segments) + WOBBLE
    const deviation = Math.sqrt(state.variance + (chance * state.mean) ** 2)
    const excess = state.seen < WARM_UP ? 0 : (square - state.mean) / deviation
    if (excess > SHIFT_LIMIT) {
      state.beyond++
      // What has lasted is the new usual: it is told once.
      if (state.beyond > IN_A_ROW) this.state = { seen: 0, mean: square, variance: 0, beyond: 0 }
      return excess
    }
    state.beyond = 0
    const share = 1 / Math.min(MEMORY, ++state.seen)
    const off = square - state.mean
    state.mean += share * off
    state.variance = (1 - share) * (state.variance + (state.seen > 1 ? share * off * off : 0))
    return excess
  }

  /** Whether the newest interval was the first of its kind: the next one tells whether it was chance. */
  get suspicious(): boolean {
    return this.state.beyond > 0 && this.state.beyond < IN_A_ROW
  }

  /** Whether the newest interval confirmed the one before it. */
  get shifted(): boolean {
    return this.state.beyond === IN_A_ROW
  }
}
