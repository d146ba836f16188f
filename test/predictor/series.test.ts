import { describe, expect, test } from 'vitest'
import { Series } from '../../src/predictor/series'

const never = () => Number.POSITIVE_INFINITY

function counted(series: Series, timestamp: number, slot: number, load = 1) {
  const when = series.seek(timestamp, never)
  if (when === 'counted') series.add(slot, load)
  return when
}

const row = (series: Series, interval: number) => Array.from(series.rows(interval, interval + 1)[0] ?? [])

describe('the series', () => {
  test('counts an access in its interval', () => {
    const series = new Series(10, 4)
    const slot = series.newSlot()
    counted(series, 5, slot)
    counted(series, 12, slot, 3)
    counted(series, 19, slot)
    expect(row(series, 0)).toEqual([1])
    expect(row(series, 1)).toEqual([4])
  })

  test('counts a late access where it belongs as long as the ring reaches back, and refuses an older one', () => {
    const series = new Series(10, 4)
    const slot = series.newSlot()
    counted(series, 35, slot)
    expect(counted(series, 2, slot)).toBe('counted')
    expect(row(series, 0)).toEqual([1])
    counted(series, 45, slot)
    expect(counted(series, 9, slot)).toBe('too old')
    expect(series.oldest).toBe(1)
  })

  test('refuses what lies in the future', () => {
    const series = new Series(10, 4)
    expect(series.seek(100, () => 99)).toBe('in the future')
    expect(series.seek(99, () => 99)).toBe('counted')
  })

  test('does not lose its history to one bad timestamp, but believes three', () => {
    const series = new Series(10, 4)
    const slot = series.newSlot()
    counted(series, 5, slot)
    expect(counted(series, 100_000, slot)).toBe('in the future')
    expect(row(series, 0)).toEqual([1])
    expect(counted(series, 100_001, slot)).toBe('in the future')
    expect(counted(series, 100_002, slot)).toBe('counted')
    expect(series.newest).toBe(10_000)
  })

  test('forgets intervals that fall out of the ring', () => {
    const series = new Series(10, 3)
    const slot = series.newSlot()
    for (let t = 0; t < 10; t++) counted(series, t * 10, slot, t + 1)
    expect(series.rows(0, 10).filter(Boolean)).toHaveLength(3)
    expect(row(series, 9)).toEqual([10])
    expect(row(series, 6)).toEqual([])
  })

  test('an interval that was skipped is silence, not the one that its place in the ring held before', () => {
    const series = new Series(10, 4)
    const slot = series.newSlot()
    for (let t = 0; t < 4; t++) counted(series, t * 10, slot, 9)
    counted(series, 60, slot)
    expect(series.rows(3, 7).map((each) => each?.[slot] ?? 0)).toEqual([9, 0, 0, 1])
  })

  test('leaves rows that someone reads alone when the ring moves on', () => {
    const series = new Series(10, 2)
    const slot = series.newSlot()
    counted(series, 5, slot, 7)
    const [held] = series.rows(0, 1)
    counted(series, 15, slot)
    counted(series, 25, slot)
    expect(held?.[slot]).toBe(7)
  })

  test('a slot that is cleared is empty in every interval', () => {
    const series = new Series(10, 4)
    const [a, b] = [series.newSlot(), series.newSlot()]
    for (const t of [5, 15]) {
      counted(series, t, a)
      counted(series, t, b)
    }
    series.clear(a)
    expect([row(series, 0), row(series, 1)]).toEqual([
      [0, 1],
      [0, 1],
    ])
  })
})
