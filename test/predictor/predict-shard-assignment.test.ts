import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { predictShardAssignment } from '../../src/predictor/predict-shard-assignment'
import { generatedLog, HOUR } from './generated-log'

const SHARDS = ['s1', 's2', 's3']
const log = generatedLog({ keys: 40, hours: 72, rate: (key) => (key % 8 === 0 ? 40 : 4) })

/** The same entries in another order. */
function shuffled<T>(items: readonly T[]): T[] {
  const random = seededRandom(3)
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

describe('predictShardAssignment', () => {
  test('needs no more than a log and the shards', async () => {
    const prediction = await predictShardAssignment(log, undefined, undefined, undefined, {
      shards: SHARDS,
      buckets: 128,
    })
    expect(prediction.shardAssignmentMap.size).toBeGreaterThan(0)
    expect(prediction.expected.imbalance.after).toBeLessThan(prediction.expected.imbalance.before)
    for (const segment of prediction.shardAssignmentMap.keys()) {
      const score = prediction.confidenceScores.get(segment)!
      expect(score).toBeGreaterThan(0)
      expect(score).toBeLessThan(1)
      expect(prediction.reasons.get(segment)).toBeTruthy()
    }
  })

  test('gives the same answer every time, for the log in any order, however it comes', async () => {
    const options = { shards: SHARDS, buckets: 128 }
    const answers = await Promise.all([
      predictShardAssignment(log, null, null, null, options),
      predictShardAssignment(shuffled(log), null, null, null, options),
      predictShardAssignment(
        (async function* () {
          yield* log
        })(),
        null,
        null,
        null,
        options,
      ),
    ])
    const seen = answers.map(({ shardAssignmentMap, confidenceScores, confidence, reasons }) => [
      [...shardAssignmentMap],
      [...confidenceScores],
      confidence,
      [...reasons],
    ])
    expect(seen[1]).toEqual(seen[0])
    expect(seen[2]).toEqual(seen[0])
  })

  test('improves the placement that there is', async () => {
    const placement = Placement.initial({ shards: SHARDS, buckets: 128 })
    const first = await predictShardAssignment(log, null, null, null, { placement })
    const again = await predictShardAssignment(log, null, null, null, {
      placement: placement.with(first.shardAssignmentMap),
    })
    expect(again.expected.imbalance.before).toBeLessThan(first.expected.imbalance.before)
    expect(again.expected.loadMoved).toBeLessThan(first.expected.loadMoved)
  })

  test('has nothing to say about an empty log', async () => {
    const prediction = await predictShardAssignment([], null, null, null, { shards: SHARDS })
    expect(prediction.shardAssignmentMap.size).toBe(0)
    expect(prediction.confidenceScores.size).toBe(0)
    expect(prediction.confidence).toBe(0)
    expect(prediction.hotSegments).toEqual([])
    expect(prediction.expected).toMatchObject({ loadMoved: 0, imbalance: { before: 1, after: 1 } })
  })

  test('goes by the access scores where there is no log', async () => {
    const placement = Placement.initial({ shards: ['a', 'b'], buckets: 8 })
    const onA = [0, 1, 2, 3, 4, 5, 6, 7].filter((b) => placement.shardOf(`#${b}`) === 'a')
    const attributes = onA.map((bucketId) => ({
      sequenceNumber: 1,
      bucketId,
      segment: `#${bucketId}` as const,
      accessScore: 5_000,
    }))
    const prediction = await predictShardAssignment([], null, null, attributes, { placement })
    expect(prediction.hotSegments.map(({ segment }) => segment)).toEqual(
      expect.arrayContaining(attributes.map(({ segment }) => segment)),
    )
    expect([...prediction.shardAssignmentMap.values()]).toContain('b')
    expect(prediction.expected.imbalance.after).toBeLessThan(1.3)
  })

  test('of two labels of a segment believes the newer one', async () => {
    const label = (sequenceNumber: number, accessScore: number) => ({
      sequenceNumber,
      bucketId: 1,
      segment: '#1' as const,
      accessScore,
    })
    const scored = async (attributes: ReturnType<typeof label>[]) =>
      (await predictShardAssignment([], null, null, attributes, { shards: SHARDS, buckets: 8 }))
        .hotSegments[0]!.accessScore
    expect(await scored([label(2, 10), label(1, 9_999)])).toBeCloseTo(await scored([label(2, 10)]))
  })

  test('places what a schema ties together as one', async () => {
    const schema = {
      entities: [
        { name: 'user', key: 'user:{userId}' },
        { name: 'cart', key: 'cart:{userId}:{item}', tag: 'userId' },
      ],
    }
    const relationships = [{ from: 'cart', to: 'user', on: 'userId' }]
    const entries = generatedLog({
      keys: 90,
      hours: 72,
      name: (key) => (key % 3 ? `cart:${Math.floor(key / 3)}:${key % 3}` : `user:${key / 3}`),
      rate: (key) => (key < 9 ? 40 : 4),
    }).map((entry, k) => ({ ...entry, transactionId: `t${k}` }))
    const { shardAssignmentMap } = await predictShardAssignment(entries, schema, relationships, null, {
      shards: SHARDS,
      buckets: 64,
    })
    const after = Placement.initial({ shards: SHARDS, buckets: 64, schema, relationships }).with(
      shardAssignmentMap,
    )
    for (let user = 0; user < 30; user++)
      expect(after.locate(`cart:${user}:1`).shard).toBe(after.locate(`user:${user}`).shard)
  })

  test('chooses intervals that a short log has enough of', async () => {
    const minutes = log.map((entry) => ({ ...entry, timestamp: Math.floor(entry.timestamp / 60) }))
    expect((await predictShardAssignment(minutes, null, null, null, { shards: SHARDS })).intervalMs).toBe(
      60_000,
    )
    expect((await predictShardAssignment(log, null, null, null, { shards: SHARDS })).intervalMs).toBe(HOUR)
  })

  test('is not led astray by bad entries', async () => {
    const bad = [
      { timestamp: 9e15, key: 'far', operation: 'read' },
      { timestamp: Number.NaN, key: 'x', operation: 'read' },
      null,
      { timestamp: 5, key: 'x', operation: 'read', count: -1 },
    ] as never[]
    const options = { shards: SHARDS, buckets: 128 }
    const clean = await predictShardAssignment(log, null, null, null, options)
    const dirty = await predictShardAssignment([...log, ...bad], null, null, null, options)
    expect([...dirty.shardAssignmentMap]).toEqual([...clean.shardAssignmentMap])
    expect(dirty.ingested.accepted).toBe(clean.ingested.accepted)
    expect([...dirty.ingested.refused.values()].reduce((a, b) => a + b, 0)).toBe(4)
  })

  test('refuses what it cannot use, by name', async () => {
    await expect(predictShardAssignment(log, null, null, null, {})).rejects.toThrow(/options\.shards/)
    await expect(predictShardAssignment(log, null, null, null, null as never)).rejects.toThrow(/options/)
    await expect(predictShardAssignment(7 as never, null, null, null, { shards: SHARDS })).rejects.toThrow(
      /historicalAccessLogs/,
    )
    await expect(
      predictShardAssignment(log, { entities: 1 as never }, null, null, { shards: SHARDS }),
    ).rejects.toThrow(/schema/)
  })
})
