import { describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import type { SegmentId } from '../../src/placement/segment'
import { imbalanceOf } from '../../src/predictor/objective'
import type { PredictorOptions } from '../../src/predictor/options'
import { Predictor } from '../../src/predictor/predictor'
import type { AccessLogEntry } from '../../src/tracking/access-log'
import { daily, generatedLog, HOUR, keysOfBucket } from './generated-log'

const SHARDS = ['s1', 's2', 's3', 's4']
const clock = () => new ManualClock(1e12)

async function trained(log: AccessLogEntry[], options: Partial<PredictorOptions> = {}) {
  const predictor = new Predictor({ shards: SHARDS, buckets: 256, clock: clock(), ...options })
  await predictor.ingest(log)
  return predictor
}

/** Loads of the shards by hour under a placement. */
function loadsOf(log: AccessLogEntry[], placement: Placement): number[][] {
  const rows = new Map<number, number[]>()
  for (const { key, timestamp, count = 1 } of log) {
    const hour = Math.floor(timestamp / HOUR)
    const row = rows.get(hour) ?? placement.shards.map(() => 0)
    row[placement.shards.indexOf(placement.locate(key).shard)]! += count
    rows.set(hour, row)
  }
  return [...rows.values()]
}

/** Keys of uneven heat that peak at different hours of the day. */
const waves = (keys: number, hours: number, seed = 1, start = 0) =>
  generatedLog({
    keys,
    hours,
    seed,
    start,
    rate: (key, hour) => (key % 10 === 0 ? 60 : 6) * daily(hour, (key % 2) * 12),
  })

describe('a predictor', () => {
  test('recommends what makes the next day more even than it would have been', async () => {
    const predictor = await trained(waves(60, 24 * 10))
    const { shardAssignmentMap, confidence, expected } = await predictor.predict({ now: 240 * HOUR })
    const next = waves(60, 24, 2, 240)
    const before = imbalanceOf(loadsOf(next, predictor.placement))
    const after = imbalanceOf(loadsOf(next, predictor.placement.with(shardAssignmentMap)))
    expect(shardAssignmentMap.size).toBeGreaterThan(0)
    expect(after).toBeLessThan(before - 0.1)
    expect(confidence).toBeGreaterThan(0.6)
    expect(expected.imbalance.before).toBeCloseTo(before, 0)
    expect(Math.abs(expected.imbalance.after - after)).toBeLessThan(0.1)
  })

  test('comes to rest where its recommendations are followed', async () => {
    const predictor = await trained(waves(60, 24 * 10))
    let { placement } = predictor
    const moved: number[] = []
    for (let k = 0; k < 5; k++) {
      const { shardAssignmentMap, expected } = await predictor.predict({ now: 240 * HOUR, placement })
      placement = placement.with(shardAssignmentMap)
      moved.push(expected.loadMoved)
    }
    expect(moved[1]!).toBeLessThan(0.5 * moved[0]!)
    expect(moved[4]).toBe(0)
  })

  test('plans by the day: it sees the peak that is still to come', async () => {
    // By day one half of the keys is hot, by night the other; the last hours of the log are night.
    const predictor = await trained(waves(60, 24 * 10 + 2))
    const { shardAssignmentMap } = await predictor.predict({ now: 242 * HOUR, horizonMs: 24 * HOUR })
    const next = waves(60, 24, 3, 242)
    const noon = next.filter(({ timestamp }) => Math.abs((Math.floor(timestamp / HOUR) % 24) - 12) < 4)
    const placement = predictor.placement.with(shardAssignmentMap)
    expect(imbalanceOf(loadsOf(noon, placement))).toBeLessThan(
      imbalanceOf(loadsOf(noon, predictor.placement)),
    )
    expect(predictor.metrics.seasonal).toBeGreaterThan(0)
  })

  test('does not act on noise', async () => {
    const random = seededRandom(4)
    const shards = ['a', 'b']
    const placement = Placement.initial({ shards, buckets: 64 })
    // The same number of keys on both shards, all alike.
    const keys: string[] = []
    const quota: Record<string, number> = { a: 20, b: 20 }
    for (let k = 0; keys.length < 40; k++)
      if (quota[placement.locate(`n${k}`).shard]!-- > 0) keys.push(`n${k}`)
    const log = generatedLog({
      keys: 40,
      hours: 120,
      seed: Math.floor(random() * 100),
      rate: () => 3,
      name: (k) => keys[k]!,
    })
    const predictor = await trained(log, { shards, buckets: 64 })
    const { expected } = await predictor.predict({ now: 120 * HOUR })
    expect(expected.loadMoved).toBeLessThan(0.1)
  })

  test('carves a hot tag out of a bucket that it shares with others', async () => {
    const [hot, ...cold] = keysOfBucket(7, 16, 12)
    const names = [hot!, ...cold, ...Array.from({ length: 60 }, (_, k) => `other${k}`)]
    const log = generatedLog({
      keys: names.length,
      hours: 96,
      name: (key) => names[key]!,
      rate: (key) => (key === 0 ? 220 : key <= cold.length ? 30 : 8),
    })
    const predictor = await trained(log, { buckets: 16 })
    const { shardAssignmentMap, reasons, triggers } = await predictor.predict({ now: 96 * HOUR })
    const placement = predictor.placement.with(shardAssignmentMap)
    expect(placement.shardOf(`{${hot}}`)).not.toBe(placement.shardOf('#7'))
    expect(triggers.some(({ kind }) => kind === 'hotspot')).toBe(true)
    expect([...reasons.values()].join()).toMatch(/carries \d+ %/)
  })

  test('folds a carved tag back when it has cooled', async () => {
    const log = generatedLog({ keys: 40, hours: 96, rate: (key) => (key === 0 ? 0.01 : 20) })
    const tag: SegmentId = '{key:0}'
    const placement = Placement.initial({ shards: SHARDS, buckets: 256 }).with(new Map([[tag, 's1']]))
    const predictor = await trained([])
    await predictor.predict({ placement, now: 0 })
    await predictor.ingest(log)
    const { merges } = await predictor.predict({ placement, now: 96 * HOUR })
    expect(merges).toEqual([tag])
  })

  test('empties a shard that is to be drained, and gives nothing to one that is forbidden', async () => {
    const predictor = await trained(waves(40, 96))
    const { shardAssignmentMap } = await predictor.predict({
      now: 96 * HOUR,
      draining: ['s2'],
      forbidden: ['s3'],
    })
    const { placement } = predictor
    const after = placement.with(shardAssignmentMap)
    for (const { key } of waves(40, 1)) expect(after.locate(key).shard).not.toBe('s2')
    expect([...shardAssignmentMap.values()]).not.toContain('s3')
  })

  test('counts moves under way as done, and leaves them alone', async () => {
    const predictor = await trained(waves(60, 96))
    const { shardAssignmentMap } = await predictor.predict({ now: 96 * HOUR })
    const again = await predictor.predict({ now: 96 * HOUR, inFlight: shardAssignmentMap })
    for (const segment of shardAssignmentMap.keys()) expect(again.shardAssignmentMap.has(segment)).toBe(false)
    expect(again.expected.imbalance.before).toBeLessThan(1.3)
  })

  test('keeps to its budget', async () => {
    const predictor = await trained(waves(60, 96))
    const { shardAssignmentMap, expected } = await predictor.predict({
      now: 96 * HOUR,
      budget: { maxMoves: 2, maxLoadShare: 0.08 },
    })
    expect(shardAssignmentMap.size).toBeLessThanOrEqual(2)
    expect(expected.loadMoved).toBeLessThanOrEqual(0.08)
  })

  test('brings together what is accessed together', async () => {
    const random = seededRandom(12)
    const log: AccessLogEntry[] = []
    for (let k = 0; k < 6_000; k++) {
      const family = Math.floor(random() * 40)
      for (const member of ['a', 'b'])
        log.push({
          timestamp: Math.floor((k / 6_000) * 96 * HOUR),
          key: `${member}:${family}`,
          operation: 'read',
          transactionId: `t${k}`,
        })
    }
    const predictor = await trained(log)
    const { expected, shardAssignmentMap } = await predictor.predict({ now: 96 * HOUR })
    const after = predictor.placement.with(shardAssignmentMap)
    const crossing = (placement: Placement) =>
      Array.from(
        { length: 40 },
        (_, f) => placement.locate(`a:${f}`).shard !== placement.locate(`b:${f}`).shard,
      ).filter(Boolean).length / 40
    expect(expected.crossShard.before).toBeCloseTo(crossing(predictor.placement), 1)
    expect(crossing(after)).toBeLessThan(0.25 * crossing(predictor.placement))
    expect(Math.abs(expected.crossShard.after - crossing(after))).toBeLessThan(0.15)
  })

  test('learns from what came of its recommendations', async () => {
    const predictor = new Predictor({ shards: SHARDS, buckets: 256, clock: clock() })
    const log = waves(40, 24 * 8)
    let outcomes = 0
    for (let day = 0; day < 8; day++) {
      await predictor.ingest(log.filter(({ timestamp }) => Math.floor(timestamp / (24 * HOUR)) === day))
      await predictor.predict({ now: (day + 1) * 24 * HOUR })
      expect(predictor.metrics.outcomes).toBeGreaterThanOrEqual(outcomes)
      outcomes = predictor.metrics.outcomes
    }
    expect(outcomes).toBeGreaterThan(20)
  })

  test('says so when the fleet leaves its forecasts', async () => {
    const steady = generatedLog({ keys: 60, hours: 120, rate: () => 20 })
    const predictor = await trained(steady)
    await predictor.predict({ now: 120 * HOUR })
    await predictor.ingest(
      generatedLog({ keys: 60, hours: 20, start: 120, seed: 5, rate: (key) => (key % 2 ? 45 : 6) }),
    )
    const { triggers } = await predictor.predict({ now: 140 * HOUR })
    expect(triggers.map(({ kind }) => kind)).toContain('drift')
    const quiet = await trained(steady)
    await quiet.predict({ now: 100 * HOUR })
    expect((await quiet.predict({ now: 120 * HOUR })).triggers.map(({ kind }) => kind)).not.toContain('drift')
  })

  test('explains in numbers', async () => {
    const predictor = await trained(waves(60, 24 * 10))
    const { reasons, shardAssignmentMap, hotSegments } = await predictor.predict({ now: 240 * HOUR })
    for (const [segment, shard] of shardAssignmentMap) {
      expect(reasons.get(segment)).toMatch(/of its share|carries/)
      expect(reasons.get(segment)).toContain(shard)
    }
    expect(hotSegments[0]!.loadShare).toBeGreaterThanOrEqual(hotSegments[1]!.loadShare)
    expect(predictor.explain(hotSegments[0]!.segment)).toMatch(/is hot/)
  })

  test('forecasts a single segment', async () => {
    const predictor = await trained(
      generatedLog({ keys: 1, hours: 24 * 14, rate: (_, hour) => 100 * daily(hour, 12) }),
    )
    const segment = predictor.placement.segmentOf('key:0')
    const { mean } = predictor.forecast(segment, { horizonMs: 24 * HOUR, now: 24 * 14 * HOUR })!
    expect(mean).toHaveLength(24)
    expect(mean[12]!).toBeGreaterThan(150)
    expect(mean[0]!).toBeLessThan(40)
    const other = predictor.placement.bucketOf(segment) === 0 ? '#1' : '#0'
    expect(predictor.forecast(other)).toBeUndefined()
  })

  test('uses nothing that was recorded after the time it is asked about', async () => {
    const past = waves(40, 96)
    const with_ = await trained([
      ...past,
      ...waves(40, 20, 9, 96).map((entry) => ({ ...entry, count: 5_000 })),
    ])
    const without = await trained(past)
    const [a, b] = [await with_.predict({ now: 96 * HOUR }), await without.predict({ now: 96 * HOUR })]
    expect([...a.shardAssignmentMap]).toEqual([...b.shardAssignmentMap])
    expect(a.expected.imbalance).toEqual(b.expected.imbalance)
  })

  test('has no opinion without a log, or with one shard', async () => {
    const empty = await (await trained([])).predict({ now: 5 * HOUR })
    expect(empty.shardAssignmentMap.size).toBe(0)
    expect(empty.confidence).toBe(0)
    const single = await trained(waves(20, 72), { shards: ['only'] })
    const { shardAssignmentMap, expected } = await single.predict({ now: 72 * HOUR })
    expect(shardAssignmentMap.size).toBe(0)
    expect(expected.imbalance.after).toBe(1)
  })

  test('holds no more for a million keys than for a thousand', async () => {
    const predictor = await trained([])
    for (let k = 0; k < 40_000; k++)
      predictor.record({ timestamp: k, key: `k${k}`, operation: 'read', transactionId: `t${k >> 1}` })
    const { slots, hotTags, openTransactions } = predictor.metrics
    expect(slots).toBeLessThanOrEqual(256 + 512)
    expect(hotTags).toBeLessThanOrEqual(512)
    expect(openTransactions).toBeLessThanOrEqual(1_024)
  })

  test('lets others run between slices of its work', async () => {
    let others = 0
    let running = true
    const count = () => {
      others++
      if (running) setImmediate(count)
    }
    const predictor = await trained(waves(200, 96))
    setImmediate(count)
    await predictor.predict({ now: 96 * HOUR })
    running = false
    expect(others).toBeGreaterThan(4)
  })
})

describe('a predictor refuses', () => {
  const good = { timestamp: 1, key: 'k', operation: 'read' } as const
  const predictor = new Predictor({ shards: SHARDS, buckets: 256, clock: new ManualClock(1e9) })

  test.each([
    ['options.shards', { shards: [] }],
    ['options.intervalMs', { shards: ['a'], intervalMs: -1 }],
    ['options.history', { shards: ['a'], history: 1.5 }],
    ['options.history', { shards: ['a'], buckets: 1 << 20, history: 672 }],
    ['options.hotTags', { shards: ['a'], hotTags: -1 }],
    ['options.objective.churn', { shards: ['a'], objective: { churn: Number.NaN } }],
    ['options.tolerance', { shards: ['a'], tolerance: 2 }],
    ['options.random', { shards: ['a'], random: 4 }],
    ['buckets', { shards: ['a'], buckets: 0 }],
    ['schema.entities', { shards: ['a'], schema: {} }],
  ])('bad options by name: %s', (field, options) => {
    expect(() => new Predictor(options as never)).toThrow(field.split('.').pop()!)
    expect(() => new Predictor(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })

  test.each([
    ['horizonMs', { horizonMs: 0 }],
    ['now', { now: Number.NaN }],
    ['budget.maxMoves', { budget: { maxMoves: -1 } }],
    ['placement', { placement: {} }],
    ['placement', { placement: Placement.initial({ shards: SHARDS, buckets: 128 }) }],
    ['forbidden', { forbidden: ['nowhere'] }],
    ['trackingAttributes[0].segment', { trackingAttributes: [{ segment: 'x' }] }],
  ])('bad requests by name: %s', async (field, request) => {
    await expect(predictor.predict(request as never)).rejects.toThrow(field)
  })

  test('a malformed entry, by the name of its field', () => {
    expect(() => predictor.record({ ...good, timestamp: Number.NaN })).toThrow(/timestamp/)
    expect(() => predictor.record({ ...good, operation: 'steal' as never })).toThrow(/operation/)
    expect(() => predictor.record(null as never)).toThrow(/entry/)
  })

  test('an access from the future', () => {
    expect(predictor.record({ ...good, timestamp: 1e9 + 2 * HOUR })).toBe(false)
    expect(predictor.record({ ...good, timestamp: 1e9 })).toBe(true)
  })

  test('entries of a log, one by one, and says how many and why', async () => {
    const report = await new Predictor({ shards: SHARDS, clock: new ManualClock(1e9) }).ingest([
      good,
      'nonsense',
      { ...good, key: '' },
      { ...good, timestamp: -5 },
      { ...good, timestamp: 2e9 },
      { ...good, count: Number.POSITIVE_INFINITY },
      { ...good, key: '__proto__' },
    ])
    expect(report.accepted).toBe(2)
    expect(Object.fromEntries(report.refused)).toEqual({
      'not an object': 1,
      key: 1,
      timestamp: 1,
      'timestamp in the future': 1,
      count: 1,
    })
    expect(report.examples[0]).toEqual({ at: 1, reason: 'not an object' })
  })

  test('a log that is none', async () => {
    await expect(predictor.ingest(42 as never)).rejects.toThrow(/entries/)
  })
})
