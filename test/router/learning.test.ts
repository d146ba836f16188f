import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { FenceCommand } from '../../src/placement/fence'
import { NO_FENCE } from '../../src/placement/fence'
import { bucketSegment } from '../../src/placement/segment'
import type { Answer, Call, ShardStore } from '../../src/shard-store'
import type { TopologyDelta } from '../../src/topology-store'
import { carryOut, errorOf, type Harness, inVirtualTime, keyIn, wrap } from './harness'

/** Carries out a handoff of a bucket up to and including its commit, as a migrator that dies right then would. */
async function commitOnly(h: Harness, bucketId: number, from: string, to: string, ticket: number) {
  const at = { segment: bucketSegment(bucketId), bucketId }
  const step = async (shard: string, command: FenceCommand) => {
    const answer = await h.stores[shard]!.step(at, command)
    expect(answer.ok).toBe(true)
    return answer.record
  }
  const { epoch } = (await h.stores[from]!.fences([at]))[0]!.record
  await step(from, { step: 'export', epoch, ticket, peer: to })
  await step(to, { step: 'prepare', epoch, ticket })
  await h.stores[to]!.erase({ ...at, step: 'sweep', ticket, limit: 100 })
  const page = await h.stores[from]!.scan({
    ...at,
    as: { role: 'source', ticket },
    want: 'values',
    limit: 1000,
  })
  if (!page.ok) throw new Error('the source does not export')
  const changes = page.entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry }))
  await h.stores[to]!.ingest({ ...at, epoch, ticket, batch: 1, changes })
  await step(from, { step: 'cutover', epoch, ticket, seq: page.seq })
}

const failing = (store: ShardStore, error: () => unknown, sent: Call[] = []) =>
  wrap(store, {
    execute: async (calls) => {
      sent.push(...calls)
      throw error()
    },
  })

