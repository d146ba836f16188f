import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { DriftDetector } from '../../src/predictor/drift'

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Intervals after which the fleet is found to have drifted; undefined if it is not within `intervals`. */
function found(segments: number, intervals: number, shift: (segment: number, interval: number) => number) {
  const detector = new DriftDetector()
  const random = seededRandom(9)
  for (let t = 0; t < intervals; t++) {
    const drift = detector.observe(
      Float64Array.from({ length: segments }, (_, k) => normal(random) + shift(k, t)),
    )
    if (drift.alarms > drift.threshold) return t + 1
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
})
