import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import { carryOut, errorOf, type Harness, inVirtualTime, wrap } from './harness'

function counted(h: Harness) {
  const requests: [string, number][] = []
  const shards = Object.fromEntries(
    Object.entries(h.stores).map(([id, store]) => [
      id,
      wrap(store, {
        execute: (calls) => {
          requests.push([id, calls.length])
          return store.execute(calls)
        },
      }),
    ]),
  )
  return { requests, shards }
}

const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)

describe('many keys', () => {
  it(
    'cost one request a shard, and come back in the order in which they were asked for',
    inVirtualTime(async (h) => {
      const { requests, shards } = counted(h)
      const router = await h.open({ shards })
      const written = await router.setMany(keys.map((key, i) => [key, i] as const))
      expect([...written.keys()]).toEqual(keys)
      for (const [key, { bucketId, segment, sequenceNumber, version }] of written) {
        expect({ bucketId, segment }).toMatchObject({ bucketId: router.locate(key).bucketId })
        expect(version).toBe(sequenceNumber)
      }
      expect(requests.map(([id]) => id).sort()).toEqual(['a', 'b', 'c'])
      requests.length = 0
      const wanted = ['k7', 'absent', 'k3', 'k7', 'k49']
      expect([...(await router.getMany<number>(wanted))]).toEqual([
        ['k7', 7],
        ['k3', 3],
        ['k49', 49],
      ])
      expect(requests.length).toBeLessThanOrEqual(3)
      expect(requests.reduce((sum, [, count]) => sum + count, 0)).toBe(4)
      expect(await router.getMany([])).toEqual(new Map())
      expect(await router.setMany(new Map())).toEqual(new Map())
    }),
  )

  it(
    'are sent again without the rest where some of them have moved',
    inVirtualTime(async (h) => {
      const mover = await h.open()
      await mover.setMany(keys.map((key, i) => [key, i] as const))
      const { requests, shards } = counted(h)
      const stale = await h.openDeaf({ shards })
      const target = mover.placement.shardOf('#4') === 'a' ? 'b' : 'a'
      await carryOut(mover, { '#4': target, '{k1}': 'c', '{k2}': 'c' })
      const moved = keys.filter((key) => {
        const [now, then] = [mover.locate(key), stale.locate(key)]
        return now.epoch !== then.epoch
      })
      expect([...(await stale.getMany(keys)).values()]).toEqual(keys.map((_, i) => i))
      expect(requests.slice(0, 3).reduce((sum, [, count]) => sum + count, 0)).toBe(50)
      expect(requests.slice(3).reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(
        2 * moved.length,
      )
      expect(stale.metrics().refreshes).toBeLessThanOrEqual(1)
      await stale.setMany(keys.map((key, i) => [key, -i - 1] as const))
      expect([...(await mover.getMany(keys)).values()]).toEqual(keys.map((_, i) => -i - 1))
    }),
  )

  it(
    'of which the same is written twice keep what was written last, with options of their own',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const written = await router.setMany([
        ['k', 1],
        ['ttl', 1, { ttlMs: 10 }],
        ['k', 2],
      ])
      expect(await router.get('k')).toBe(2)
      expect(written.size).toBe(2)
      await h.clock.sleep(10)
      expect(await router.has('ttl')).toBe(false)
    }),
  )

  it(
    'that cannot all be written are written as far as possible, and the error tells which are not',
    inVirtualTime(async (h) => {
      const b = wrap(h.stores.b!, { execute: () => Promise.reject(new Error('cut off')) })
      const full = () => Promise.reject(new ForeshardError(ErrorCode.SHARD_FULL, 'no room'))
      const router = await h.open({ shards: { ...h.stores, b, c: wrap(h.stores.c!, { execute: full }) } })
      const onA = keys.filter((key) => router.getShardLocation(key) === 'a')
      await router.set(onA[0]!, 'old')
      const error = await errorOf(
        router.setMany(keys.map((key, i) => [key, i, key === onA[0] ? { ifVersion: 0 } : {}] as const)),
      )
      expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', shard: 'b' })
      const why = (key: string) => error.failed!.get(key)?.code
      for (const key of keys)
        expect(why(key), key).toBe(
          { a: key === onA[0] ? 'VERSION_CONFLICT' : undefined, b: 'OUTCOME_UNKNOWN', c: 'SHARD_FULL' }[
            router.getShardLocation(key)
          ],
        )
      expect(await router.get(onA[0]!)).toBe('old')
      expect(await router.get(onA[1]!)).toBe(keys.indexOf(onA[1]!))
      expect(await errorOf(router.getMany(keys))).toMatchObject({ code: expect.stringMatching(/SHARD_/) })
    }),
  )
})
