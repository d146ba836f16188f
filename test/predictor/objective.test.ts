import { describe, expect, test } from 'vitest'
import { crosses, evaluate, imbalanceOf, loadOf, peakOf } from '../../src/predictor/objective'

describe('the objective J', () => {
  test('is the mean over intervals of the hottest shard over the mean shard', () => {
    expect(
      imbalanceOf([
        [3, 1],
        [2, 2],
      ]),
    ).toBeCloseTo((1.5 + 1) / 2)
  })

  test('counts a shard without load in the mean', () => {
    expect(peakOf([4, 0, 0, 0])).toBe(4)
  })

  test('leaves out intervals without load, and is 1 where there is none at all', () => {
    expect(
      imbalanceOf([
        [0, 0],
        [3, 1],
      ]),
    ).toBe(1.5)
    expect(imbalanceOf([[0, 0]])).toBe(1)
    expect(imbalanceOf([])).toBe(1)
  })

  test('judges a shard by its capacity', () => {
    expect(peakOf([2, 1], [2, 1])).toBeCloseTo(1)
    expect(peakOf([1, 1], [2, 1])).toBeCloseTo(1.5)
  })

  test('adds the crossing transactions and the price of what moved', () => {
    const value = evaluate({
      loads: [
        [6, 2],
        [4, 4],
      ],
      transactions: { multiKey: 10, crossing: 4 },
      loadMoved: 8,
    })
    expect(value.imbalance).toBeCloseTo(1.25)
    expect(value.crossing).toBeCloseTo(0.4)
    expect(value.churn).toBeCloseTo(0.5)
    expect(value.j).toBeCloseTo(1.25 + 0.4 + 0.25 * 0.5)
  })

  test('weighs its parts as told', () => {
    const j = evaluate({
      loads: [[3, 1]],
      transactions: { multiKey: 2, crossing: 1 },
      loadMoved: 1,
      objective: { imbalance: 2, crossing: 0, churn: 1 },
    }).j
    expect(j).toBeCloseTo(3 + 0.25)
  })

  test('refuses a weight that is no weight, by its name', () => {
    expect(() => evaluate({ loads: [], objective: { churn: Number.NaN } })).toThrow(/objective\.churn/)
    expect(() => evaluate({ loads: [], objective: { crossing: -1 } })).toThrow(/objective\.crossing/)
  })

  test('a write weighs what it is told to', () => {
    expect(loadOf('read', 3, 5)).toBe(3)
    expect(loadOf('write', 3, 5)).toBe(15)
  })

  test('what is accessed together crosses as soon as two lie apart', () => {
    const shardOf = (key: string) => key[0]
    expect(crosses(['a1', 'a2'], shardOf)).toBe(false)
    expect(crosses(['a1', 'b1', 'a2'], shardOf)).toBe(true)
    expect(crosses([], shardOf)).toBe(false)
  })
})
