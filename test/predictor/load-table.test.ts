import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { LoadTable } from '../../src/predictor/load-table'
import { imbalanceOf } from '../../src/predictor/objective'

/** Random loads of items on shards over intervals, and the table of them. */
function example(noise: number, weights = [1, 1, 1, 1]) {
  const random = seededRandom(11)
  const horizon = 6
  const items = 24
  const loads = Float64Array.from({ length: items * horizon }, () => Math.floor(random() * 20))
  const shardOf = Int32Array.from({ length: items }, () => Math.floor(random() * weights.length))
  const totals = new Float64Array(horizon)
  for (let k = 0; k < loads.length; k++) totals[k % horizon]! += loads[k]!
  const table = new LoadTable(totals, weights, new Float64Array(horizon).fill(noise))
  for (let item = 0; item < items; item++) table.put(shardOf[item]!, loads, item * horizon, 1)
  table.settle()
  const rows = Array.from({ length: horizon }, (_, t) => {
    const row = new Float64Array(weights.length)
    for (let item = 0; item < items; item++) row[shardOf[item]!]! += loads[item * horizon + t]!
    return row
  })
  const vectorOf = (item: number) => loads.subarray(item * horizon, (item + 1) * horizon)
  return { table, loads, shardOf, rows, horizon, items, vectorOf }
}

describe('the load table', () => {
  test('has the imbalance of the objective as its peak', () => {
    const { table, rows } = example(0.1)
    expect(table.peak()).toBeCloseTo(imbalanceOf(rows), 10)
  })

  test('judges shards by their capacity', () => {
    const { table, rows } = example(0.1, [1, 2, 1, 4])
    expect(table.peak()).toBeCloseTo(imbalanceOf(rows, [1, 2, 1, 4]), 10)
  })

  test('comes to the maximum itself as the noise goes to nothing', () => {
    const { table } = example(0)
    expect(table.value()).toBeCloseTo(table.peak(), 2)
  })

  test.each([0, 0.01, 0.2])('knows the gain of a move without making it, at noise %d', (noise) => {
    const { table, loads, shardOf, horizon, items, vectorOf } = example(noise)
    for (let item = 0; item < items; item++) {
      const from = shardOf[item]!
      const to = (from + 1 + (item % 3)) % 4
      const before = table.value()
      const gain = table.gain(from, to, vectorOf(item))
      table.put(from, loads, item * horizon, -1)
      table.put(to, loads, item * horizon, 1)
      table.settle()
      expect(before - table.value()).toBeCloseTo(gain, 8)
      shardOf[item] = to
    }
  })

  test('prices load as the gradient of its value', () => {
    const { table, shardOf, horizon } = example(0.1)
    const price = new Float64Array(horizon)
    table.price(shardOf[0]!, price)
    const before = table.value()
    const bit = new Float64Array(horizon)
    bit[2] = 1e-4
    table.put(shardOf[0]!, bit, 0, 1)
    table.settle()
    expect((table.value() - before) / 1e-4).toBeCloseTo(price[2]!, 5)
  })
})
