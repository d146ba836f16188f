import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import type { ShardRouter } from '../../src/router/router'
import type { Page, ScanRequest } from '../../src/shard-store'
import { carryOut, collect, errorOf, type Harness, inVirtualTime, wrap } from './harness'

/** Stores whose pages hold a single entry, and which let the test act before each page of a listing. */
function slowStores(h: Harness, before: (request: ScanRequest) => Promise<void>) {
  return Object.fromEntries(
    Object.entries(h.stores).map(([id, store]) => [
      id,
      wrap(store, {
        scan: async (request: ScanRequest): Promise<Page> => {
          if (request.as.role === 'owner') await before(request)
          return store.scan(request.as.role === 'owner' ? { ...request, limit: 1 } : request)
        },
      }),
    ]),
  )
}

async function fill(router: ShardRouter, count: number): Promise<Map<string, number>> {
  const entries = new Map(Array.from({ length: count }, (_, i) => [`{t${i % 7}}:${i}`, i] as const))
  await router.setMany(entries)
  return entries
}

describe('the entries of a router', () => {
  it(
    'are every live key with its value, or those with a prefix',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const entries = await fill(router, 60)
      await router.set('short', 1, { ttlMs: 5 })
      await router.set('gone', 1)
      await router.delete('gone')
      await h.clock.sleep(5)
      expect(new Map(await collect(router.entries()))).toEqual(entries)
      const some = await collect(router.entries({ prefix: '{t3}:' }))
      expect(some.map(([key]) => key).sort()).toEqual(
        [...entries.keys()].filter((key) => key.startsWith('{t3}:')).sort(),
      )
      expect((await collect(router.entries({ prefix: '{t' }))).length).toBe(60)
      expect(await collect(router.entries({ prefix: 'nobody' }))).toEqual([])
      expect(await errorOf(collect(router.entries({ prefix: 7 as never })))).toMatchObject({
        field: 'options.prefix',
      })
    }),
  )

  it(
    'of a tag that the prefix spells out are read from its bucket alone',
    inVirtualTime(async (h) => {
      const scanned = new Set<number>()
      const shards = slowStores(h, async ({ bucketId }) => void scanned.add(bucketId))
      const router = await h.open({ shards })
      await fill(router, 60)
      await carryOut(router, { '{t3}': 'a' })
      expect((await collect(router.entries({ prefix: '{t3}:' }))).length).toBe(9)
      expect([...scanned]).toEqual([router.placement.bucketOf('{t3}')])
    }),
  )

  it(
    'come each once while segments move, are carved out and merged between any two pages',
    inVirtualTime(async (h) => {
      for (let seed = 1; seed <= 12; seed++) await churned(h, seed)
    }),
  )

  it(
    'are found by a router whose map is from before everything',
    inVirtualTime(async (h) => {
      const [mover, stale] = [await h.open(), await h.openDeaf()]
      const entries = await fill(mover, 60)
      await carryOut(mover, { '#0': 'a', '#1': 'b', '#2': 'c', '#3': 'a', '{t1}': 'c', '{t2}': 'b' })
      await carryOut(mover, { '#0': 'b', '#1': 'c', '#2': 'a', '#3': 'b', '{t3}': 'a' }, ['{t1}'])
      const found = await collect(stale.entries<number>())
      expect(found.length).toBe(entries.size)
      expect(new Map(found)).toEqual(entries)
    }),
  )

  it(
    'end with an error where a shard does not answer, and with one where a segment never comes to rest',
    inVirtualTime(async (h) => {
      const dead = wrap(h.stores.b!, { scan: () => Promise.reject(new Error('gone')) })
      const router = await h.open({ shards: { ...h.stores, b: dead } })
      expect(await errorOf(collect(router.entries()))).toMatchObject({
        code: 'SHARD_UNAVAILABLE',
        shard: 'b',
      })
      const record = { ...(await h.stores.a!.fences())[0]!.record, state: 'none' as const }
      const shards = Object.fromEntries(
        Object.entries(h.stores).map(([id, it]) => [
          id,
          wrap(it, { scan: async () => ({ ok: false as const, record }) }),
        ]),
      )
      const restless = await h.open({ shards, tries: 5 })
      expect(await errorOf(collect(restless.entries()))).toMatchObject({ code: 'TOO_MANY_REFUSALS' })
    }),
  )

  it(
    'stop being read when nobody wants more, or the router closes',
    inVirtualTime(async (h) => {
      let pages = 0
      const router = await h.open({ shards: slowStores(h, async () => void pages++) })
      await fill(router, 500)
      for await (const [key] of router.entries()) {
        expect(key).toMatch(/^\{t/)
        break
      }
      expect(pages).toBeLessThan(30)
      const rest = router.entries()
      await rest.next()
      await router.close()
      expect(await errorOf(collect(rest))).toMatchObject({ code: 'CLOSED' })
      expect(await errorOf(router.entries().next())).toMatchObject({ code: 'CLOSED' })
    }),
  )
})

/** A listing during which, before every third page, some bucket or tag changes its place. */
async function churned(h: Harness, seed: number) {
  const random = seededRandom(seed)
  const mover = await h.open()
  const entries = await fill(mover, 60)
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)]!
  let changes = 0
  let changing = Promise.resolve()
  const change = async () => {
    if (random() < 0.6 || changes > 60) return
    changes++
    const tag = `{t${Math.floor(random() * 7)}}`
    const { placement } = mover
    const carved = placement.isCarved(tag.slice(1, -1))
    if (carved && random() < 0.5) await carryOut(mover, {}, [tag])
    else if (random() < 0.5) {
      const bucket = `#${placement.bucketOf(tag as never)}` as const
      await carryOut(mover, {
        [bucket]: pick(placement.shards.filter((it) => it !== placement.shardOf(bucket))),
      })
    } else {
      const home = placement.shardOf(tag as never)
      await carryOut(mover, {
        [tag]: carved ? pick(placement.shards.filter((it) => it !== home)) : pick(placement.shards),
      })
    }
  }
  const shards = slowStores(h, () => {
    changing = changing.then(change)
    return changing
  })
  const lister = await h.open({ shards, migrator: false })
  const found = await collect(lister.entries<number>())
  expect(changes, `seed ${seed}`).toBeGreaterThan(5)
  expect(found.length, `seed ${seed}`).toBe(entries.size)
  expect(new Map(found), `seed ${seed}`).toEqual(entries)
  await lister.close()
  await mover.close()
}
