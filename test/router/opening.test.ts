import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { seededRandom } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { ShardRouter } from '../../src/router/router'
import type { ShardStore } from '../../src/shard-store'
import { carryOut, errorOf, inVirtualTime, wrap } from './harness'

describe('opening a router', () => {
  it('refuses, naming the option, what is malformed', async () => {
    const store = memoryStore()
    const shards = { a: store }
    const cases: [unknown, string, string][] = [
      [undefined, '', 'options'],
      [{}, 'options.shards', 'must be an object'],
      [{ shards: {} }, 'options.shards', 'at least one shard'],
      [{ shards: [store] }, 'options.shards', 'must be an object'],
      [{ shards: { a: {} } }, 'options.shards.a', 'not a shard store'],
      [{ shards: { a: null } }, 'options.shards.a', 'not a shard store'],
      [{ shards: { a: store, b: store } }, 'options.shards.b', 'store of a as well'],
      [{ shards: { 'a b': store } }, 'options.shards[0]', 'no shard id'],
      [{ shards: new Map([['__proto__', store]]) }, 'options.shards[0]', 'no shard id'],
      [{ shards, weights: { a: -1 } }, 'options.shards[0].weight', 'positive'],
      [{ shards, buckets: 0 }, 'buckets', 'integer'],
      [{ shards, buckets: 1.5 }, 'buckets', 'integer'],
      [{ shards, seed: -1 }, 'options.seed', '32-bit'],
      [{ shards, topology: {} }, 'options.topology', 'topology store'],
      [{ shards, schema: { entities: [{ name: 'x', key: 'x' }] } }, 'schema.entities[0].key', 'names no'],
      [{ shards, relationships: [{ from: 'a', to: 'b', on: 'c' }] }, 'relationships', 'need a schema'],
      [{ shards, codec: 'xml' }, 'options.codec', 'json'],
      [{ shards, confidenceThreshold: 1.1 }, 'options.confidenceThreshold', '0 to 1'],
      [{ shards, confidenceThreshold: Number.NaN }, 'options.confidenceThreshold', '0 to 1'],
      [{ shards, confidenceThreshold: '0.5' }, 'options.confidenceThreshold', '0 to 1'],
      [{ shards, tracking: { halfLifeMs: 0 } }, 'options.tracking.halfLifeMs', 'positive'],
      [{ shards, tracking: null }, 'options.tracking', 'halfLifeMs'],
      [{ shards, clock: { now: Date.now } }, 'options.clock', 'Clock'],
      [{ shards, clock: null }, 'options.clock', 'Clock'],
      [{ shards, random: 0.5 }, 'options.random', 'function'],
      [{ shards, tracking: { keys: 0 } }, 'options.tracking.keys', 'from 1'],
      [{ shards, maxValueBytes: 0 }, 'options.maxValueBytes', 'from 1'],
      [{ shards, tries: 0 }, 'options.tries', 'from 1'],
      [{ shards, pollMs: -5 }, 'options.pollMs', 'positive'],
      [{ shards, migrator: 'no' }, 'options.migrator', 'batchKeys'],
      [{ shards, reservedPrefix: '' }, 'options.reservedPrefix', 'non-empty'],
    ]
    for (const [options, field, message] of cases) {
      const error = await errorOf(ShardRouter.open(options as never))
      expect(error.code, field).toBe('INVALID_ARGUMENT')
      expect(error.message).toContain(message)
      if (field) expect(error.field).toBe(field)
    }
    // Nothing of it was opened: the store still belongs to nobody.
    expect(await errorOf(store.size())).toMatchObject({ code: 'CLOSED' })
  })

  it(
    'founds a topology as the ring has it, and every first owner knows of its buckets',
    inVirtualTime(async (h) => {
      const router = await h.open({ buckets: 64, weights: { c: 2 }, seed: 5 })
      const shards = ['a', 'b', { id: 'c', weight: 2 }]
      const initial = Placement.initial({ shards, buckets: 64, seed: 5 })
      expect([...router.placement.segments()]).toEqual([...initial.segments()])
      expect(router.placement.shards).toEqual(['a', 'b', 'c'])
      expect(router.placement.weightOf('c')).toBe(2)
      const topology = await h.topology.read()
      expect(topology.founded).toBe(true)
      expect(topology.shards.every(({ incarnation }) => incarnation !== '')).toBe(true)
      for (const { segment, shard } of initial.segments())
        expect(
          (await h.stores[shard]!.fences([{ segment, bucketId: Number(segment.slice(1)) }]))[0]!.record,
        ).toMatchObject({
          state: 'owned',
          epoch: 1,
        })
    }),
  )

  it(
    'goes on where a founder died, at whatever request',
    inVirtualTime(async (h) => {
      for (let deadly = 1; deadly < 12; deadly++) {
        let requests = 0
        const dying = <T extends object>(it: T): T =>
          new Proxy(it, {
            get: (target, name) => {
              const value = Reflect.get(target, name) as unknown
              if (typeof value !== 'function') return value
              // What answers at once does not cross a wire.
              if (name === 'watch') return value.bind(target)
              return (...args: unknown[]) =>
                ++requests >= deadly ? Promise.reject(new Error('died')) : value.apply(target, args)
            },
          })
        const stores = { a: h.store(), b: h.store() }
        const topology = memoryTopology({ clock: h.clock, random: seededRandom(deadly) })
        const dead = Object.fromEntries(Object.entries(stores).map(([id, store]) => [id, dying(store)]))
        await h.open({ shards: dead, topology: dying(topology) }).catch(() => {})
        const router = await h.open({ shards: stores, topology })
        await router.setMany(Array.from({ length: 30 }, (_, i) => [`k${i}`, i] as const))
        expect((await topology.read()).founded, `${deadly}`).toBe(true)
      }
    }),
  )

  it(
    'at the same time as others founds one topology',
    inVirtualTime(async (h) => {
      const routers = await Promise.all(Array.from({ length: 5 }, () => h.open()))
      await Promise.all(routers.map((router, i) => router.set(`k${i}`, i)))
      for (const router of routers) for (let i = 0; i < 5; i++) expect(await router.get(`k${i}`)).toBe(i)
    }),
  )

  it(
    'takes buckets and seed from a topology that stands, and refuses others, naming both',
    inVirtualTime(async (h) => {
      await h.open({ buckets: 8, seed: 3 })
      const later = await h.open({ buckets: undefined })
      expect(later.placement.buckets).toBe(8)
      expect(later.placement.seed).toBe(3)
      const error = await errorOf(h.open({ buckets: 16 }))
      expect(error).toMatchObject({ code: 'TOPOLOGY_MISMATCH', field: 'options.buckets' })
      expect(error.message).toContain('16')
      expect(error.message).toContain('founded with 8')
      expect(await errorOf(h.open({ seed: 4 }))).toMatchObject({ field: 'options.seed' })
    }),
  )

  it(
    'refuses a schema that gives keys other tags than that of the topology, and says in what it differs',
    inVirtualTime(async (h) => {
      const schema = (tag: string, name = 'userId') => ({
        entities: [
          { name: 'user', key: `user:{${name}}` },
          { name: 'cart', key: `cart:{${name}}:{item}`, tag },
        ],
      })
      await h.open({ schema: schema('userId') })
      const error = await errorOf(h.open({ schema: schema('item') }))
      expect(error).toMatchObject({ code: 'TOPOLOGY_MISMATCH', field: 'options.schema' })
      expect(error.message).toContain("entity 2 is 'cart:{userId}:{item} -> cart:{item}' here")
      expect(error.message).toContain("entity 2 is 'cart:{userId}:{item} -> user:{userId}' there")
      expect((await errorOf(h.open())).message).toContain("there is no schema here, and entity 1 is 'user:")
      // Another name of a field is another spelling of the same rule.
      await h.open({ schema: schema('id', 'id') })
    }),
  )

  it(
    'gives a topology that was founded without a schema its own, which all others then need',
    inVirtualTime(async (h) => {
      const { buckets, seed } = { buckets: 8, seed: 0 }
      const shards = ['a', 'b', 'c'].map((id) => ({ id, weight: 1 }))
      await h.topology.open({ buckets, seed, shards, owners: new Int32Array(8) })
      const schema = { entities: [{ name: 'cart', key: 'cart:{id}:{item}', tag: 'id' }] }
      await h.open({ schema })
      expect((await h.topology.read()).tagRule?.rules).toEqual(['cart:{id}:{item} -> cart:{id}'])
      expect(await errorOf(h.open())).toMatchObject({ code: 'TOPOLOGY_MISMATCH' })
    }),
  )

  it(
    'needs a store for every shard, and lets new ones join without buckets',
    inVirtualTime(async (h) => {
      await h.open()
      const error = await errorOf(h.open({ shards: { a: h.stores.a!, b: h.stores.b! } }))
      expect(error).toMatchObject({ code: 'TOPOLOGY_MISMATCH', shard: 'c', field: 'options.shards' })
      expect(error.message).toContain('no store for shard c')
      const router = await h.open({ shards: { ...h.stores, d: h.store() } })
      expect(router.placement.shards).toEqual(['a', 'b', 'c', 'd'])
      expect([...router.placement.segments()].some(({ shard }) => shard === 'd')).toBe(false)
      await carryOut(router, { '#0': 'd' })
    }),
  )

  it(
    'refuses the store of another shard, and of another topology',
    inVirtualTime(async (h) => {
      await h.open()
      const { a, b, c } = h.stores as { a: never; b: never; c: never }
      expect(await errorOf(h.open({ shards: { a: b, b: a, c } }))).toMatchObject({ code: 'SHARD_MISMATCH' })
      const other = memoryTopology({ clock: h.clock, random: seededRandom(77) })
      expect(await errorOf(h.open({ topology: other }))).toMatchObject({ code: 'SHARD_MISMATCH' })
    }),
  )

  it(
    'refuses a durable store that has lost what the topology knows it had, and takes one that has not',
    inVirtualTime(async (h) => {
      const router = await h.open()
      await carryOut(router, { '#0': 'a', '#1': 'b' })
      const durable = (store: ShardStore) => wrap(store, { supports: { ...store.supports, durable: true } })
      const error = await errorOf(h.open({ shards: { ...h.stores, a: durable(h.store()) } }))
      expect(error).toMatchObject({ code: 'SHARD_MISMATCH', shard: 'a' })
      expect(error.message).toContain('has lost state')
      const { a } = h.stores
      const restarted = wrap(durable(a!), {
        open: async (binding) => {
          await a!.open(binding)
          return { incarnation: 'restarted' }
        },
      })
      await h.open({ shards: { ...h.stores, a: restarted } })
      const { shards } = await h.topology.read()
      expect(shards.find(({ id }) => id === 'a')!.incarnation).toBe('restarted')
    }),
  )

  it(
    'that fails leaves nothing open',
    inVirtualTime(async (h) => {
      const c = wrap(h.stores.c!, { open: () => Promise.reject(new Error('no such host')) })
      expect(await errorOf(h.open({ shards: { ...h.stores, c } }))).toMatchObject({
        code: 'SHARD_UNAVAILABLE',
        shard: 'c',
      })
      expect(await errorOf(h.stores.a!.size())).toMatchObject({ code: 'CLOSED' })
      expect(await errorOf(h.topology.drawTicket())).toMatchObject({ code: 'CLOSED' })
      const topology = wrap(h.topology, { open: () => Promise.reject(new Error('no such file')) })
      expect(await errorOf(h.open({ topology }))).toMatchObject({ code: 'TOPOLOGY_UNAVAILABLE' })
    }),
  )
})

