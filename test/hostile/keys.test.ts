import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { murmur3 } from '../../src/placement/hash'
import { isWellFormed } from '../../src/placement/key'
import { ShardRouter } from '../../src/router/router'
import { KEYS } from './corpus'
import { PLACES, type Place } from './places'
import { expectRefused, refusalOf, stateOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

const BUCKETS = 8

describe.each(PLACES)('keys over $name', ({ missing, open }) => {
  describe.skipIf(missing)('', () => {
    let place: Place
    let router: ShardRouter
    beforeAll(async () => {
      place = await open()
      const { a, b } = place.shards
      router = await ShardRouter.open({ shards: { a, b }, topology: place.topology, buckets: BUCKETS })
    })
    afterAll(async () => {
      await router.close()
      await place.end()
    })

    it('of the corpus are exact through every operation, a listing and a live move', async () => {
      const { served } = KEYS
      const longest = place.shards.a.supports.maxKeyBytes
      const keys = [...served, 'k'.repeat(longest), 'é'.repeat(longest >> 1), `{${'t'.repeat(longest - 2)}}`]
      for (const [i, key] of keys.entries()) {
        await router.set(key, `${i} before`)
        expect(await router.get(key), JSON.stringify(key)).toBe(`${i} before`)
        expect(await router.has(key)).toBe(true)
      }
      await router.setMany(keys.map((key, i) => [key, i] as const))
      const everything = new Map(keys.map((key, i) => [key, i]))
      expect(await router.getMany(keys)).toEqual(everything)

      const there = [...router.placement.segments()]
      const map = new Map(there.map(({ segment, shard }) => [segment, shard === 'a' ? 'b' : 'a']))
      const resharding = await router.requestResharding(1, map, { retainMs: 0 })
      // Written while they move.
      for (const [i, key] of keys.entries()) await router.set(key, i + 1000)
      expect(resharding.accepted && (await resharding.done).outcome).toBe('done')

      const moved = new Map(keys.map((key, i) => [key, i + 1000]))
      expect(await router.getMany(keys)).toEqual(moved)
      const listed = new Map<string, unknown>()
      for await (const [key, value] of router.entries()) listed.set(key, value)
      expect(listed).toEqual(moved)
      for (const key of keys) expect((await router.delete(key)).deleted, JSON.stringify(key)).toBe(true)
      for await (const [key] of router.entries()) expect.fail(`${key} came back`)
    })

    it('that a store could not keep are refused before anything is sent', async () => {
      const longest = place.shards.a.supports.maxKeyBytes
      const keys: unknown[] = [...KEYS.refused, 'k'.repeat(longest + 1), 'é'.repeat((longest >> 1) + 1)]
      keys.push('k'.repeat(10_000_000), '\ud800'.repeat(100), null, undefined, 7, 7n, Symbol('k'), {}, ['k'])
      const { a, b } = place.shards
      const state = () => stateOf(router, { a, b })
      const untouched = await state()
      for (const key of keys as string[]) {
        const attempts = {
          get: () => router.get(key),
          has: () => router.has(key),
          getWithVersion: () => router.getWithVersion(key),
          set: () => router.set(key, 1),
          delete: () => router.delete(key),
          update: () => router.update(key, () => expect.fail('called')),
          getMany: () => router.getMany(['good', key]),
          setMany: () =>
            router.setMany([
              ['good', 1],
              [key, 1],
            ]),
          locate: () => router.locate(key),
          getShardLocation: () => router.getShardLocation(key),
        }
        for (const [name, attempt] of Object.entries(attempts)) {
          const { message } = await expectRefused(attempt, 'INVALID_KEY')
          expect(message, name).toMatch(/string|empty|bytes|surrogate|reserved/)
          expect(message.length).toBeLessThan(300)
        }
      }
      expect(await state()).toEqual(untouched)
      expect(await router.has('good')).toBe(false)
    })

    it('of any kind are exact or refused for a reason that is theirs', async () => {
      const key = fc.oneof(
        fc.string({ unit: 'binary', minLength: 0, maxLength: 40 }),
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.string({
          unit: fc.constantFrom('{', '}', '\0', '\ud800', '\udc00', '"', '\n', '*', '#', ':', '\\'),
        }),
        fc.constantFrom(...KEYS.served, ...KEYS.refused),
      )
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), async (keys) => {
          const kept = new Map<string, string>()
          for (const [i, name] of keys.entries()) {
            const refusal = await refusalOf(() => router.set(name, `${i}`))
            const bad = name === '' || !isWellFormed(name) || name.startsWith('~foreshard')
            expect(refusal?.code).toBe(bad ? 'INVALID_KEY' : undefined)
            if (!bad) kept.set(name, `${i}`)
          }
          expect(await router.getMany(kept.keys())).toEqual(kept)
          const listed = new Map<string, unknown>()
          for await (const [name, value] of router.entries()) listed.set(name, value)
          expect(listed).toEqual(kept)
          for (const name of kept.keys()) await router.delete(name)
        }),
        { numRuns: 40 },
      )
    })
  })
})

