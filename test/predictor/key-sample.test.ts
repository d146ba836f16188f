import { describe, expect, test } from 'vitest'
import { KeySample } from '../../src/predictor/key-sample'

const access = (n: number, key = `k:${n}`) => ({ timestamp: n, key, operation: 'read' as const })

describe('a sample of keys', () => {
  test('holds everything as long as there is room', () => {
    const sample = new KeySample(10, 10)
    for (let n = 0; n < 10; n++) sample.add({ ...access(n), transactionId: `t${n % 2}` })
    expect(sample.accesses.members.map(({ key, weight }) => [key, weight])).toEqual(
      Array.from({ length: 10 }, (_, n) => [`k:${n}`, 1]),
    )
    expect(sample.transactions.members.map(({ id, keys }) => [id, keys.length])).toEqual([
      ['t0', 5],
      ['t1', 5],
    ])
  })

  test('never holds more than it may, and stands for all there was', () => {
    const sample = new KeySample(2_000, 1_000)
    for (let n = 0; n < 40_000; n++) sample.add({ ...access(n), transactionId: `t${n >> 2}` })
    expect(sample.accesses.size).toBeLessThanOrEqual(1_000)
    expect(sample.transactions.size).toBeLessThanOrEqual(2_000)
    const standFor = (members: readonly { weight: number }[]) =>
      members.reduce((sum, { weight }) => sum + weight, 0)
    expect(standFor(sample.accesses.members) / 40_000).toBeCloseTo(1, 0)
    expect(Math.abs(standFor(sample.transactions.members) / 10_000 - 1)).toBeLessThan(0.2)
  })

  test('takes transactions whole or not at all', () => {
    const sample = new KeySample(500, 10)
    for (let n = 0; n < 8_000; n++) sample.add({ ...access(n), transactionId: `t${n >> 2}` })
    const whole = sample.transactions.members.filter(({ keys }) => keys.length === 4)
    expect(sample.transactions.members.length - whole.length).toBeLessThanOrEqual(1)
  })

  test('puts interleaved transactions together', () => {
    const sample = new KeySample()
    for (let n = 0; n < 6; n++) sample.add({ ...access(n), transactionId: `t${n % 2}` })
    expect(sample.transactions.members.map(({ keys }) => keys)).toEqual([
      ['k:0', 'k:2', 'k:4'],
      ['k:1', 'k:3', 'k:5'],
    ])
  })

  test('forgets what is old, and then takes more again', () => {
    const sample = new KeySample(1_000, 100)
    for (let n = 0; n < 10_000; n++) sample.add(access(n))
    const thinned = sample.accesses.weight
    sample.forget(10_000)
    expect(sample.accesses.size).toBe(0)
    expect(sample.accesses.weight).toBe(thinned / 2)
  })

  test('goes on from its state as if it had never stopped', () => {
    const sample = new KeySample(200, 100)
    const again = new KeySample(200, 100)
    for (let n = 0; n < 999; n++) sample.add({ ...access(n), transactionId: `t${n >> 1}` })
    again.adopt(JSON.parse(JSON.stringify(sample.state())))
    for (let n = 999; n < 3_000; n++)
      for (const each of [sample, again]) each.add({ ...access(n), transactionId: `t${n >> 1}` })
    expect(again.state()).toEqual(sample.state())
  })
})