describe('closing a router', () => {
  it(
    'ends everything, and everything after it',
    inVirtualTime(async (h) => {
      const router = await h.open()
      await router.set('k', 1)
      await Promise.all([router.close(), router.close()])
      const after = [
        router.get('k'),
        router.has('k'),
        router.set('k', 1),
        router.delete('k'),
        router.getWithVersion('k'),
        router.update('k', () => 1),
        router.getMany(['k']),
        router.setMany([['k', 1]]),
        router.requestResharding(1, new Map([['#0', 'a']])),
        router.rollback(),
        router.addShard('d', h.store()),
        router.drainShard('a'),
      ]
      for (const promise of after) expect(await errorOf(promise)).toMatchObject({ code: 'CLOSED' })
      expect(() => router.getShardLocation('k')).toThrow('closed')
      expect(h.clock.nextAt).toBe(Number.POSITIVE_INFINITY)
      expect(await errorOf(h.stores.a!.size())).toMatchObject({ code: 'CLOSED' })
      expect(await errorOf(h.topology.drawTicket())).toMatchObject({ code: 'CLOSED' })
    }),
  )

  it(
    'leaves to others what they have open, and what was stored',
    inVirtualTime(async (h) => {
      const [one, two] = [await h.open(), await h.open()]
      await one.set('k', 1)
      await one.close()
      expect(await two.get('k')).toBe(1)
      await two.close()
      const three = await h.open()
      expect(await three.get('k')).toBe(1)
    }),
  )

  it(
    'waits for what a shard is answering, and ends what waits for a hold',
    inVirtualTime(async (h) => {
      let release = () => {}
      const a = wrap(h.stores.a!, {
        execute: async (calls) => {
          await new Promise<void>((resolve) => {
            release = resolve
          })
          return h.stores.a!.execute(calls)
        },
      })
      const held = wrap(h.stores.b!, {
        execute: async (calls) =>
          calls.map(({ segment }) => ({
            ok: false as const,
            reason: 'held' as const,
            governs: segment,
            record: { state: 'owned', epoch: 1 } as never,
            retryAfterMs: 60_000,
          })),
      })
      const router = await h.open({ shards: { ...h.stores, a, b: held } })
      const on = (shard: string) =>
        [...Array(200).keys()].map((i) => `k${i}`).find((key) => router.getShardLocation(key) === shard)!
      const slow = router.set(on('a'), 'written')
      const waiting = errorOf(router.set(on('b'), 1))
      await h.time.settle()
      const closing = router.close()
      expect(await waiting).toMatchObject({ code: 'CLOSED' })
      release()
      await slow
      await closing
    }),
  )

  it(
    'does not wait for ever for a shard that never answers',
    inVirtualTime(async (h) => {
      const never = () => new Promise<never>(() => {})
      const shards = Object.fromEntries(
        Object.entries(h.stores).map(([id, store]) => [id, wrap(store, { execute: never })]),
      )
      const router = await h.open({ shards, closeMs: 700 })
      void router.get('k')
      const begun = h.clock.now()
      await router.close()
      expect(h.clock.now() - begun).toBe(700)
    }),
  )
})
