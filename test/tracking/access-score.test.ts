import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { accessScore, Decay } from '../../src/tracking/access-score'
import { Tracker } from '../../src/tracking/tracker'

const HOUR = 3_600_000

describe('the access score', () => {
  it('halves with every half life', () => {
    const one = [{ timestamp: 0, operation: 'read' as const }]
    expect(accessScore(one, 0)).toBe(1)
    expect(accessScore(one, HOUR)).toBe(0.5)
    expect(accessScore(one, 3 * HOUR)).toBe(0.125)
    expect(accessScore(one, 10, { halfLifeMs: 10 })).toBe(0.5)
  })

  it('weighs writes by their weight, and leaves out what came later', () => {
    const log = [
      { timestamp: 0, operation: 'write' as const, count: 2 },
      { timestamp: HOUR, operation: 'read' as const },
      { timestamp: HOUR + 1, operation: 'read' as const },
    ]
    expect(accessScore(log, HOUR, { writeWeight: 3 })).toBe(2 * 3 * 0.5 + 1)
  })

  it('kept incrementally equals the closed form, over any spread of times, in order or not', () => {
    const random = seededRandom(7)
    for (const spread of [10, HOUR, 100 * HOUR, 3000 * HOUR]) {
      const tracker = new Tracker(4, { writeWeight: 2.5 })
      const log = Array.from({ length: 500 }, () => ({
        timestamp: 1.7e12 + Math.floor(random() * spread),
        operation: random() < 0.4 ? ('write' as const) : ('read' as const),
      }))
      if (spread > 1000 * HOUR) log.sort((a, b) => a.timestamp - b.timestamp)
      for (const { timestamp, operation } of log)
        tracker.record(timestamp, 'k', 3, undefined, operation === 'write', 0)
      const at = 1.7e12 + spread
      const exact = accessScore(log, at, { writeWeight: 2.5 })
      expect(tracker.ofBucket(3, at).accessScore / exact).toBeCloseTo(1, 9)
      expect(tracker.ofKey('k', at)!.accessScore / exact).toBeCloseTo(1, 9)
    }
  })

  it('outlives a thousand half lives without overflowing or forgetting to fade', () => {
    const tracker = new Tracker(1, { halfLifeMs: 1 })
    for (let i = 0; i <= 20; i++) tracker.record(i * 1000, 'k', 0, undefined, false, 0)
    expect(tracker.ofBucket(0, 20_000).accessScore).toBe(1)
    expect(tracker.ofBucket(0, 20_001).accessScore).toBe(0.5)
    expect(tracker.ofBucket(0, 1e9).accessScore).toBe(0)
  })

  it('refuses a half life that is not a positive time', () => {
    for (const halfLifeMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => accessScore([], 0, { halfLifeMs })).toThrow('options.halfLifeMs')
    expect(() => accessScore([], 0, { writeWeight: -1 })).toThrow('options.writeWeight')
  })

  it('tells everyone who keeps scores when the unit changes', () => {
    const decay = new Decay(1)
    const factors: number[] = []
    decay.onRescale((factor) => factors.push(factor))
    decay.worth(0)
    decay.worth(512)
    expect(factors).toEqual([])
    decay.worth(513)
    expect(factors).toEqual([2 ** -513])
    expect(decay.worth(513)).toBe(1)
  })
})