describe('keys of a layout', () => {
  it('are bound by the strictest store, which a shard that joins may not undercut', async () => {
    const [memory, lmdb] = await Promise.all([PLACES[0]!.open(), PLACES[1]!.open()])
    const shards = { a: memory.shards.a, b: lmdb.shards.b }
    const router = await ShardRouter.open({ shards, buckets: BUCKETS })
    const { maxKeyBytes } = lmdb.shards.b.supports
    await router.set('k'.repeat(maxKeyBytes), 1)
    for (let i = 0; i < 20; i++)
      await expectRefused(() => router.set(`${i}${'k'.repeat(maxKeyBytes)}`, 1), 'INVALID_KEY', 'key')
    const wide = await ShardRouter.open({ shards: { a: memory.shards.b }, buckets: BUCKETS })
    const before = [...wide.placement.segments()]
    await expectRefused(() => wide.addShard('b', lmdb.shards.c), 'INVALID_ARGUMENT', 'store')
    expect([...wide.placement.segments()]).toEqual(before)
    await Promise.all([router.close(), wide.close()])
    await lmdb.end()
  })

  it.skipIf(PLACES[2]!.missing)('leave out what any of its stores keeps for itself', async () => {
    const redis = await PLACES[2]!.open()
    const { a } = (await PLACES[0]!.open()).shards
    // By a prefix of its own the router would let such keys in, were it not for the store.
    const reservedPrefix = 'mine:'
    const router = await ShardRouter.open({
      shards: { a, b: redis.shards.b },
      buckets: BUCKETS,
      reservedPrefix,
    })
    for (let i = 0; i < 8; i++)
      for (const key of [`~foreshard:b:${i}`, `mine:${i}`])
        await expectRefused(() => router.set(key, 1), 'INVALID_KEY', 'key')
    await router.close()
    const { a: other } = (await PLACES[0]!.open()).shards
    const narrow = { reservedPrefix, maxValueBytes: 1000, maxKeyBytes: 1000 }
    const open = await ShardRouter.open({ shards: { a: other }, buckets: BUCKETS, ...narrow })
    await open.set('~foreshard:b:3', 'a key like any other here')
    await expectRefused(() => open.addShard('c', redis.shards.c), 'INVALID_ARGUMENT', 'store')
    await open.close()
    await redis.end()
  })

  it('chosen to fall into one bucket fall apart under a secret seed, and their load is seen', async () => {
    const chosen: string[] = []
    for (let i = 0; chosen.length < 200; i++) if (murmur3(`evil${i}`) % 64 === 7) chosen.push(`evil${i}`)
    const spreadOf = async (seed?: number) => {
      const { a, b } = (await PLACES[0]!.open()).shards
      const router = await ShardRouter.open({ shards: { a, b }, buckets: 64, seed })
      for (const key of chosen) await router.set(key, 1)
      const { hotSegments } = router.metrics()
      await router.close()
      return { buckets: new Set(chosen.map((key) => router.placement.segmentOf(key))).size, hotSegments }
    }
    const known = await spreadOf()
    expect(known.buckets).toBe(1)
    expect(known.hotSegments[0]).toMatchObject({ segment: '#7', writes: 200 })
    expect((await spreadOf(0xc0ffee)).buckets).toBeGreaterThan(50)
  })

  it('of one tag, however many, are one segment whose load is seen and which can be moved away', async () => {
    const { a, b } = (await PLACES[0]!.open()).shards
    const router = await ShardRouter.open({ shards: { a, b }, buckets: BUCKETS })
    const keys = Array.from({ length: 20_000 }, (_, i) => `{whale}:${i}`)
    await router.setMany(keys.map((key) => [key, 1] as const))
    const { segment, shard } = router.locate('{whale}:0')
    expect(router.metrics().hotSegments[0]).toMatchObject({ segment, writes: 20_000 })
    const to = shard === 'a' ? 'b' : 'a'
    const resharding = await router.requestResharding(1, new Map([['{whale}' as const, to]]))
    expect(resharding.accepted && (await resharding.done).outcome).toBe('done')
    expect(router.locate('{whale}:0')).toMatchObject({ segment: '{whale}', shard: to })
    expect((await router.getMany(keys)).size).toBe(20_000)
    await router.close()
  })
})
