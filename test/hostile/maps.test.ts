import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { Placement } from '../../src/placement/assignment'
import { bucketSegment } from '../../src/placement/segment'
import { ShardRouter } from '../../src/router/router'
import { expectRefused, refusalOf, stateOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

const BUCKETS = 8
const stores = { a: memoryStore(), b: memoryStore() }
let router: ShardRouter
beforeAll(async () => {
  router = await ShardRouter.open({ shards: stores, buckets: BUCKETS })
  for (let i = 0; i < 50; i++) await router.set(`{t${i % 5}}:${i}`, i)
})
afterAll(() => router.close())

const map = (entries: Record<string, unknown>) => new Map(Object.entries(entries)) as never
const elsewhere = (bucketId: number) =>
  map({ [`#${bucketId}`]: router.placement.shardOf(bucketSegment(bucketId)) === 'a' ? 'b' : 'a' })

/** Confidence, map, options, and the code and field of the refusal. */
const ROWS: readonly [unknown, unknown, unknown, string, string?][] = [
  ...[Number.NaN, -0.1, 1.1, Number.POSITIVE_INFINITY, '1', null, undefined, {}, 1n].map(
    (it): [unknown, unknown, unknown, string, string] => [it, map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
  ),
  ...[undefined, null, 7, 'map', {}, [], [['#1', 'a']], { '#1': 'a' }, new Set(['#1'])].map(
    (it): [unknown, unknown, unknown, string, string] => [1, it, {}, 'INVALID_ARGUMENT', 'map'],
  ),
  ...[
    '',
    '#',
    '#-1',
    '#01',
    '#1.5',
    '#8',
    '#9007199254740993',
    '1',
    '{',
    '{}',
    '}',
    '{x',
    'x}',
    '{a\ud800}',
    '__proto__',
  ].map((it): [unknown, unknown, unknown, string, string] => [
    1,
    map({ [it]: 'a' }),
    {},
    'UNKNOWN_SEGMENT',
    'map',
  ]),
  [1, map({ [`{${'t'.repeat(100_000)}}`]: 'a' }), {}, 'UNKNOWN_SEGMENT', 'map'],
  [1, map({ ['#'.repeat(10_000_000)]: 'a' }), {}, 'UNKNOWN_SEGMENT', 'map'],
  [1, new Map([[7, 'a']]), {}, 'UNKNOWN_SEGMENT', 'map'],
  [1, new Map([[Symbol('s'), 'a']]), {}, 'UNKNOWN_SEGMENT', 'map'],
  ...['c', '', '__proto__', 'constructor', 7, null, undefined, {}, ['a'], 'x'.repeat(10_000_000)].map(
    (it): [unknown, unknown, unknown, string] => [1, map({ '#1': it }), {}, 'UNKNOWN_SHARD'],
  ),
  [1, map({}), { reason: 'x'.repeat(1_001) }, 'INVALID_ARGUMENT', 'options.reason'],
  [1, map({}), { reason: 7 }, 'INVALID_ARGUMENT', 'options.reason'],
  [1, map({}), { reason: 'rollback to before x' }, 'INVALID_ARGUMENT', 'options.reason'],
  ...[0, -1, Number.NaN, '9', null].flatMap((it): [unknown, unknown, unknown, string, string][] => [
    [1, map({}), { maxKeysPerSecond: it }, 'INVALID_ARGUMENT', 'options.maxKeysPerSecond'],
    [1, map({}), { maxBytesPerSecond: it }, 'INVALID_ARGUMENT', 'options.maxBytesPerSecond'],
    [1, map({}), { concurrency: it }, 'INVALID_ARGUMENT', 'options.concurrency'],
  ]),
  [1, map({}), { concurrency: 1e9 }, 'INVALID_ARGUMENT', 'options.concurrency'],
  ...[-1, Number.NaN, Number.POSITIVE_INFINITY, '1', null].map(
    (it): [unknown, unknown, unknown, string, string] => [
      1,
      map({}),
      { retainMs: it },
      'INVALID_ARGUMENT',
      'options.retainMs',
    ],
  ),
  [1, map({}), { verify: 'yes' }, 'INVALID_ARGUMENT', 'options.verify'],
  [1, map({}), { signal: {} }, 'INVALID_ARGUMENT', 'options.signal'],
  [1, map({}), { placement: {} }, 'INVALID_ARGUMENT', 'options.placement'],
  [
    1,
    map({}),
    { placement: Placement.initial({ shards: ['a', 'b'], buckets: 4 }) },
    'INVALID_ARGUMENT',
    'options.placement',
  ],
  ...[7, null, 'tags', {}, ['#1'], [7], ['{}'], ['{a\ud800}']].map(
    (it): [unknown, unknown, unknown, string, string] => [
      1,
      map({}),
      { merge: it },
      'INVALID_ARGUMENT',
      'options.merge',
    ],
  ),
  [1, map({}), { merge: ['{not carved out}'] }, 'UNKNOWN_SEGMENT', 'options.merge'],
  [1, map({ '{t1}': 'a' }), { merge: ['{t1}'] }, 'INVALID_ARGUMENT', 'options.merge'],
]

describe('a map that nobody could carry out', () => {
  it('is refused by code and field, and nothing has changed', async () => {
    const before = await stateOf(router, stores)
    const progress = router.monitorReshardingProgress()
    for (const [confidence, moves, options, code, field] of ROWS) {
      const ask = () => router.requestResharding(confidence as never, moves as never, options as never)
      const refusal = await refusalOf(ask)
      expect([refusal?.code, refusal?.message.slice(0, 200)], String(field)).toEqual([
        code,
        expect.any(String),
      ])
      if (field) expect(refusal!.field).toBe(field)
      expect(refusal!.message.length).toBeLessThan(400)
    }
    expect(await stateOf(router, stores)).toEqual(before)
    expect(router.monitorReshardingProgress()).toEqual(progress)
  })

  it('is refused for more segments than any topology has, and for tags to fold back that never end', async () => {
    const huge = new Map(Array.from({ length: (1 << 20) + 1 }, (_, i) => [`{t${i}}`, 'a']))
    const before = await stateOf(router, stores)
    await expectRefused(() => router.requestResharding(1, huge as never), 'INVALID_ARGUMENT', 'map')
    function* endless() {
      for (let i = 0; ; i++) yield `{t${i}}` as const
    }
    await expectRefused(
      () => router.requestResharding(1, map({}), { merge: endless() }),
      'INVALID_ARGUMENT',
      'options.merge',
    )
    expect(await stateOf(router, stores)).toEqual(before)
  })

  it('of any kind is carried out, not accepted, or refused by code; every key is there afterwards', async () => {
    const any = fc.anything({ withBigInt: true, maxDepth: 1 })
    const segment = fc.oneof(
      fc.constantFrom('#0', '#7', '#8', '{t1}', '{t2}', '{new}', '{'),
      fc.string(),
      any,
    )
    const shard = fc.oneof(fc.constantFrom('a', 'b', 'c'), any)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.double(), any),
        fc.array(fc.tuple(segment, shard), { maxLength: 3 }),
        async (confidence, moves) => {
          await refusalOf(async () => {
            const resharding = await router.requestResharding(confidence as never, new Map(moves) as never, {
              retainMs: 0,
            })
            if (resharding.accepted) expect((await resharding.done).outcome).toBe('done')
          })
        },
      ),
      { numRuns: 100 },
    )
    for (let i = 0; i < 50; i++) expect(await router.get(`{t${i % 5}}:${i}`)).toBe(i)
  })
})

