import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  accessScore,
  forecast,
  HashRing,
  memoryStore,
  memoryTopology,
  Placement,
  Predictor,
  predictShardAssignment,
  Rebalancer,
  ShardRouter,
  simulate,
} from '../../src'
import { lmdbStore, lmdbTopology } from '../../src/backends/lmdb'
import { redisStore, redisTopology } from '../../src/backends/redis'
import { ManualClock, seededRandom } from '../../src/clock'
import type { ShardStore } from '../../src/shard-store'
import { checkLinearizable, faultyStore, simulation } from '../../src/testing'
import { expectRefused, refusalOf, stateOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

const stores = { a: memoryStore(), b: memoryStore() }
let router: ShardRouter
let predictor: Predictor
beforeAll(async () => {
  router = await ShardRouter.open({ shards: stores, buckets: 8 })
  predictor = new Predictor({ shards: ['a', 'b'], buckets: 8 })
})
afterAll(() => router.close())

const redis = new Redis({ lazyConnect: true })
afterAll(() => redis.disconnect())
const clock = new ManualClock(1e12)
const placement = Placement.initial({ shards: ['a', 'b'], buckets: 8 })
const client = { record: () => true, predict: async () => expect.fail('asked') }

/** A store that says so when it is opened: nothing that is refused comes so far. */
const unopened = () =>
  ({
    supports: memoryStore().supports,
    execute: async () => [],
    open: async () => Promise.reject(new Error('opened')),
    close: async () => {},
  }) as unknown as ShardStore

/** Every entrance that takes options: what it is called, options that it takes, a misspelt one, and the call. */
const ENTRANCES: readonly {
  name: string
  good: Record<string, unknown>
  typo: readonly [wrong: string, right: string]
  call: (options: never) => unknown
  /** What may be drawn for its fields without starting work that is long. */
  field?: string
}[] = [
  {
    name: 'ShardRouter.open',
    good: { shards: {}, buckets: 4 },
    typo: ['confidenceTreshold', 'confidenceThreshold'],
    call: (options) => ShardRouter.open(options),
  },
  {
    name: 'ShardRouter.open migrator',
    good: {},
    typo: ['batchkeys', 'batchKeys'],
    call: (migrator) => ShardRouter.open({ shards: { x: unopened() }, migrator }),
    field: 'options.migrator',
  },
  {
    name: 'ShardRouter.open tracking',
    good: {},
    typo: ['halflifeMs', 'halfLifeMs'],
    call: (tracking) => ShardRouter.open({ shards: { x: unopened() }, tracking }),
    field: 'options.tracking',
  },
  { name: 'get', good: {}, typo: ['querytype', 'queryType'], call: (it) => router.get('k', it) },
  { name: 'has', good: {}, typo: ['userProfil', 'userProfile'], call: (it) => router.has('k', it) },
  {
    name: 'getMany',
    good: {},
    typo: ['transactionID', 'transactionId'],
    call: (it) => router.getMany(['k'], it),
  },
  { name: 'set', good: {}, typo: ['ttl', 'ttlMs'], call: (it) => router.set('k', 1, it) },
  {
    name: 'setMany',
    good: {},
    typo: ['ifversion', 'ifVersion'],
    call: (it) => router.setMany([['k', 1, it]]),
    field: 'entries[0]',
  },
  { name: 'delete', good: {}, typo: ['ifVersoin', 'ifVersion'], call: (it) => router.delete('k', it) },
  { name: 'update', good: {}, typo: ['attempt', 'attempts'], call: (it) => router.update('k', () => 1, it) },
  { name: 'entries', good: {}, typo: ['prefx', 'prefix'], call: (it) => router.entries(it).next() },
  {
    name: 'requestResharding',
    good: {},
    typo: ['maxKeysPerSec', 'maxKeysPerSecond'],
    call: (it) => router.requestResharding(0.1, new Map(), it),
  },
  { name: 'rollback', good: {}, typo: ['retainMS', 'retainMs'], call: (it) => router.rollback(it) },
  {
    name: 'addShard',
    good: {},
    typo: ['wieght', 'weight'],
    call: (it) => router.addShard('a', stores.b, it),
  },
  { name: 'drainShard', good: {}, typo: ['remov', 'remove'], call: (it) => router.drainShard('nowhere', it) },
  {
    name: 'Predictor',
    good: { shards: ['a'], buckets: 4 },
    typo: ['interval', 'intervalMs'],
    call: (it) => new Predictor(it),
  },
  {
    name: 'predict',
    good: {},
    typo: ['horizon', 'horizonMs'],
    call: (it) => predictor.predict(it),
    field: 'request',
  },
  {
    name: 'predict budget',
    good: {},
    typo: ['maxmoves', 'maxMoves'],
    call: (budget) => predictor.predict({ budget }),
    field: 'budget',
  },
  {
    name: 'Predictor.forecast',
    good: {},
    typo: ['levl', 'level'],
    call: (it) => predictor.forecast('#1', it),
    field: 'request',
  },
  {
    name: 'predictShardAssignment',
    good: { shards: ['a', 'b'], buckets: 4 },
    typo: ['hottags', 'hotTags'],
    call: (it) => predictShardAssignment([], undefined, undefined, undefined, it),
  },
  {
    name: 'forecast',
    good: { horizon: 2 },
    typo: ['seasonallity', 'seasonality'],
    call: (it) => forecast([1, 2, 3], it),
  },
  {
    name: 'simulate',
    good: { shards: 2, buckets: 4, policies: ['hash'] },
    typo: ['policys', 'policies'],
    call: (it) => simulate([], it),
  },
  {
    name: 'Rebalancer',
    good: { router: new Proxy({}, { get: () => () => {} }), predictor: client },
    typo: ['minConfidance', 'minConfidence'],
    call: (it) => new Rebalancer(it),
  },
  {
    name: 'Rebalancer costs',
    good: {},
    typo: ['permove', 'perMove'],
    call: (costs) => new Rebalancer({ router: router as never, predictor: client as never, costs }),
    field: 'options.costs',
  },
  {
    name: 'HashRing',
    good: { buckets: 4 },
    typo: ['point', 'points'],
    call: (it) => new HashRing(['a'], it),
  },
  {
    name: 'Placement.initial',
    good: { shards: ['a'], buckets: 4 },
    typo: ['bucket', 'buckets'],
    call: (it) => Placement.initial(it),
  },
  {
    name: 'accessScore',
    good: {},
    typo: ['writeweight', 'writeWeight'],
    call: (it) => accessScore([], 1, it),
  },
  { name: 'memoryStore', good: {}, typo: ['clok', 'clock'], call: (it) => memoryStore(it) },
  { name: 'memoryTopology', good: {}, typo: ['rand', 'random'], call: (it) => memoryTopology(it) },
  {
    name: 'lmdbStore',
    good: { path: 'never-opened' },
    typo: ['durabilty', 'durability'],
    call: (it) => lmdbStore(it),
  },
  {
    name: 'lmdbTopology',
    good: { path: 'never-opened' },
    typo: ['pollms', 'pollMs'],
    call: (it) => lmdbTopology(it),
  },
  { name: 'redisStore', good: {}, typo: ['prefx', 'prefix'], call: (it) => redisStore(redis, it) },
  { name: 'redisTopology', good: {}, typo: ['prefixes', 'prefix'], call: (it) => redisTopology(redis, it) },
  {
    name: 'faultyStore',
    good: { random: seededRandom(1), clock },
    typo: ['lostRequest', 'lostRequests'],
    call: (it) => faultyStore(stores.a, it),
  },
  {
    name: 'simulation',
    good: { seed: 1, operations: 1, disturbed: false },
    typo: ['router', 'routers'],
    call: (it) => simulation(it),
  },
  {
    name: 'checkLinearizable',
    good: {},
    typo: ['maxState', 'maxStates'],
    call: (it) => checkLinearizable([], it),
  },
]

describe.each(ENTRANCES)('options of $name', ({ good, typo, call, field = 'options' }) => {
  it('are refused by name where nobody reads them, with the one that was meant', async () => {
    const [wrong, right] = typo
    const before = await stateOf(router, stores)
    const { message } = await expectRefused(() => call({ ...good, [wrong]: 1 } as never), 'INVALID_ARGUMENT')
    expect(message).toContain(wrong)
    expect(message).toContain(`did you mean ${right}?`)
    const known = await expectRefused(
      () => call({ ...good, zzzzzzzzz: undefined } as never),
      'INVALID_ARGUMENT',
    )
    expect(known.message).toContain(right)
    expect(await stateOf(router, stores)).toEqual(before)
  })

  it('that come out of JSON pollute nothing', async () => {
    for (const text of ['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}']) {
      await expectRefused(() => call({ ...good, ...spread(text) } as never), 'INVALID_ARGUMENT')
      expect(({} as { polluted?: number }).polluted).toBeUndefined()
    }
  })

  it('are refused where they are no object', async () => {
    for (const given of [null, 7, 'text', true, [], () => {}]) {
      if (typeof given === 'string' && 'path' in good) continue
      const refusal = await refusalOf(() => call(given as never))
      expect(refusal?.code, String(given)).toBe('INVALID_ARGUMENT')
      expect(refusal!.field?.startsWith(field), refusal!.message).toBe(true)
    }
  })
})

/** Own fields of what JSON.parse gave, `__proto__` among them. */
function spread(text: string): object {
  return Object.defineProperties({}, Object.getOwnPropertyDescriptors(JSON.parse(text)))
}

describe('options of any kind', () => {
  /** Work that is not to be started: what these read is checked by rows. */
  const checked = ENTRANCES.filter(({ name }) => !/simulation|addShard|drainShard|open$/.test(name))

  it.each(checked)('are taken or refused by code: $name', async ({ good, call }) => {
    const names = await namesOf(call)
    const value = fc.oneof(
      fc.anything({
        withBigInt: true,
        withMap: true,
        withNullPrototype: true,
        withTypedArray: true,
        maxDepth: 2,
      }),
      fc.constantFrom(
        Number.NaN,
        -1,
        0,
        1e308,
        Number.POSITIVE_INFINITY,
        2 ** 53,
        'x'.repeat(100_000),
        '__proto__',
      ),
    )
    const drawn = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 2 })
    await fc.assert(
      fc.asyncProperty(drawn, async (options) => {
        await refusalOf(() => call({ ...good, ...options } as never))
      }),
      { numRuns: 60 },
    )
    const undone = await router.rollback()
    if (undone.accepted) await undone.done
  })

  it('are refused before anything is opened: ShardRouter.open', async () => {
    const names = await namesOf(ShardRouter.open as never)
    const value = fc.oneof(
      fc.anything({ withBigInt: true, maxDepth: 1 }),
      fc.constantFrom(Number.NaN, -1, 0, 1e308, 'x'.repeat(100_000)),
    )
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 2 }), async (options) => {
        const refusal = await refusalOf(() =>
          ShardRouter.open({ shards: { a: unopened() }, buckets: 4, ...options } as never),
        )
        // The store's own failure is the only other way out.
        if (refusal!.code !== 'INVALID_ARGUMENT') expect(refusal!.code).toBe('SHARD_UNAVAILABLE')
      }),
      { numRuns: 100 },
    )
  })

  it('name shards and weights that fit together', async () => {
    const shards = { a: memoryStore(), b: memoryStore() }
    for (const weights of [{ c: 2 }, { a: 0 }, { a: -1 }, { a: Number.NaN }, { a: 1e300 }, { a: '2' }, [], 7])
      await expectRefused(() => ShardRouter.open({ shards, weights } as never), 'INVALID_ARGUMENT')
    const weighted = await ShardRouter.open({ shards, buckets: 9, weights: new Map([['a', 2]]) })
    expect(weighted.placement.weightOf('a')).toBe(2)
    await weighted.close()
  })
})

