import { describe, expect, it } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { ErrorCode } from '../../src/errors'
import { Placement } from '../../src/placement/assignment'
import type { SegmentId } from '../../src/placement/segment'
import type { PlacementPolicy, PolicyStep } from '../../src/rebalancer/policies/placement-policy'
import { type SimulateOptions, simulate } from '../../src/rebalancer/simulate'
import type { AccessLogEntry } from '../../src/tracking/access-log'

const MINUTE = 60_000
const base = {
  shards: ['a', 'b'],
  buckets: 16,
  intervalMs: MINUTE,
  horizonMs: 2 * MINUTE,
} satisfies SimulateOptions

const initial = Placement.initial({ shards: ['a', 'b'], buckets: 16 })
/** Keys that live in different buckets of one shard. */
function keysOn(shard: string, count: number): string[] {
  const found = new Map<number, string>()
  for (let i = 0; found.size < count; i++) {
    const { shard: its, bucketId } = initial.locate(`k${i}`)
    if (its === shard && !found.has(bucketId)) found.set(bucketId, `k${i}`)
  }
  return [...found.values()]
}
const [a1, a2] = keysOn('a', 2) as [string, string]
const [b1] = keysOn('b', 1) as [string]

function access(minute: number, key: string, count = 1, more: Partial<AccessLogEntry> = {}): AccessLogEntry {
  return { timestamp: minute * MINUTE, key, operation: 'read', count, ...more }
}

/** A policy that does one thing, once, at the end of a minute. */
function once(minute: number, decision: ReturnType<PlacementPolicy['decide']>): PlacementPolicy {
  return { name: 'once', decide: ({ now }) => (now === (minute + 1) * MINUTE ? decision : undefined) }
}
const moving = (key: string, to: string) => new Map([[initial.segmentOf(key), to]])

