import { beforeAll, describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { FoundingMap, TaggedMap } from '../../src/placement/founding-map'
import type { ShardAssignmentPrediction } from '../../src/predictor/prediction'
import { Predictor } from '../../src/predictor/predictor'
import type { AccessLogEntry } from '../../src/tracking/access-log'
import { crossingOf, imbalanceOf } from '../generators/outcome'
import { TPCC_SCHEMA, tpcc } from '../generators/tpcc'

const SHARDS = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8']
const BUCKETS = 1024
const EVERY = 24_000
const HALF = 4_000 * EVERY
const log = [...tpcc({ transactions: 8_000, everyMs: EVERY })]
const first = log.filter(({ timestamp }) => timestamp < HALF)
const second = log.filter(({ timestamp }) => timestamp >= HALF)

async function trained(
  options: Partial<ConstructorParameters<typeof Predictor>[0]> = {},
): Promise<Predictor> {
  const predictor = new Predictor({
    shards: SHARDS,
    buckets: BUCKETS,
    clock: new ManualClock(HALF),
    random: seededRandom(1),
    ...options,
  })
  await predictor.ingest(first)
  return predictor
}

describe('founding a topology by the log', () => {
  const plain = Placement.initial({ shards: SHARDS, buckets: BUCKETS })
  let predictor: Predictor
  let prediction: ShardAssignmentPrediction

  beforeAll(async () => {
    predictor = await trained()
    prediction = await predictor.predict({ placement: plain, now: HALF })
  })

  test('most keys of the second half were never seen in the first', () => {
    const seen = new Set(first.map(({ key }) => key))
    expect(second.filter(({ key }) => !seen.has(key)).length / second.length).toBeGreaterThan(0.5)
  })

  test('lets unseen keys follow their relatives without a schema', () => {
    const after = plain.with(prediction.shardAssignmentMap)
    expect(crossingOf(second, plain)).toBeGreaterThan(0.98)
    expect(crossingOf(second, after)).toBeLessThan(0.12)
    expect(imbalanceOf(second, after)).toBeLessThan(1.3)
  })

  test('does as well with one', async () => {
    const placement = Placement.initial({ shards: SHARDS, buckets: BUCKETS, schema: TPCC_SCHEMA })
    const { shardAssignmentMap, founding } = await (await trained({ schema: TPCC_SCHEMA })).predict({
      placement,
      now: HALF,
    })
    expect(founding).toBeUndefined()
    expect(crossingOf(second, placement.with(shardAssignmentMap))).toBeLessThan(0.12)
  })

  test('can be carried out from scratch: schema, then map', () => {
    const { schema, relationships, shardAssignmentMap, crossing } = prediction.founding!
    expect(crossing.after).toBeLessThan(0.15)
    const founded = Placement.initial({ shards: SHARDS, buckets: BUCKETS, schema, relationships })
    const after = founded.with(shardAssignmentMap)
    expect(after.locate('stock:3:77').shard).toBe(
      plain.with(prediction.shardAssignmentMap).locate('stock:3:77').shard,
    )
    expect(crossingOf(second, after)).toBeLessThan(0.12)
  })

  test('is not on offer to a placement under which data lies: its map is moves, and no more', async () => {
    const founded = Placement.initial({ shards: SHARDS, buckets: BUCKETS, founded: true })
    const { shardAssignmentMap, founding } = await (await trained()).predict({
      placement: founded,
      now: HALF,
    })
    expect(founding).toBeUndefined()
    expect(shardAssignmentMap).not.toBeInstanceOf(FoundingMap)
    const after = founded.with(prediction.shardAssignmentMap)
    for (const [segment, shard] of prediction.shardAssignmentMap) expect(after.shardOf(segment)).toBe(shard)
    expect(after.tagOf('stock:3:77')).toBe('stock:3:77')
  })

  test('tells a running deployment what it could have had, with the grounds', async () => {
    const learned = await (await trained()).learnedSchema()
    expect(learned).toMatchObject({ tags: 16, schema: { entities: expect.any(Array) } })
    expect(learned!.reasons[0]).toMatch(
      / % of the multi-key transactions touch several shards as keys are tagged now/,
    )
  })

  test('a map made for a schema is refused where keys are tagged otherwise', () => {
    const { shardAssignmentMap } = prediction.founding!
    expect(shardAssignmentMap).toBeInstanceOf(TaggedMap)
    expect(() => plain.with(shardAssignmentMap)).toThrow(/open a new topology with that schema/)
  })

  test('goes on under the schema once the placement has taken it over', async () => {
    const after = plain.with(prediction.shardAssignmentMap)
    const then = await trained()
    await then.predict({ placement: plain, now: HALF })
    const next = await then.predict({ placement: after, now: HALF })
    expect(next.founding).toBeUndefined()
    expect(next.expected.crossShard.before).toBeLessThan(0.2)
    expect(crossingOf(second, after.with(next.shardAssignmentMap))).toBeLessThan(0.12)
    const restored = Predictor.restore(JSON.parse(JSON.stringify(then.snapshot())))
    expect(restored.placement.tagOf('stock:3:77')).toBe('warehouse:3')
  })

  test('survives a snapshot', async () => {
    const predictor = await trained()
    const restored = Predictor.restore(JSON.parse(JSON.stringify(predictor.snapshot())), {
      clock: new ManualClock(HALF),
    })
    expect(await restored.learnedSchema()).toEqual(await predictor.learnedSchema())
  })
})

test('an access of unknown size, of no transaction, or with a long key is sampled without harm', async () => {
  const predictor = new Predictor({ shards: SHARDS, buckets: 16, clock: new ManualClock(HALF) })
  const odd: AccessLogEntry[] = [
    { timestamp: 1, key: 'k'.repeat(5_000), operation: 'read', transactionId: 't' },
    { timestamp: 1, key: 'a', operation: 'write', count: 0 },
    { timestamp: 1, key: '{', operation: 'read', transactionId: '' },
  ]
  for (const entry of odd) predictor.record(entry)
  expect(await predictor.learnedSchema()).toBeUndefined()
})