/** The names that a call knows: it tells them when it is asked for one that it does not know. */
async function namesOf(call: (options: never) => unknown): Promise<string[]> {
  const refusal = await refusalOf(() => call({ zzzzzzzzzzzzzzzz: 1 } as never))
  return refusal!.message.split('known are ')[1]!.split(', ')
}

describe('listening', () => {
  it('is refused for what is never told, and for what cannot be called', async () => {
    for (const event of ['nope', 'Error', '__proto__', '', 7, Symbol('x'), undefined, null])
      for (const method of ['on', 'once'] as const)
        await expectRefused(() => router[method](event as never, () => {}), 'INVALID_ARGUMENT', 'event')
    for (const listener of [undefined, null, 7, 'f', {}])
      await expectRefused(() => router.on('error', listener as never), 'INVALID_ARGUMENT', 'listener')
    for (const listener of [undefined, null, 7])
      await expectRefused(() => router.observe(listener as never), 'INVALID_ARGUMENT', 'listener')
    expect(
      (await expectRefused(() => router.on('refusl' as never, () => {}), 'INVALID_ARGUMENT')).message,
    ).toContain('did you mean refusal?')
    const rebalancer = new Rebalancer({ router, predictor })
    await expectRefused(() => rebalancer.on('recomendation' as never, () => {}), 'INVALID_ARGUMENT', 'event')
  })
})

