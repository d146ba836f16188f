import { FleetSpread } from './fleet-spread'

/** Page-Hinkley on standardised residuals: a shift of one deviation is found in about 27, a false alarm comes in 200,000. */
const SLACK = 0.25
const LIMIT = 20
const FALSE_ALARMS = 1 / 200_000
/** One residual counts for so many deviations at most: a spike is no drift. */
const CLIP = 5
const WIDEST = 20

export interface Drift {
  /** Segments whose detector went off in this interval, and of how many. */
  readonly alarms: number
  readonly segments: number
  /** More alarms than this are no coincidence. */
  readonly threshold: number
  /** Whether all of them together lie further from their forecasts than usual, by so many deviations. */
  readonly shifted: boolean
  readonly excess: number
}

/**
 * Decides whether the fleet has drifted away from its forecasts. One two-sided Page-Hinkley test (Page 1954) a segment, fed with
 * (actual − forecast) / error scale; but a hundred thousand of them cry wolf every other interval, so that it is their
 * number that decides: above what chance explains (mean + 6 deviations, and at least `fewest`). A shift that is sudden and wide shows in
 * the spread of the fleet first.
 */
export class DriftDetector {
  up = new Float64Array(0)
  down = new Float64Array(0)
  /** Intervals watched so far. */
  watched = 0
  readonly spread = new FleetSpread()

  /** `residuals`: one a segment, NaN where there is none. Rows keep their meaning from call to call. */
  observe(residuals: ArrayLike<number>): Drift {
    const n = residuals.length
    if (this.up.length !== n) {
      this.up = new Float64Array(n)
      this.down = new Float64Array(n)
    }
    this.watched++
    let alarms = 0
    let segments = 0
    let squares = 0
    const most = mostOf(n)
    for (let i = 0; i < n; i++) {
      const given = residuals[i]!
      if (!Number.isFinite(given)) continue
      segments++
      const z = Math.max(-CLIP, Math.min(CLIP, given))
      squares += Math.min(given * given, most)
      this.up[i] = Math.max(0, this.up[i]! + z - SLACK)
      this.down[i] = Math.max(0, this.down[i]! - z - SLACK)
      if (this.up[i]! <= LIMIT && this.down[i]! <= LIMIT) continue
      alarms++
      this.up[i] = this.down[i] = 0
    }
    const excess = segments > 0 ? this.spread.observe(squares / segments, segments) : 0
    const shifted = segments > 0 && this.spread.shifted
    return { alarms, segments, threshold: thresholdOf(segments), shifted, excess }
  }
}

/** What the square of one residual counts for in the spread at most: one segment moves it by a few tenths of its usual size. */
function mostOf(segments: number): number {
  return Math.min(WIDEST ** 2, Math.max(CLIP ** 2, 0.3 * segments))
}

function thresholdOf(segments: number): number {
  const expected = segments * FALSE_ALARMS
  const fewest = Math.min(2, segments * 0.25)
  return Math.max(fewest, expected + 6 * Math.sqrt(expected))
}
