import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { CoAccessGraph } from '../../src/predictor/co-access'

const over = (...items: number[]) => ({ items: Int32Array.from(items), weight: 1 })

describe('the co-access graph', () => {
  test('knows what share of the transactions a placement cuts', () => {
    const graph = new CoAccessGraph([over(0, 1), over(1, 2), over(2, 3)], 4, Int32Array.of(0, 0, 1, 1), 2)
    expect(graph.crossing()).toBe(1 / 4)
    expect(graph.crossing(Int32Array.of(0, 1, 0, 1))).toBe(3 / 4)
  })

  test('affinity is what would be uncrossed by moving there', () => {
    const graph = new CoAccessGraph([over(0, 1), over(0, 2), over(0, 2)], 3, Int32Array.of(0, 0, 1), 2)
    expect(graph.affinity(0, 1) - graph.affinity(0, 0)).toBeCloseTo(graph.uncrossed([0], 1))
    expect(graph.uncrossed([0], 1)).toBe(1)
    expect(graph.strongest(0)).toBe(1)
  })

  test('ties each pair of n by 1 / (n − 1)', () => {
    const graph = new CoAccessGraph([over(0, 1, 2), over(0, 1)], 2, Int32Array.of(0, 1, 1), 2)
    expect(graph.neighbours(0)).toEqual([
      { item: 1, weight: 1.5 },
      { item: 2, weight: 0.5 },
    ])
  })

  test('more than sixty items say nothing about any two of them, but are scored', () => {
    const many = over(...Array.from({ length: 61 }, (_, k) => k))
    const shardOf = new Int32Array(61)
    shardOf[60] = 1
    const graph = new CoAccessGraph([many], 1, shardOf, 2)
    expect(graph.neighbours(0)).toEqual([])
    expect(graph.affinity(60, 0)).toBe(0)
    expect(graph.crossing()).toBe(1)
  })

  test('affinities kept up to date under moves are those of a graph made anew', () => {
    const random = seededRandom(3)
    const pick = (n: number) => Math.floor(random() * n)
    const transactions = Array.from({ length: 60 }, () => over(...new Set([pick(12), pick(12), pick(12)])))
    const proper = transactions.filter(({ items }) => items.length > 1)
    const shardOf = Int32Array.from({ length: 12 }, () => pick(3))
    const graph = new CoAccessGraph(proper, 60, shardOf, 3)
    for (let k = 0; k < 40; k++) {
      const item = pick(12)
      shardOf[item] = pick(3)
      graph.move(item, shardOf[item]!)
    }
    const anew = new CoAccessGraph(proper, 60, shardOf, 3)
    for (let item = 0; item < 12; item++)
      for (let shard = 0; shard < 3; shard++)
        expect(graph.affinity(item, shard)).toBeCloseTo(anew.affinity(item, shard), 4)
    expect(graph.crossing()).toBeCloseTo(anew.crossing())
  })
})
