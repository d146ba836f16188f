import { describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { lookAhead, seasonsOf } from '../../src/predictor/outlook'
import { Pace } from '../../src/predictor/pace'
import { daily, HOUR, poisson } from './generated-log'

const ITEMS = 40

/** Counts of items by hour, and the outlook on the next day. */
async function ahead(hours: number, rate: (item: number, hour: number) => number, horizon = 24) {
  const random = seededRandom(6)
  const loads = new Float32Array(ITEMS * hours)
  const sums = new Float64Array(ITEMS)
  for (let item = 0; item < ITEMS; item++)
    for (let t = 0; t < hours; t++) {
      const count = poisson(rate(item, t), random)
      loads[item * hours + t] = count
      sums[item]! += count
    }
  const outlook = await lookAhead(
    { loads, sums, items: ITEMS, intervals: hours, first: 0 },
    horizon,
    seasonsOf(HOUR, hours),
    async (period) => ({
      profiles: [new Float64Array(period).fill(1)],
      of: new Int32Array(ITEMS),
    }),
    new Pace(new ManualClock()),
  )
  const error = (item: number) => {
    let sum = 0
    for (let h = 0; h < horizon; h++)
      sum += Math.abs(outlook.mean[item * horizon + h]! - rate(item, hours + h)) / rate(item, hours + h)
    return sum / horizon
  }
  return { outlook, error }
}

describe('the outlook', () => {
  test('follows the seasons where the load has them', async () => {
    const { outlook, error } = await ahead(24 * 14, (item, hour) => 40 * daily(hour, item % 24))
    expect(outlook.seasonal).toBe(1)
    for (const item of [0, 7, 20]) expect(error(item)).toBeLessThan(0.3)
  })

  test('goes by the recent level where it has none: what a rebalancer that only reacts would go by', async () => {
    const random = seededRandom(2)
    const level = Array.from({ length: ITEMS * 30 }, () => 5 + 60 * random())
    const { outlook } = await ahead(24 * 14, (item, hour) => level[item * 30 + Math.floor(hour / 13)]!)
    expect(outlook.seasonal).toBeLessThan(1)
    for (let k = 0; k < outlook.mean.length; k++) expect(outlook.mean[k]!).toBeLessThan(80)
  })

  test.each([0, 1, 5, 30, 70])('can do with %d intervals of history', async (hours) => {
    const { outlook } = await ahead(hours, () => 10)
    expect(outlook.futures).toBeGreaterThan(2)
    expect(outlook.mean.every(Number.isFinite)).toBe(true)
    const future = new Float64Array(24)
    outlook.future(outlook.futures - 1, 3, future)
    expect(future.every((load) => load >= 0 && Number.isFinite(load))).toBe(true)
    if (hours >= 5) expect(outlook.mean[0]!).toBeGreaterThan(5)
  })

  test('draws futures in which what rises together stays together', async () => {
    // On some days all items carry twice as much: the futures must know days like that for all of them or for none.
    const { outlook } = await ahead(24 * 14, (_, hour) => (Math.floor(hour / 24) % 3 === 0 ? 80 : 40))
    const sums = Array.from({ length: outlook.futures }, (_, f) => {
      let total = 0
      const out = new Float64Array(24)
      for (let item = 0; item < ITEMS; item++) {
        outlook.future(f, item, out)
        total += out.reduce((sum, load) => sum + load, 0)
      }
      return total
    })
    expect(Math.max(...sums) / Math.min(...sums)).toBeGreaterThan(1.25)
  })

  test('knows days and weeks only where the interval divides them and the history shows two', () => {
    expect(seasonsOf(HOUR, 400)).toEqual([24, 168])
    expect(seasonsOf(HOUR, 100)).toEqual([24])
    expect(seasonsOf(HOUR, 40)).toEqual([])
    expect(seasonsOf(7 * 60_000 + 1, 5_000)).toEqual([])
    expect(seasonsOf(24 * HOUR, 400)).toEqual([])
  })
})