describe('a replay of a log', () => {
  it('gives the J that one computes by hand', async () => {
    const log = [
      access(0, a1, 6, { transactionId: 't1' }),
      access(0, b1, 2, { transactionId: 't1' }),
      access(1, a1, 4),
      access(1, a2, 2),
      access(1, b1, 2, { transactionId: 't2' }),
      access(1, a1, 0, { transactionId: 't2' }),
      access(2, a1, 3),
      access(2, a2, 3),
      access(2, b1, 2),
      access(3, a1, 1),
      access(3, b1, 1),
    ]
    const { policies } = await simulate(log, { ...base, policies: ['hash', once(0, moving(a1, 'b'))] })
    const { hash, once: moved } = policies
    // a : b is 6:2, 6:2, 6:2, 1:1, and both transactions cross.
    expect(hash!.intervals.map((it) => it.imbalance)).toEqual([1.5, 1.5, 1.5, 1])
    expect(hash).toMatchObject({ crossShard: 1, moves: 0, loadMoved: 0 })
    expect(hash!.J).toBeCloseTo(5.5 / 4 + 1, 12)
    // With a1 on b from minute 1: 6:2, 2:6, 3:5, 0:2; t2 no longer crosses. For two minutes, the horizon, a1 counts
    // as moved: 4 of 8 accesses in minute 1 and 3 of 8 in minute 2, so 7 of all 26.
    expect(moved!.intervals.map((it) => it.imbalance)).toEqual([1.5, 1.5, 1.25, 2])
    expect(moved!.intervals.map((it) => it.loadMoved)).toEqual([0, 4 / 8, 3 / 8, 0])
    expect(moved!.intervals.map((it) => it.moves)).toEqual([0, 1, 0, 0])
    expect(moved!.intervals.map((it) => it.crossing)).toEqual([1, 0, 0, 0])
    expect(moved!.intervals[1]!.J).toBeCloseTo(1.5 + 0 + 0.25 * 0.5, 12)
    expect(moved!.crossShard).toBe(0.5)
    expect(moved!.loadMoved).toBeCloseTo(7 / 26, 12)
    expect(moved!.J).toBeCloseTo(6.25 / 4 + 0.5 + (0.25 * 7) / 26, 12)
  })

  it('weighs writes and the parts of J as it is told', async () => {
    const log = [access(0, a1, 1, { operation: 'write' }), access(0, b1, 1)]
    const objective = { imbalance: 2, writeWeight: 3 }
    const { policies, load } = await simulate(log, { ...base, objective, policies: ['hash'] })
    expect(load).toBe(4)
    expect(policies.hash!.J).toBeCloseTo(2 * 1.5, 12)
  })

  it('measures shards by their capacity', async () => {
    const shards = [{ id: 'a', weight: 3 }, 'b']
    const placement = Placement.initial({ shards, buckets: 16 })
    const key = (shard: string) => {
      for (let i = 0; ; i++) if (placement.locate(`k${i}`).shard === shard) return `k${i}`
    }
    const log = [access(0, key('a'), 3), access(0, key('b'), 1)]
    const { policies } = await simulate(log, { ...base, shards, policies: ['hash'] })
    expect(policies.hash!.imbalance.mean).toBe(1)
  })

  it('counts a transaction over two keys of one tag, which can never cross', async () => {
    const log = [
      access(0, '{t}:1', 1, { transactionId: 'x' }),
      access(0, '{t}:2', 1, { transactionId: 'x' }),
      access(0, a1, 1, { transactionId: 'y' }),
      access(0, a1, 1, { transactionId: 'y' }),
      access(0, a1, 1, { transactionId: 'z' }),
      access(0, b1, 1, { transactionId: 'z' }),
    ]
    const { policies } = await simulate(log, { ...base, policies: ['hash'] })
    expect(policies.hash!.intervals[0]).toMatchObject({ transactions: 2, crossing: 1, crossShard: 0.5 })
  })

  it('carves a tag out without its bucket, and folds it back', async () => {
    const mate = Array.from({ length: 10_000 }, (_, i) => `m${i}`).find(
      (key) => initial.segmentOf(key) === initial.segmentOf(a1),
    )!
    const carve = new Map([[`{${a1}}` as SegmentId, 'b']])
    const policy = (step: PolicyStep) => {
      if (step.now === MINUTE) return carve
      if (step.now === 2 * MINUTE) return { shardAssignmentMap: new Map(), merges: [`{${a1}}` as SegmentId] }
    }
    const log = [0, 1, 2].flatMap((minute) => [access(minute, a1, 3), access(minute, mate, 1)])
    const { policies } = await simulate(log, { ...base, policies: [policy] })
    const rows = policies.policy!.intervals
    expect(rows.map((it) => it.imbalance)).toEqual([2, 1.5, 2])
    expect(rows.map((it) => [it.moves, it.merges])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
    ])
  })

  it('is the same each time, from an array, a generator or an async one', async () => {
    const log = seasonal(7, 6)
    const options: SimulateOptions = { ...base, policies: ['hash', 'reactive', 'predictive', 'clairvoyant'] }
    const first = await simulate(log, options)
    expect(await simulate(log.values(), options)).toEqual(first)
    const later = async function* () {
      yield* log
    }
    expect(await simulate(later(), options)).toEqual(first)
  })

  it('says what a log without a usable entry has to say: nothing', async () => {
    const report = await simulate([], { ...base })
    expect(report.verdict).toMatch(/nothing to say/)
    expect(report.policies.hash).toMatchObject({ J: 1, moves: 0, intervals: [] })
  })
})

