import { type Drift, DriftDetector } from './drift'
import type { Outlook } from './outlook'
import type { Recorder } from './recorder'
import type { Workload } from './workload'

/** What was expected of each slot of the series, from interval `start` on. */
export interface Expectation {
  readonly start: number
  readonly horizon: number
  /** slot · horizon + step; NaN where nothing was expected. */
  readonly mean: Float32Array
  readonly scale: Float32Array
  /** Steps that have been compared already. */
  done: number
}

/** Slots with less load than this an interval are too faint to say anything. */
const FAINT = 0.5

/** The interval in which 95 of 100 loads should lie, in standard deviations. */
const WIDTH = 1.959964

/** How forecasts came true since this predictor was made, over segments and intervals. */
export interface ForecastScore {
  readonly compared: number
  /** Those inside their interval of 95 %. */
  readonly covered: number
  /** Sums of |actual − forecast|, of actual loads and of forecast ones. */
  readonly absoluteError: number
  readonly load: number
  readonly expected: number
  /** Intervals in which the fleet was found to have drifted, and the newest reading. */
  readonly drifts: number
  readonly alarms: number
  readonly excess: number
}

/** Holds forecasts against what came, as intervals are completed, and tells when the fleet has drifted. */
export class DriftWatch {
  readonly detector = new DriftDetector()
  expectation: Expectation | undefined
  readonly score: { -readonly [K in keyof ForecastScore]: ForecastScore[K] } = {
    compared: 0,
    covered: 0,
    absoluteError: 0,
    load: 0,
    expected: 0,
    drifts: 0,
    alarms: 0,
    excess: 0,
  }

  expect(recorder: Recorder, workload: Workload, outlook: Outlook, start: number): void {
    // What is under suspicion is not replaced: the next interval has to be held against the same forecast.
    if (this.detector.spread.suspicious && start < this.#end) return
    const { horizon } = outlook
    const slots = recorder.series.slots
    const mean = new Float32Array(slots * horizon).fill(Number.NaN)
    const scale = new Float32Array(slots * horizon)
    const parents = new Set(workload.parent)
    workload.segments.forEach((_, item) => {
      // Tags and the buckets they live in overlap in the series: buckets without such tags have to do.
      if (workload.parent[item]! >= 0 || parents.has(item)) return
      const slot = recorder.slotOf[workload.bucketOf[item]!]!
      if (slot < 0) return
      mean.set(outlook.mean.subarray(item * horizon, (item + 1) * horizon), slot * horizon)
      scale.set(outlook.scale.subarray(item * horizon, (item + 1) * horizon), slot * horizon)
    })
    this.expectation = { start, horizon, mean, scale, done: 0 }
  }

  /** The interval after the last one that anything was expected of. */
  get #end(): number {
    return this.expectation === undefined ? 0 : this.expectation.start + this.expectation.horizon
  }

  /** Compares the intervals completed before `now`; the drift that was found in them, if any. */
  settle(recorder: Recorder, now: number): Drift | undefined {
    const expectation = this.expectation
    if (expectation === undefined) return undefined
    const { start, horizon, mean, scale } = expectation
    let found: Drift | undefined
    const slots = mean.length / horizon
    const residuals = new Float32Array(slots)
    for (; expectation.done < horizon && start + expectation.done < now; expectation.done++) {
      const step = expectation.done
      const interval = start + step
      if (interval < recorder.series.oldest || interval > recorder.series.newest) continue
      const [row] = recorder.series.rows(interval, interval + 1)
      for (let slot = 0; slot < slots; slot++) {
        const expected = mean[slot * horizon + step]!
        const unit = scale[slot * horizon + step]!
        residuals[slot] = Number.NaN
        if (!(expected >= FAINT && unit > 0)) continue
        const actual = row?.[slot] ?? 0
        residuals[slot] = (actual - expected) / unit
        this.#count(actual, expected, unit)
      }
      const drift = this.detector.observe(residuals)
      this.score.alarms = drift.alarms
      this.score.excess = drift.excess
      if (drift.shifted || drift.alarms > drift.threshold) this.score.drifts++
      if (drift.shifted || (drift.alarms > drift.threshold && !found?.shifted)) found = drift
    }
    return found
  }

  #count(actual: number, expected: number, unit: number): void {
    const { score } = this
    score.compared++
    if (Math.abs(actual - expected) <= WIDTH * unit) score.covered++
    score.absoluteError += Math.abs(actual - expected)
    score.load += actual
    score.expected += expected
  }
}
