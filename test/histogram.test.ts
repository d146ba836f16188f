import { describe, expect, it } from 'vitest'
import { Histogram } from '../src/histogram'

describe('a histogram', () => {
  it('counts a value in the first range whose bound it does not exceed, the rest above all bounds', () => {
    const histogram = new Histogram([1, 10])
    for (const value of [0, 1, 1.5, 10, 11, 1e9]) histogram.record(value)
    expect([...histogram.counts]).toEqual([2, 2, 2])
    expect(histogram.count).toBe(6)
  })

  it('takes nothing that is no number, and a negative time, of a clock set back, as none', () => {
    const histogram = new Histogram([1, 10])
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -5]) histogram.record(value)
    expect([...histogram.counts]).toEqual([1, 0, 0])
    expect(histogram.sum).toBe(0)
  })

  it('tells the quantiles of what came since an earlier reading', () => {
    const histogram = new Histogram([10, 20, 40])
    for (let i = 0; i < 100; i++) histogram.record(5)
    const earlier = histogram.copy()
    for (let i = 0; i < 10; i++) histogram.record(15)
    const window = histogram.since(earlier)
    expect(window.count).toBe(10)
    expect(window.sum).toBe(150)
    expect(window.quantile(0.5)).toBe(15)
    expect(new Histogram([1]).quantile(0.5)).toBeUndefined()
  })
})
