/** Outcomes that are remembered, and after how many newer ones an outcome counts half. */
const MEMORY = 2_000
const HALF_LIFE = 400
/** What is believed before outcomes come in, on the logistic scale: scores say something, but far less than they seem to. */
const LEVEL = { mean: 0.2, precision: 4 }
const SLOPE = { mean: 0.3, precision: 40 }
const STEPS = 12
/** A score beyond this is no surer than it. */
const EXTREME = 0.99

export interface Observation {
  /** The score as it was drawn, before calibration. */
  readonly raw: number
  /** Whether J was lower with the move than without. */
  readonly held: boolean
}

/**
 * Turns raw scores into probabilities that hold: logistic regression of outcome on score (Platt 1999), shrunk towards a flat line by a
 * normal prior, since outcomes of one plan are alike and say less than their number. Never 0 or 1; grows with the score.
 */
export class Calibration {
  readonly #observations: Observation[] = []
  #next = 0
  #line: { level: number; slope: number } | undefined

  /** Oldest first. */
  get observations(): readonly Observation[] {
    const all = this.#observations
    return all.length < MEMORY ? all : [...all.slice(this.#next), ...all.slice(0, this.#next)]
  }

  observe(observation: Observation): void {
    if (this.#observations.length < MEMORY) this.#observations.push(observation)
    else this.#observations[this.#next] = observation
    this.#next = (this.#next + 1) % MEMORY
    this.#line = undefined
  }

  /** The probability behind a raw score. */
  of(raw: number): number {
    this.#line ??= this.#fit()
    return logistic(this.#line.level + this.#line.slope * logit(raw))
  }

  /** Maximum a posteriori by Newton's method; a slope below 0 is taken for 0. */
  #fit(): { level: number; slope: number } {
    const points = this.observations.map(({ raw, held }, k, all) => ({
      x: logit(raw),
      y: held ? 1 : 0,
      weight: 2 ** ((k + 1 - all.length) / HALF_LIFE),
    }))
    let level = LEVEL.mean
    let slope = SLOPE.mean
    for (let step = 0; step < STEPS; step++) {
      let [g0, g1] = [LEVEL.precision * (LEVEL.mean - level), SLOPE.precision * (SLOPE.mean - slope)]
      let [h00, h01, h11] = [LEVEL.precision, 0, SLOPE.precision]
      for (const { x, y, weight } of points) {
        const p = logistic(level + slope * x)
        const curvature = weight * Math.max(1e-4, p * (1 - p))
        g0 += weight * (y - p)
        g1 += weight * (y - p) * x
        h00 += curvature
        h01 += curvature * x
        h11 += curvature * x * x
      }
      const determinant = h00 * h11 - h01 * h01
      level += (h11 * g0 - h01 * g1) / determinant
      slope = Math.max(0, slope + (h00 * g1 - h01 * g0) / determinant)
    }
    return { level, slope }
  }
}

function logit(raw: number): number {
  const p = Math.min(EXTREME, Math.max(1 - EXTREME, raw))
  return Math.log(p / (1 - p))
}

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
