import { describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { compileTagRule } from '../../src/placement/tag'
import { KeySample } from '../../src/predictor/key-sample'
import { Pace } from '../../src/predictor/pace'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'
import { learnSchema } from '../../src/predictor/schema-learner'
import { tpcc } from '../generators/tpcc'

const learn = (sample: KeySample, shards = 8) =>
  learnSchema(sample, shards, DEFAULT_OBJECTIVE, new Pace(new ManualClock()))

/** A sample of transactions, each a list of keys. */
function sampleOf(
  transactions: number,
  keysOf: (n: number, pick: (n: number) => number) => string[],
  seed = 5,
) {
  const random = seededRandom(seed)
  const pick = (n: number) => Math.floor(random() * n)
  const sample = new KeySample()
  for (let n = 0; n < transactions; n++)
    for (const key of keysOf(n, pick))
      sample.add({ timestamp: n * 1000, key, operation: 'read', transactionId: `t${n}` })
  return sample
}

describe('learning a schema', () => {
  test('finds the warehouse in the keys of TPC-C, and nothing but that', async () => {
    const sample = new KeySample()
    for (const entry of tpcc({ transactions: 6_000 })) sample.add(entry)
    const learned = (await learn(sample))!
    const tagOf = compileTagRule(learned.schema, learned.relationships)
    const unseen = [
      'stock:3:99999',
      'orderline:3:7:9999:4',
      'customer:3:1:2999',
      'warehouse:3',
      'history:3:2:777',
    ]
    expect(unseen.map(tagOf)).toEqual(unseen.map(() => 'warehouse:3'))
    expect(learned.tags).toBe(16)
    expect(learned.crossing.before).toBeGreaterThan(0.98)
    expect(learned.crossing.after).toBeLessThan(0.15)
    expect(learned.confidence).toBeGreaterThan(0.95)
    for (const rule of learned.rules) {
      expect(rule.agreement).toBeGreaterThan(0.9)
      expect(rule.lift).toBeGreaterThan(10)
    }
    expect(learned.reasons.join('\n')).toContain('stock:{warehouse}:{part2} follows warehouse')
  })

  test('follows whoever is named most where no entity is the field alone', async () => {
    const sample = sampleOf(400, (n, pick) => {
      const user = pick(90)
      return [`cart:${user}:i${pick(500)}`, `cart:${user}:i${pick(500)}`, `order:n${n}:${user}`]
    })
    const { schema, relationships } = (await learn(sample))!
    const tagOf = compileTagRule(schema, relationships)
    expect(tagOf('order:n7:5')).toBe('cart:5')
    expect(tagOf('cart:5:i9')).toBe('cart:5')
  })

  test('learns one rule after the other where there are several', async () => {
    const sample = sampleOf(600, (n, pick) => {
      const id = pick(80)
      return n % 2
        ? [`user/${id}`, `user/${id}/cart`, `user/${id}/mail/${pick(99)}`]
        : [`doc/${id}/p${pick(99)}`, `doc/${id}/p${pick(99)}`, `doc/${id}/p${pick(99)}`]
    })
    const { schema, relationships } = (await learn(sample))!
    const tagOf = compileTagRule(schema, relationships)
    expect(new Set(['user/5', 'user/5/cart', 'user/5/mail/7'].map(tagOf)).size).toBe(1)
    expect(tagOf('doc/5/p1')).toBe(tagOf('doc/5/p2'))
    expect(tagOf('doc/5/p1')).not.toBe(tagOf('user/5'))
  })

  test('refuses a rule whose tags are too few to be spread over the shards', async () => {
    const sample = sampleOf(400, (n, pick) => [`row:${n % 2}:${pick(5_000)}`, `row:${n % 2}:${pick(5_000)}`])
    expect(await learn(sample, 8)).toBeUndefined()
    expect(await learn(sample, 2)).toBeDefined()
  })

  test('refuses a rule that one tag would make useless, most of the load being in it', async () => {
    const sample = sampleOf(400, (_, pick) => {
      const tenant = pick(10) < 8 ? 0 : pick(60)
      return [`a:${tenant}:${pick(900)}`, `b:${tenant}:${pick(900)}`]
    })
    expect(await learn(sample, 8)).toBeUndefined()
  })

  test.each<[string, (n: number, pick: (n: number) => number) => string[]]>([
    ['keys meet by chance', (_, pick) => [`a:${pick(40)}:${pick(900)}`, `b:${pick(40)}:${pick(900)}`]],
    ['no key has parts', (_, pick) => [`k${pick(90)}`, `k${pick(90)}`]],
    ['keys say it by hash tags', (_, pick) => Array(3).fill(`{u${pick(90)}}:${pick(9)}`)],
    ['every transaction has one key', (n) => [`user:${n % 40}:${n}`]],
    [
      'values agree for a while and then no more',
      (n, pick) => [`a:${n % 50}:${pick(900)}`, `b:${n < 280 ? n % 50 : pick(50)}:${pick(900)}`],
    ],
  ])('learns nothing where %s', async (_, keysOf) => {
    expect(await learn(sampleOf(400, keysOf))).toBeUndefined()
  })

  test('learns nothing from a handful of transactions, and nothing from none', async () => {
    const two = (n: number) => [`a:${n % 20}:x${n}`, `b:${n % 20}:x${n}`]
    expect(await learn(sampleOf(40, two))).toBeUndefined()
    expect(await learn(new KeySample())).toBeUndefined()
  })
})