describe('a policy', () => {
  it('never sees the future, however disordered the log', async () => {
    const random = seededRandom(3)
    const log = Array.from({ length: 4_000 }, (_, i) =>
      access((i * 30) / 4_000, `k${Math.floor(random() * 50)}`, 1, { transactionId: `t${i >> 1}` }),
    )
    // Disorder of up to ten seconds, on both sides of every boundary, and a silence.
    for (const entry of log)
      entry.timestamp += Math.floor(random() * 10_000) + (entry.timestamp > 15 * MINUTE ? 9 * MINUTE : 0)
    let newest = 0
    let seen = 0
    let decided = 0
    const spy: PlacementPolicy = {
      name: 'spy',
      observe: (entry) => {
        newest = Math.max(newest, entry.timestamp)
        seen++
      },
      decide: ({ now, past }) => {
        decided++
        expect(newest).toBeLessThan(now)
        for (const interval of past) expect(interval.start + MINUTE).toBeLessThanOrEqual(now)
        const before = log.filter((entry) => entry.timestamp < now)
        expect(seen).toBe(before.length)
        const recent = before.filter((entry) => entry.timestamp >= now - 2 * MINUTE)
        expect(past.reduce((sum, it) => sum + it.load, 0)).toBe(recent.length)
        const loads = past.flatMap((it) => [...it.tags()]).reduce((sum, [, load]) => sum + load, 0)
        expect(loads).toBe(recent.length)
      },
    }
    const report = await simulate(log, { ...base, latenessMs: 10_000, policies: [spy, 'clairvoyant'] })
    expect(report.entries).toMatchObject({ read: 4_000, used: 4_000, late: 0 })
    expect(report.entries.outOfOrder).toBeGreaterThan(1_000)
    expect(decided).toBeGreaterThan(30)
  })

  it('decides for what comes: the interval it decided after stays as it was', async () => {
    const log = [access(0, a1), access(0, a2), access(1, a1), access(1, a2)]
    const { policies } = await simulate(log, { ...base, policies: [once(0, moving(a1, 'b'))] })
    expect(policies.once!.intervals.map((it) => it.imbalance)).toEqual([2, 1])
  })

  it('decides in silence too, but not for ever', async () => {
    const times: number[] = []
    const policy = ({ now }: PolicyStep) => void times.push(now / MINUTE)
    await simulate([access(0, a1), access(1_000_000, a1)], { ...base, latenessMs: 0, policies: [policy] })
    expect(times).toEqual([1, 2, 3, 1_000_000, 1_000_001])
  })

  it('decides as often as everyMs says', async () => {
    const times: number[] = []
    const policy = ({ now }: PolicyStep) => void times.push(now / MINUTE)
    const log = Array.from({ length: 10 }, (_, minute) => access(minute, a1))
    await simulate(log, { ...base, everyMs: 4 * MINUTE, policies: [policy] })
    expect(times).toEqual([4, 8])
  })

  it('may be a function, which is reported by its name', async () => {
    function lazy() {}
    const { policies } = await simulate([access(0, a1)], { ...base, policies: [lazy, () => undefined] })
    expect(Object.keys(policies)).toEqual(['lazy', 'policy 2'])
  })

  it.each<[string, PlacementPolicy['decide'], string]>([
    ['names a shard that is not there', () => new Map([['#1', 'nowhere']]) as never, ErrorCode.UNKNOWN_SHARD],
    ['names a segment that is not there', () => new Map([['#99', 'a']]) as never, ErrorCode.UNKNOWN_SEGMENT],
    ['merges a bucket', () => ({ shardAssignmentMap: new Map(), merges: ['#1'] }), ErrorCode.UNKNOWN_SEGMENT],
    ['returns an object', () => ({ '#1': 'a' }) as never, ErrorCode.INVALID_ARGUMENT],
    [
      'throws',
      () => {
        throw new TypeError('my own mistake')
      },
      ErrorCode.INVALID_ARGUMENT,
    ],
    ['rejects', () => Promise.reject(new Error('my own mistake')), ErrorCode.INVALID_ARGUMENT],
  ])('that %s ends the simulation with a coded error that names it', async (_, decide, code) => {
    const run = simulate([access(0, a1)], { ...base, policies: [{ name: 'mine', decide }] })
    await expect(run).rejects.toMatchObject({ code, field: expect.stringMatching(/^policies\.mine/) })
  })

  it('that throws while it watches is named as well', async () => {
    const policy: PlacementPolicy = {
      name: 'mine',
      decide: () => undefined,
      observe: () => {
        throw new Error('no')
      },
    }
    await expect(simulate([access(0, a1)], { ...base, policies: [policy] })).rejects.toThrow(
      /policies\.mine: threw "no"/,
    )
  })
})