describe('a router with a map of yesterday', () => {
  it(
    'finds its way with one more round trip, then knows it',
    inVirtualTime(async (h) => {
      const [mover, stale] = [await h.open(), await h.openDeaf()]
      const key = keyIn(mover, 2)
      await stale.set(key, 'before')
      const from = mover.getShardLocation(key)
      const to = from === 'a' ? 'b' : 'a'
      await carryOut(mover, { '#2': to })
      expect(stale.getShardLocation(key)).toBe(from)

      const refusals: unknown[] = []
      const redirects: unknown[] = []
      stale.on('refusal', (event) => refusals.push(event))
      stale.on('redirect', (event) => redirects.push(event))
      expect(await stale.get(key)).toBe('before')
      expect(refusals).toEqual([
        { key, shard: from, segment: '#2', epoch: 1, reason: 'elsewhere', attempt: 1 },
      ])
      expect(redirects).toEqual([{ key, from, to, segment: '#2', epoch: 2 }])
      expect(stale.getShardLocation(key)).toBe(to)
      await stale.set(key, 'after')
      expect(refusals.length).toBe(1)
      expect(await mover.get(key)).toBe('after')
      expect(stale.metrics()).toMatchObject({ refreshes: 0, searches: 0 })
      expect(stale.metrics().shards.find(({ shard }) => shard === from)!.refused).toBe(1)
      expect(stale.metrics().shards.find(({ shard }) => shard === to)!.redirected).toBe(1)
    }),
  )

  it(
    'catches up over any number of moves, carves and merges, from wherever it stands',
    inVirtualTime(async (h) => {
      const mover = await h.open()
      const key = keyIn(mover, 2)
      const tag = `{${key}}`
      const other = keyIn(mover, 2, 1)
      const steps: [Record<string, string>, string[]?][] = [
        [{ '#2': 'a' }],
        [{ '#2': 'b' }],
        [{ [tag]: 'c' }],
        [{ '#2': 'a', [tag]: 'b' }],
        [{ '#2': 'c' }],
        [{}, [tag]],
        [{ '#2': 'b' }],
        [{ [tag]: 'b' }],
        [{ '#2': 'a' }],
      ]
      const sleepers = []
      for (const [map, merge] of steps) {
        // Each of them falls asleep at another point of the history.
        sleepers.push(await h.openDeaf())
        const current = mover.placement
        const needed = Object.entries(map).filter(
          ([segment, shard]) => current.shardOf(segment as never) !== shard || segment === tag,
        )
        if (needed.length || merge) await carryOut(mover, Object.fromEntries(needed), merge)
      }
      for (const [i, sleeper] of sleepers.entries()) {
        await sleeper.set(key, i)
        await sleeper.set(other, -1 - i)
        expect(await mover.get(key)).toBe(i)
        expect(await mover.get(other)).toBe(-1 - i)
        expect(sleeper.locate(key)).toEqual(mover.locate(key))
        expect(sleeper.locate(other)).toEqual(mover.locate(other))
      }
    }),
  )

  it(
    'completes a handoff whose migrator died between its commit and the activation',
    inVirtualTime(async (h) => {
      const [one, two] = [await h.openDeaf(), await h.openDeaf()]
      const key = keyIn(one, 2)
      await one.set(key, 1)
      const from = one.getShardLocation(key)
      const to = from === 'a' ? 'b' : 'a'
      await commitOnly(h, 2, from, to, await h.topology.drawTicket())
      // The first is told by the source, and carries the proof; afterwards nobody needs it.
      const calls: Call[] = []
      const store = h.stores[to]!
      const three = await h.openDeaf({
        shards: {
          ...h.stores,
          [to]: wrap(store, {
            execute: (its) => {
              calls.push(...its)
              return store.execute(its)
            },
          }),
        },
      })
      expect((await three.set(key, 2)).sequenceNumber).toBe(2)
      expect(await three.get(key)).toBe(2)
      expect(calls.map(({ proof }) => proof?.epoch)).toEqual([2, undefined])
      expect(await one.get(key)).toBe(2)
      expect(await two.get(key)).toBe(2)
    }),
  )

  it(
    'asks all shards where neither refusals nor the topology know',
    inVirtualTime(async (h) => {
      const mover = await h.open()
      const key = keyIn(mover, 2)
      await mover.set(key, 1)
      const from = mover.getShardLocation(key)
      const [to, last] = ['a', 'b', 'c'].filter((id) => id !== from) as [string, string]
      await carryOut(mover, { '#2': to })
      // A router that believes in a shard that never had the bucket, over a topology that is out of reach.
      const lost = await h.openDeaf()
      const unreachable = wrap(h.topology, {
        watch: () => () => {},
        changesSince: () => Promise.reject(new Error('no route')),
        open: async (founding) => {
          const topology = await h.topology.open(founding)
          const assignments = [...topology.assignments].map((it) =>
            it.segment === '#2' ? { ...it, shard: last } : it,
          )
          return { ...topology, assignments }
        },
      })
      const errors: ForeshardError[] = []
      const misled = await h.open({ topology: unreachable, migrator: false, pollMs: 1e12 })
      misled.on('error', (error) => errors.push(error as ForeshardError))
      expect(misled.getShardLocation(key)).toBe(last)
      // The owner's epoch is the one that it has been told, so only the fences can tell it better.
      await carryOut(mover, { '#2': from })
      expect(await misled.get(key)).toBe(1)
      expect(misled.getShardLocation(key)).toBe(from)
      expect(misled.metrics().searches).toBe(1)
      expect(errors.map(({ code }) => code)).toEqual(['TOPOLOGY_UNAVAILABLE'])
      await lost.close()
    }),
  )
})

