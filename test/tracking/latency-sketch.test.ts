import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LatencySketch } from '../../src/tracking/latency-sketch'
import { LatencyWatch } from '../../src/tracking/latency-watch'

const durations = fc.array(fc.double({ min: 0.01, max: 100_000, noNaN: true }), {
  minLength: 1,
  maxLength: 300,
})

describe('a latency sketch', () => {
  it('gives every quantile within two per cent of a duration that it was told', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
        const sketch = new LatencySketch()
        for (const ms of all) sketch.add(ms)
        const exact = [...all].sort((a, b) => a - b)[Math.floor(share * (all.length - 1))]!
        expect(Math.abs(sketch.quantile(share) - exact)).toBeLessThanOrEqual(0.0201 * exact)
      }),
      { seed: 1 },
    )
  })

  it('merged with another is the sketch of both', () => {
    fc.assert(
      fc.property(durations, durations, (a, b) => {
        const of = (all: readonly number[]) => {
          const sketch = new LatencySketch()
          for (const ms of all) sketch.add(ms)
          return sketch
        }
        const merged = of(a)
        merged.merge(of(b))
        const both = of([...a, ...b])
        expect(merged.count).toBe(both.count)
        for (const share of [0, 0.5, 0.9, 0.99, 1]) expect(merged.quantile(share)).toBe(both.quantile(share))
      }),
      { seed: 2 },
    )
  })
})

describe('the watch over latencies', () => {
  it('knows the last minute, and what came since it was asked', () => {
    const watch = new LatencyWatch()
    watch.add(100, 0)
    watch.add(1, 55_000)
    expect(watch.recent(55_000).count).toBe(2)
    expect(watch.recent(61_000).count).toBe(1)
    expect(watch.recent(500_000).count).toBe(0)
    expect(watch.take().count).toBe(2)
    expect(watch.take()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0 })
  })
})