describe('entries', () => {
  it('that come out of order within the bound count as if they had come in order', async () => {
    const log = seasonal(5, 4)
    const random = seededRandom(5)
    const shuffled = log
      .map((entry) => ({ entry, at: entry.timestamp + random() * 20_000 }))
      .sort((x, y) => x.at - y.at)
      .map(({ entry }) => entry)
    const options: SimulateOptions = { ...base, latenessMs: 20_000, policies: ['hash', 'reactive'] }
    const sorted = await simulate(log, options)
    const report = await simulate(shuffled, options)
    expect(report.entries.outOfOrder).toBeGreaterThan(100)
    expect(report.entries.late).toBe(0)
    expect(report.policies.hash).toEqual(sorted.policies.hash)
  })

  it('that come after their interval was closed are left out and counted', async () => {
    const log = [access(0, a1), access(5, a1), access(0, a1), access(5, a1)]
    const { entries } = await simulate(log, { ...base, policies: ['hash'] })
    expect(entries).toMatchObject({ read: 4, used: 3, late: 1 })
  })

  it('that are no entries are left out and counted by reason', async () => {
    const log = [
      access(0, a1),
      null,
      { ...access(0, a1), timestamp: Number.NaN },
      { ...access(0, a1), key: '' },
    ]
    const { entries, load } = await simulate(log as AccessLogEntry[], { ...base, policies: ['hash'] })
    expect(entries.refused).toEqual({ 'not an object': 1, timestamp: 1, key: 1 })
    expect(load).toBe(1)
  })

  it('may have any key that can be stored', async () => {
    const keys = ['__proto__', 'constructor', '{}', '}{', '😀', '#1', 'a\0b']
    const log = keys.flatMap((key, i) =>
      [0, 1].map((m) => access(m, key, i + 1, { transactionId: '__proto__' })),
    )
    log.sort((x, y) => x.timestamp - y.timestamp)
    const { load, policies } = await simulate(log, { ...base })
    expect(load).toBe(2 * 28)
    expect(Object.keys(policies)).toEqual(['hash', 'reactive', 'predictive', 'clairvoyant'])
  })
})

describe('the named policies', () => {
  it('hash moves nothing; reactive evens out what stays uneven; the clairvoyant is better still', async () => {
    const { policies } = await simulate(seasonal(11, 24), {
      shards: 4,
      buckets: 64,
      intervalMs: MINUTE,
      horizonMs: 8 * MINUTE,
      policies: ['hash', 'reactive', 'clairvoyant'],
    })
    const { hash, reactive, clairvoyant } = policies
    expect(hash!.moves).toBe(0)
    expect(reactive!.moves).toBeGreaterThan(0)
    expect(reactive!.J).toBeLessThan(hash!.J - 0.1)
    expect(clairvoyant!.J).toBeLessThan(reactive!.J)
  })

  it('reactive brings together what is accessed together', async () => {
    const random = seededRandom(2)
    const log = Array.from({ length: 3_000 }, (_, i) => {
      const pair = Math.floor(random() * 60)
      const transactionId = `t${i}`
      return [
        access(i / 100, `left${pair}`, 1, { transactionId }),
        access(i / 100, `right${pair}`, 1, { transactionId }),
      ]
    }).flat()
    const { policies } = await simulate(log, {
      shards: 4,
      buckets: 512,
      intervalMs: MINUTE,
      horizonMs: 8 * MINUTE,
      policies: ['hash', 'reactive'],
    })
    expect(policies.hash!.crossShard).toBeGreaterThan(0.6)
    const late = policies.reactive!.intervals.slice(20)
    expect(Math.max(...late.map((it) => it.crossShard))).toBeLessThan(0.1)
  })

  it('keep to the budget', async () => {
    const { policies } = await simulate(seasonal(11, 12), {
      shards: 4,
      buckets: 64,
      intervalMs: MINUTE,
      horizonMs: 8 * MINUTE,
      budget: { maxMoves: 1 },
    })
    for (const { intervals } of Object.values(policies))
      expect(Math.max(...intervals.map((it) => it.moves))).toBeLessThanOrEqual(1)
    expect(policies.reactive!.moves).toBeGreaterThan(3)
  })

  it('predictive knows a season: far better than hash, and no dearer than reactive beyond what learning it costs', async () => {
    const HOUR = 60 * MINUTE
    const log = seasonal(23, 24 * 10, 24).map((entry) => ({ ...entry, timestamp: entry.timestamp * 60 }))
    const { policies, verdict } = await simulate(log, { shards: 4, buckets: 64, intervalMs: HOUR })
    expect(policies.predictive!.J).toBeLessThan(policies.hash!.J - 0.3)
    expect(policies.predictive!.J).toBeLessThan(policies.reactive!.J * 1.02)
    expect(verdict).toMatch(/^Prediction/)
  })
})