describe('a way back that is not there', () => {
  it('is refused by code and field, and nothing has changed', async () => {
    const resharding = await router.requestResharding(1, elsewhere(3))
    if (resharding.accepted) await resharding.done
    const before = await stateOf(router, stores)
    for (const to of ['', 'nowhere', '__proto__', 7, null, {}, 'x'.repeat(10_000_000)])
      await expectRefused(() => router.rollback({ to } as never), 'INVALID_ARGUMENT', 'options.to')
    expect(await stateOf(router, stores)).toEqual(before)
  })
})

describe('a shard that cannot join or leave', () => {
  it('is refused by code, and nothing has changed', async () => {
    const before = await stateOf(router, stores)
    for (const id of [
      '',
      'a b',
      '__proto__',
      '../x',
      'é',
      'x'.repeat(65),
      7,
      null,
      undefined,
      {},
      1n,
      Symbol('s'),
    ]) {
      const refusal = await refusalOf(() => router.addShard(id as never, memoryStore()))
      expect(refusal?.code, String(id)).toBe('INVALID_ARGUMENT')
      expect(await refusalOf(() => router.drainShard(id as never)), String(id)).toMatchObject({
        code: 'UNKNOWN_SHARD',
      })
    }
    for (const store of [undefined, null, 7, 'redis://user:secret@host', {}, { execute: 1 }]) {
      const { message } = await expectRefused(
        () => router.addShard('c', store as never),
        'INVALID_ARGUMENT',
        'store',
      )
      expect(message).not.toContain('secret')
    }
    for (const weight of [0, -1, Number.NaN, '2', null, 1e300])
      await expectRefused(() => router.addShard('c', memoryStore(), { weight } as never), 'INVALID_ARGUMENT')
    for (const flag of [0, 'no', null]) {
      await expectRefused(
        () => router.addShard('c', memoryStore(), { rebalance: flag } as never),
        'INVALID_ARGUMENT',
      )
      await expectRefused(() => router.drainShard('a', { remove: flag } as never), 'INVALID_ARGUMENT')
    }
    expect(await stateOf(router, stores)).toEqual(before)
  })
})
