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

/** Holds forecasts against what came, as intervals are completed, and tells when the fleet has drifted. */
export class DriftWatch {
  readonly detector = new DriftDetector()
  expectation: Expectation | undefined

  expect(recorder: Recorder, workload: Workload, outlook: Outlook, start: number): void {
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
        residuals[slot] = expected >= FAINT && unit > 0 ? ((row?.[slot] ?? 0) - expected) / unit : Number.NaN
      }
      const drift = this.detector.observe(residuals)
      if (drift.shifted || (drift.alarms > drift.threshold && !found?.shifted)) found = drift
    }
    return found
  }
}