it('refuses what no clock can tell and no key can be, and comes to its end', async () => {
  const wrong = [{ ...access(2, a1), timestamp: 1e300 }, access(1, 'a\ud800')]
  const { entries } = await simulate([access(0, a1), ...wrong, access(3, a1)], base)
  expect(entries).toMatchObject({ used: 2, refused: { 'timestamp in the future': 1, key: 1 } })
})

describe('options that cannot be used are refused before the log is read', () => {
  it.each<[Partial<Record<keyof SimulateOptions, unknown>>, string]>([
    [{ shards: 0 }, 'options.shards'],
    [{ shards: [] }, 'shards'],
    [{ intervalMs: 0 }, 'options.intervalMs'],
    [{ intervalMs: 1.5 }, 'options.intervalMs'],
    [{ horizonMs: 90_000 }, 'options.horizonMs'],
    [{ everyMs: -MINUTE }, 'options.everyMs'],
    [{ latenessMs: 2 * MINUTE }, 'options.latenessMs'],
    [{ policies: [] }, 'options.policies'],
    [{ policies: ['oracle'] }, 'options.policies[0]'],
    [{ policies: ['hash', 'hash'] }, 'options.policies[1].name'],
    [{ policies: [{ name: 'reactive', decide: () => {} }] }, 'options.policies[0].name'],
    [{ policies: [{ name: 'x' }] }, 'options.policies[0].decide'],
    [{ budget: { maxMoves: -1 } }, 'options.budget.maxMoves'],
    [{ objective: { churn: Number.NaN } }, 'options.objective.churn'],
  ])('%j', async (wrong, field) => {
    let read = false
    const log = (function* () {
      read = true
      yield access(0, a1)
    })()
    await expect(simulate(log, { ...base, ...wrong } as SimulateOptions)).rejects.toMatchObject({ field })
    expect(read).toBe(false)
  })

  it('and so are entries that cannot be iterated', async () => {
    await expect(simulate(5 as never, base)).rejects.toMatchObject({ field: 'entries' })
  })
})

/** Minutes of skewed accesses to 60 keys; with a season, half of the keys rest while the others are busy. */
function seasonal(seed: number, minutes: number, season = 0): AccessLogEntry[] {
  const random = seededRandom(seed)
  const log: AccessLogEntry[] = []
  for (let minute = 0; minute < minutes; minute++)
    for (let i = 0; i < 200; i++) {
      const key = Math.floor(60 * random() ** 2)
      const resting = season > 0 && key % 2 === (minute % season < season / 2 ? 0 : 1)
      if (resting && random() < 0.9) continue
      log.push(access(minute + i / 200, `key${key}`))
    }
  return log
}

describe('an entry from the future', () => {
  it('is refused and counted: it does not end the intervals before it', async () => {
    const clock = new ManualClock(10 * 3_600_000)
    const entry = (hour: number) => ({
      timestamp: hour * 3_600_000,
      key: `k${hour}`,
      operation: 'read' as const,
    })
    const log = [entry(0), entry(1), entry(1_000_000), entry(2), entry(3)]
    const report = await simulate(log, { shards: 2, policies: ['hash'], clock })
    expect(report.entries).toMatchObject({ used: 4, late: 0, refused: { 'timestamp in the future': 1 } })
  })
})
