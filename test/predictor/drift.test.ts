import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { DriftDetector } from '../../src/predictor/drift'
import { normal, poisson } from '../workloads'

/** Intervals after which the fleet is found to have drifted; undefined if it is not within `intervals`. */
function found(segments: number, intervals: number, shift: (segment: number, interval: number) => number) {
  const detector = new DriftDetector()
  const random = seededRandom(9)
  for (let t = 0; t < intervals; t++) {
    const drift = detector.observe(
      Float64Array.from({ length: segments }, (_, k) => normal(random) + shift(k, t)),
    )
    if (drift.alarms > drift.threshold || drift.shifted) return t + 1
  }
  return undefined
}

describe('the drift detector', () => {
  test('is silent over a fleet that does what was forecast', () => {
    expect(found(300, 400, () => 0)).toBeUndefined()
  })

  test('finds a fleet that has shifted by a deviation', () => {
    const after = found(300, 100, () => 1)
    expect(after).toBeDefined()
    expect(after!).toBeLessThan(40)
  })

  test('finds a shift downwards as well', () => {
    expect(found(300, 100, () => -1)).toBeLessThan(40)
  })

  test('is not moved by one segment that goes mad', () => {
    expect(found(300, 200, (segment) => (segment === 0 ? 100 : 0))).toBeUndefined()
  })

  test('is not moved by one interval that goes mad', () => {
    expect(found(300, 100, (_, interval) => (interval === 50 ? 100 : 0))).toBeUndefined()
  })

  test('skips segments of which nothing is known', () => {
    const drift = new DriftDetector().observe([Number.NaN, 1, Number.POSITIVE_INFINITY])
    expect(drift.segments).toBe(1)
  })

  test('of a hundred thousand segments, cries wolf less than once a week', () => {
    const detector = new DriftDetector()
    const residuals = new Float32Array(100_000)
    // A pool of normal deviates, read from another place each hour: drawing 17 million anew takes seconds.
    const random = seededRandom(21)
    const pool = Float32Array.from({ length: 1_000_003 }, () => normal(random))
    let alarms = 0
    for (let hour = 0, at = 0; hour < 168; hour++) {
      // Forecasts are off by a tenth more by night than by day.
      const scale = 1 + 0.05 * Math.cos((2 * Math.PI * hour) / 24)
      for (let k = 0; k < residuals.length; k++, at = (at + 1) % pool.length) residuals[k] = scale * pool[at]!
      at = Math.floor(random() * pool.length)
      const drift = detector.observe(residuals)
      if (drift.shifted || drift.alarms > drift.threshold) alarms++
    }
    expect(alarms).toBeLessThanOrEqual(1)
  })

  test.each([
    ['half of the segments lose half of theirs to the others', 2_000, 4, (k: number) => (k % 2 ? 0.5 : 1.5)],
    ['all lose a quarter to a few', 2_000, 4, (k: number) => (k < 20 ? 0.75 + 25 : 0.75)],
    ['a small fleet', 100, 20, (k: number) => (k % 2 ? 0.5 : 1.5)],
  ])('finds a shift of a quarter of the load within three intervals: %s', (_, segments, rate, factor) => {
    const random = seededRandom(4)
    const detector = new DriftDetector()
    const SHIFT = 60
    let found: number | undefined
    for (let t = 0; t < SHIFT + 3; t++) {
      const residuals = Float32Array.from({ length: segments }, (_, k) => {
        const actual = poisson(rate * (t < SHIFT ? 1 : factor(k)), random)
        return (actual - rate) / Math.sqrt(rate)
      })
      const drift = detector.observe(residuals)
      if (drift.shifted || drift.alarms > drift.threshold) found ??= t
    }
    expect(found).toBeGreaterThanOrEqual(SHIFT)
    expect(found).toBeLessThan(SHIFT + 3)
  })
})