describe('a change of the topology', () => {
  it(
    'reaches other routers in one message: they read nothing, unless one before it was lost',
    inVirtualTime(async (h) => {
      let hear: (delta?: TopologyDelta) => void = () => {}
      const topology = wrap(h.topology, {
        watch: (listener) => {
          hear = listener
          return () => {}
        },
      })
      const router = await h.open({ topology, migrator: false, pollMs: 1e12 })
      const revisions: number[] = []
      router.on('topology', ({ revision }) => revisions.push(revision))
      const { refreshes, revision } = router.metrics()
      const told: TopologyDelta[] = []
      h.topology.watch((delta) => told.push(delta!))
      for (const epoch of [2, 3, 4, 5])
        await h.topology.commit({ assignments: [{ segment: '#1', shard: 'abc'[epoch % 3]!, epoch }] })
      await h.clock.sleep(1)
      const before = router.placement
      hear(told[0])
      hear(told[0])
      expect(router.placement.assignmentOf('#1')).toMatchObject({ shard: 'c', epoch: 2 })
      expect(before.assignmentOf('#1').epoch).toBe(1)
      expect(router.metrics().refreshes).toBe(refreshes)
      // The second is late, the third comes without it.
      hear(told[2])
      expect(router.placement.assignmentOf('#1').epoch).toBe(2)
      await h.clock.sleep(1)
      expect(router.placement.assignmentOf('#1')).toMatchObject({ shard: 'c', epoch: 5 })
      hear(told[1])
      expect(router.placement.assignmentOf('#1').epoch).toBe(5)
      expect(router.metrics().refreshes).toBe(refreshes + 1)
      expect(revisions).toEqual([1, 2, 3, 4].map((it) => revision + it))
    }),
  )
})

describe('an operation', () => {
  it(
    'waits for a hold to end, and then is carried out',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const key = keyIn(router, 2)
      await router.set(key, 1)
      const from = router.getShardLocation(key)
      const at = { segment: bucketSegment(2), bucketId: 2 }
      const [store, ticket] = [h.stores[from]!, await h.topology.drawTicket()]
      await store.step(at, { step: 'export', epoch: 1, ticket, peer: 'a' })
      await store.step(at, { step: 'hold', epoch: 1, ticket, durationMs: 300 })
      const begun = h.clock.now()
      expect(await router.get(key)).toBe(1)
      expect(h.clock.now()).toBe(begun)
      await router.set(key, 2)
      expect(h.clock.now() - begun).toBeGreaterThanOrEqual(300)
      expect(h.clock.now() - begun).toBeLessThan(310)
      expect(router.metrics().shards.find(({ shard }) => shard === from)!.held).toBe(1)
    }),
  )

  it(
    'ends after a bounded number of refusals, with pauses that grow, and says what it heard last',
    inVirtualTime(async (h) => {
      const refuse = async (calls: readonly Call[]): Promise<Answer[]> =>
        calls.map(({ segment }) => ({
          ok: false,
          reason: 'elsewhere',
          governs: segment,
          record: { ...NO_FENCE, state: 'none', epoch: 7 },
          retryAfterMs: 0,
        }))
      const shards = Object.fromEntries(
        Object.entries(h.stores).map(([id, store]) => [
          id,
          wrap(store, { execute: refuse, fences: async () => [] }),
        ]),
      )
      const router = await h.open({ shards, tries: 9 })
      const times: number[] = []
      router.on('refusal', () => times.push(h.clock.now()))
      const error = await errorOf(router.set('k', 1))
      const { segment } = router.locate('k')
      expect(error).toMatchObject({ code: 'TOO_MANY_REFUSALS', shard: router.getShardLocation('k') })
      expect(error.message).toContain(`segment ${segment} @ 1 in 9 tries`)
      expect(error.message).toContain(`${segment} is none @ 7`)
      expect(times.length).toBe(9)
      const pauses = times.slice(1).map((time, i) => time - times[i]!)
      expect(pauses[0]).toBeGreaterThan(0)
      expect(pauses.at(-1)!).toBeGreaterThan(8 * pauses[0]!)
      expect(Math.max(...pauses)).toBeLessThanOrEqual(500)
    }),
  )

  it(
    'is never repeated where a write may have been applied',
    inVirtualTime(async (h) => {
      const sent: Call[] = []
      const cause = new Error('socket hang up')
      const router = await h.open({ shards: { ...h.stores, a: failing(h.stores.a!, () => cause, sent) } })
      const key = keyIn(router, router.placement.locate('x').bucketId)
      const onA = [...Array(100).keys()]
        .map((i) => `k${i}`)
        .find((it) => router.getShardLocation(it) === 'a')!
      for (const write of [
        () => router.set(onA, 1),
        () => router.delete(onA),
        () => router.set(onA, 1, { ifVersion: 0 }),
      ]) {
        sent.length = 0
        expect(await errorOf(write())).toMatchObject({ code: 'OUTCOME_UNKNOWN', shard: 'a', cause })
        expect(sent.length).toBe(1)
      }
      sent.length = 0
      expect(await errorOf(router.get(onA))).toMatchObject({ code: 'SHARD_UNAVAILABLE', shard: 'a', cause })
      expect(sent.length).toBe(1)
      expect(await errorOf(router.update(onA, () => 1))).toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(router.metrics().shards.find(({ shard }) => shard === 'a')!.errors).toBe(5)
      expect(key).toBeTruthy()
    }),
  )

  it(
    'fails at once, naming the shard, where nothing can have happened',
    inVirtualTime(async (h) => {
      for (const code of ['SHARD_UNAVAILABLE', 'SHARD_FULL', 'INVALID_VALUE'] as const) {
        const sent: Call[] = []
        const error = () => new ForeshardError(ErrorCode[code], 'no')
        const shards = Object.fromEntries(
          Object.entries(h.stores).map(([id, store]) => [id, failing(store, error, sent)]),
        )
        const router = await h.open({ shards })
        expect(await errorOf(router.set('k', 1))).toMatchObject({
          code,
          shard: router.getShardLocation('k'),
          message: `shard ${router.getShardLocation('k')}: no`,
        })
        expect(sent.length).toBe(1)
      }
    }),
  )

  it(
    'does not take a store at its word that answers too little',
    inVirtualTime(async (h) => {
      const shards = { ...h.stores, a: wrap(h.stores.a!, { execute: async () => [] }) }
      const router = await h.open({ shards })
      const onA = [...Array(100).keys()]
        .map((i) => `k${i}`)
        .find((it) => router.getShardLocation(it) === 'a')!
      expect(await errorOf(router.set(onA, 1))).toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    }),
  )
})