describe('the pure functions', () => {
  it('answer or refuse by code, whatever they are given', async () => {
    const any = fc.anything({ withBigInt: true, withTypedArray: true, maxDepth: 2 })
    await fc.assert(
      fc.asyncProperty(any, any, async (x, y) => {
        await refusalOf(() => new HashRing(x as never))
        await refusalOf(() => new HashRing(['a']).add(x as never, y as never))
        await refusalOf(() => new HashRing(['a']).shardOf(x as never))
        await refusalOf(() => placement.segmentOf(x as never))
        await refusalOf(() => placement.locate(x as never))
        await refusalOf(() => placement.shardOf(x as never))
        await refusalOf(() => placement.with(x as never))
        await refusalOf(() => placement.with(new Map([[x, y]]) as never))
        await refusalOf(() =>
          Placement.initial({ shards: ['a'], buckets: 4, schema: x, relationships: y } as never),
        )
        await refusalOf(() =>
          Placement.initial({ shards: ['a'], buckets: 4, schema: { entities: [x, y] } } as never),
        )
        await refusalOf(() => forecast(x as never, { horizon: 2 }))
        await refusalOf(() => forecast([1, x, y] as never, { horizon: 2 }))
        await refusalOf(() => accessScore(x as never, y as never))
        await refusalOf(() => router.accessScore(x as never))
        await refusalOf(() => predictor.record(x as never))
        await refusalOf(() => predictor.record({ timestamp: x, key: y, operation: 'read' } as never))
        await refusalOf(() => Predictor.restore(x as never))
      }),
    )
    await refusalOf(() => new HashRing(['a', 'b'], { points: 1e9 }))
    await expectRefused(() => new HashRing(['a', 'b'], { points: 1e9 }), 'INVALID_ARGUMENT', 'points')
    await expectRefused(() => new HashRing(['a'], { buckets: 1e9 }), 'INVALID_ARGUMENT', 'buckets')
  })

  it('refuse a misspelt tag of a schema, which would place keys elsewhere, unseen', async () => {
    const schema = { entities: [{ name: 'cart', key: 'cart:{userId}:{item}', Tag: 'userId' }] }
    const refusal = await expectRefused(
      () => Placement.initial({ shards: ['a'], schema: schema as never }),
      'INVALID_ARGUMENT',
      'schema.entities[0].Tag',
    )
    expect(refusal.message).toContain('did you mean tag?')
    const described = { entities: [{ name: 'user', key: 'user:{userId}', description: 'who' }] }
    expect(Placement.initial({ shards: ['a'], schema: described }).shards).toEqual(['a'])
  })
})
