import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import Keyv from 'keyv'
import { describe, expect, it, test } from 'vitest'
import { keyvStore } from '../../../src/backends/keyv'
import { memoryStore } from '../../../src/backends/memory/memory-store'
import { ManualClock, systemClock } from '../../../src/clock'
import { ErrorCode } from '../../../src/errors'
import { ShardRouter } from '../../../src/router/router'
import type { ShardStore } from '../../../src/shard-store'
import { externalStore } from '../../../src/testing/external-store'
import { testShardStore } from '../../../src/testing/shard-store-suite'
import { simulation } from '../../../src/testing/simulation'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { FailingMap } from './failing-map'

const BINDING = { topologyId: 't', shard: 'a', buckets: 8, clock: systemClock }

describe('keyvStore keeps the contract', async () => {
  await testShardStore({
    test,
    factory: () => {
      const map = new Map()
      const store = () => keyvStore(new Keyv({ store: map }), { durable: true })
      return { store: store(), clock: new ManualClock(1_000_000), reopen: async () => store() }
    },
  })
})

describe('keyvStore', () => {
  const at = (bucketId: number) => ({ segment: `#${bucketId}` as const, bucketId })
  const set = (store: ShardStore, key: string, value: string) =>
    store.execute([
      {
        ...at(1),
        epoch: 1,
        key,
        tag: key,
        operation: { kind: 'set', value: Buffer.from(value), expiresAt: 0 },
      },
    ])
  const read = async (store: ShardStore) => {
    const page = await store.scan({ ...at(1), as: { role: 'owner', epoch: 1 }, want: 'values', limit: 100 })
    if (!page.ok) throw new Error('refused')
    return Object.fromEntries(page.entries.map(({ key, value }) => [key, String(value)]))
  }

  it('says what it cannot do', () => {
    const { supports } = keyvStore(new Keyv())
    expect(supports).toMatchObject({
      atomicExecute: false,
      multiProcess: false,
      durable: false,
      nulInKeys: false,
    })
  })

  it('refuses what is no Keyv, one that forgets, and options that nobody reads', () => {
    expect(() => keyvStore(new Map())).toThrow('is not a Keyv')
    expect(() => keyvStore(new Keyv({ ttl: 1000 }))).toThrow('keyv.ttl: is 1000 ms')
    expect(() => keyvStore(new Keyv(), { leasMs: 1 } as never)).toThrow('did you mean leaseMs?')
    expect(() => keyvStore(new Keyv(), { leaseMs: 0 })).toThrow('options.leaseMs')
  })

  it('is refused to a second opener while the first has it, and free when that has closed it', async () => {
    const map = new Map()
    const [first, second] = [1, 2].map(() => keyvStore(new Keyv({ store: map })))
    await first!.open(BINDING)
    await expect(second!.open(BINDING)).rejects.toMatchObject({
      code: ErrorCode.SHARD_IN_USE,
      retryable: true,
    })
    await expect(
      ShardRouter.open({ shards: { a: keyvStore(new Keyv({ store: map })) }, buckets: 8 }),
    ).rejects.toMatchObject({ code: ErrorCode.SHARD_IN_USE })
    await first!.found([1])
    expect(await set(first!, 'k', 'v')).toMatchObject([{ ok: true }])
    await first!.close()
    await second!.open(BINDING)
    expect(await read(second!)).toEqual({ k: 'v' })
    await second!.close()
  })

  it('lets at most one of those in that come at the same time, whatever the order of their steps', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const map = new FailingMap(seed)
      const stores = [1, 2, 3].map(() =>
        keyvStore(new Keyv({ store: map }), { clock: new ManualClock(5000) }),
      )
      const opened = await Promise.allSettled(stores.map((store) => store.open(BINDING)))
      const inside = opened.filter(({ status }) => status === 'fulfilled').length
      expect(inside, `seed ${seed}`).toBeLessThanOrEqual(1)
      for (const it of opened)
        if (it.status === 'rejected') expect(it.reason).toMatchObject({ code: ErrorCode.SHARD_IN_USE })
      for (const store of stores) await store.close()
    }
  })

  it('is taken over when its holder has been silent for longer than the lease; that one then serves nothing', async () => {
    const map = new Map()
    const [frozen, clock] = [new ManualClock(0), new ManualClock(0)]
    const first = keyvStore(new Keyv({ store: map }), { clock: frozen })
    await first.open(BINDING)
    await first.found([1])
    const second = keyvStore(new Keyv({ store: map }), { clock })
    await clock.advance(14_999)
    await expect(second.open(BINDING)).rejects.toMatchObject({ code: ErrorCode.SHARD_IN_USE })
    await clock.advance(2)
    const opening = second.open(BINDING)
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(10_000)
    await opening
    // Time passes for the first again: what it asks for next finds that it has lost.
    for (const ask of [() => set(first, 'k', 'stale'), () => read(first)])
      await expect(ask()).rejects.toMatchObject({ code: ErrorCode.SHARD_UNAVAILABLE })
    expect(await set(second, 'k', 'v')).toMatchObject([{ ok: true }])
    await first.close()
    expect(await read(second)).toEqual({ k: 'v' })
    await second.close()
  })

  it('is not taken over from a holder whose clock is behind, but who beats', async () => {
    const map = new Map()
    const [behind, clock] = [new ManualClock(0), new ManualClock(1_000_000)]
    const first = keyvStore(new Keyv({ store: map }), { clock: behind })
    await first.open(BINDING)
    const opening = keyvStore(new Keyv({ store: map }), { clock }).open(BINDING)
    const refused = expect(opening).rejects.toMatchObject({ code: ErrorCode.SHARD_IN_USE })
    await new Promise((resolve) => setImmediate(resolve))
    await behind.advance(6000)
    await clock.advance(10_000)
    await refused
    await first.close()
  })

  it('has done all of a step or nothing, wherever the process dies', async () => {
    // What a process does that is not interrupted decides where others may be.
    const whole = new FailingMap()
    const story = async (store: ShardStore) => {
      await store.open(BINDING)
      await store.found([1, 2])
      for (const [key, value] of [
        ['a', '1'],
        ['b', '1'],
        ['a', '2'],
      ] as const)
        await set(store, key, value)
      await store.step({ segment: '{b}', bucketId: 1 }, { step: 'split', epoch: 1, ticket: 2 })
    }
    await story(keyvStore(new Keyv({ store: whole })))
    let unfinished = 0
    for (let writes = 1; writes < whole.writes; writes++) {
      const map = new FailingMap()
      map.diesAfter = writes
      await story(keyvStore(new Keyv({ store: map }))).catch(() => {})
      map.revive()
      map.delete('keyv:~foreshard:owner')
      const store = keyvStore(new Keyv({ store: map }))
      await store.open(BINDING)
      await store.found([1, 2])
      const [home] = await store.fences([at(1)])
      const { seq, epoch, carved } = home!.record
      if (epoch === 2) {
        expect([...carved]).toEqual(['b'])
        const [tag] = await store.fences([{ segment: '{b}', bucketId: 1 }])
        expect(tag!.record).toMatchObject({ state: 'owned', epoch: 2 })
      } else {
        expect(await read(store)).toEqual([{}, { a: '1' }, { a: '1', b: '1' }, { a: '2', b: '1' }][seq])
        if (seq < 3) unfinished++
      }
      expect(await store.size()).toEqual(
        [
          { keys: 0, bytes: 0 },
          { keys: 1, bytes: 1 },
          { keys: 2, bytes: 2 },
        ][Math.min(2, seq)],
      )
      await store.close()
    }
    expect(unfinished).toBeGreaterThan(10)
  })

  it('takes a Keyv that fails for a shard that does not answer, not for an empty one', async () => {
    for (const emitting of [false, true]) {
      const map = new FailingMap()
      const store = keyvStore(new Keyv({ store: map }))
      await store.open(BINDING)
      await store.found([1])
      await set(store, 'k', 'v')
      map.failing = emitting ? 'silently' : 'loudly'
      await expect(read(store)).rejects.toMatchObject({ code: ErrorCode.SHARD_UNAVAILABLE })
      map.failing = undefined
      expect(await read(store)).toEqual({ k: 'v' })
      await store.close()
    }
  })

  it('tells a write whose outcome it does not know, and goes on from what happened', async () => {
    const map = new FailingMap()
    const router = await ShardRouter.open({ shards: { a: keyvStore(new Keyv({ store: map })) }, buckets: 8 })
    await router.set('k', 1)
    // The journal is written, the rows are not.
    map.failsAfter = 1
    await expect(router.set('k', 2)).rejects.toMatchObject({ code: ErrorCode.OUTCOME_UNKNOWN })
    expect(await router.get('k')).toBe(2)
    await router.close()
  })

  it('moves to other stores and back while it is read and written', async () => {
    const keyv = keyvStore(new Keyv())
    const router = await ShardRouter.open({ shards: { a: keyv, b: memoryStore() }, buckets: 4 })
    for (let i = 0; i < 200; i++) await router.set(`k${i}`, 0)
    let ended = false
    const writer = (async () => {
      for (let n = 1; !ended; n++)
        for (let i = 0; i < 200; i++) {
          await router.update<number>(`k${i}`, (v) => Math.max(v!, n))
          // Stores that answer at once would leave nobody else a turn.
          await systemClock.sleep(0)
        }
      return Promise.all(Array.from({ length: 200 }, (_, i) => router.get<number>(`k${i}`)))
    })()
    for (let i = 0; i < 12; i++) {
      const segment = `#${i % 4}` as const
      const to = router.placement.shardOf(segment) === 'a' ? 'b' : 'a'
      const resharding = await router.requestResharding(1, new Map([[segment, to]]))
      if (!resharding.accepted) throw new Error(resharding.reason)
      expect(await resharding.done).toMatchObject({ outcome: 'done' })
    }
    ended = true
    const values = await writer
    expect(new Set(values).size).toBe(1)
    await router.close()
  })

  it('keeps the promise in simulations', async () => {
    for (const seed of [1, 2, 3]) {
      const { problems } = await simulation({
        seed,
        operations: 150,
        store: (_, time) => externalStore(keyvStore(new Keyv(), { clock: time.clock }), time),
      })
      expect(problems, `seed ${seed}`).toEqual([])
    }
  })

  it.skipIf(redisIsMissing)('is refused to a second process', async () => {
    const server = await RedisServer.start()
    const open = () =>
      promisify(execFile)(process.execPath, [
        '--import',
        'tsx',
        resolve(import.meta.dirname, 'second-process.ts'),
        String(server.port),
      ])
    try {
      const { openKeyv } = await import('./second-process')
      const { keyv, end } = openKeyv(server.port)
      const store = keyvStore(keyv)
      await store.open(BINDING)
      expect((await open()).stdout).toBe('SHARD_IN_USE\n')
      await store.close()
      expect((await open()).stdout).toBe('opened\n')
      end()
    } finally {
      await server.stop()
    }
  })
})