describe('three routers over the same stores', () => {
  it(
    'stay of one mind while everything moves, each with a map as old as it happens to be',
    inVirtualTime(async (h) => {
      const mover = await h.open()
      const routers = [mover, await h.openDeaf(), await h.openDeaf()]
      const keys = Array.from({ length: 40 }, (_, i) => `{t${i % 10}}:${i}`)
      let moving = true
      const moves = async () => {
        for (let round = 0; round < 6; round++) {
          const map: Record<string, string> = {}
          for (let b = 0; b < 8; b++) map[`#${b}`] = 'abc'[(b + round) % 3]!
          await h.clock.sleep(15)
          if (round % 2 === 0) map['{t3}'] = 'abc'[round % 3]!
          await carryOut(mover, map, round % 2 === 1 ? ['{t3}'] : [])
        }
        moving = false
      }
      const clients = routers.map(async (router, r) => {
        const written = new Map<string, number>()
        for (let i = 0; moving; i++) {
          const key = keys[(i * 7 + r) % keys.length]!
          await router.update<Record<string, number>>(key, (was = {}) => ({
            ...was,
            [`r${r}`]: (was[`r${r}`] ?? 0) + 1,
          }))
          written.set(key, (written.get(key) ?? 0) + 1)
          await h.clock.sleep(1)
        }
        return written
      })
      await moves()
      const written = await Promise.all(clients)
      for (const key of keys)
        for (const [r, its] of written.entries())
          for (const router of routers)
            expect((await router.get<Record<string, number>>(key))?.[`r${r}`], `${key} by ${r}`).toBe(
              its.get(key),
            )
      expect(written.every((its) => its.size > 30)).toBe(true)
      expect(routers[1]!.metrics().shards.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(5)
    }),
  )
})
