import { describe, expect, test } from 'vitest'
import { Transactions } from '../../src/predictor/transactions'

const sampled = (transactions: Transactions) => [...transactions.sample()].map(({ tags }) => [...tags].sort())

describe('transactions', () => {
  test('are put together from entries that share an id, in any interleaving', () => {
    const transactions = new Transactions(8)
    transactions.add('t1', 1, 1, 0)
    transactions.add('t2', 7, 7, 0)
    transactions.add('t1', 2, 2, 0)
    transactions.add('t2', 8, 8, 0)
    transactions.add('t1', 1, 1, 0)
    expect(sampled(transactions)).toEqual([
      [1, 2],
      [7, 8],
    ])
  })

  test('over one key are not transactions over several', () => {
    const transactions = new Transactions(8)
    transactions.add('t', 1, 1, 0)
    transactions.add('t', 1, 1, 0)
    expect(sampled(transactions)).toEqual([])
  })

  test('over two keys of one tag count, for they never cross', () => {
    const transactions = new Transactions(8)
    transactions.add('t', 1, 10, 0)
    transactions.add('t', 1, 11, 0)
    expect([...transactions.sample()]).toMatchObject([{ tags: [1], keys: 2 }])
  })

  test('are finished when the window is full, oldest first, and never hold more', () => {
    const transactions = new Transactions(2)
    for (const id of ['a', 'b', 'c']) {
      transactions.add(id, 1, 1, 0)
      transactions.add(id, 2, 2, 0)
    }
    expect(transactions.open).toBe(2)
    expect(transactions.finished).toBe(1)
  })

  test('of endless length stay bounded', () => {
    const transactions = new Transactions(2)
    for (let k = 0; k < 10_000; k++) transactions.add('t', k, k, 0)
    expect([...transactions.sample()][0]!.tags).toHaveLength(61)
  })

  test('beyond the capacity are sampled, and those taken stand for the others', () => {
    const transactions = new Transactions(1, 200, 10)
    for (let interval = 0; interval < 30; interval++) {
      for (let k = 0; k < 400; k++) {
        transactions.add(`${interval}/${k}`, 1, 1, interval)
        transactions.add(`${interval}/${k}`, 2, 2, interval)
      }
      transactions.advance(1)
    }
    const sample = [...transactions.sample()]
    expect(sample.length).toBeLessThanOrEqual(201)
    expect(Math.max(...sample.map(({ weight }) => weight))).toBeGreaterThan(5)
    const oldest = Math.min(...sample.map(({ interval }) => interval))
    expect(oldest).toBeLessThan(23)
    expect(transactions.finished / 12_000).toBeGreaterThan(0.8)
    expect(transactions.finished / 12_000).toBeLessThan(1.2)
  })
})
