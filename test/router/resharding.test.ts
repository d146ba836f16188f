import { describe, expect, it } from 'vitest'
import type { ReshardingReport } from '../../src/migrator/progress'
import type { SegmentId } from '../../src/placement/segment'
import type { ShardRouter } from '../../src/router/router'
import { accepted, carryOut, collect, errorOf, type Harness, inVirtualTime, wrap } from './harness'

const map = (entries: Record<string, string>) => new Map(Object.entries(entries)) as Map<SegmentId, string>

/** Where everything is, as the router sees it. */
function layout(router: ShardRouter): Record<string, string> {
  return Object.fromEntries([...router.placement.segments()].map(({ segment, shard }) => [segment, shard]))
}

async function filled(h: Harness, options = {}) {
  const router = await h.open(options)
  const entries = Array.from({ length: 80 }, (_, i) => [`{t${i % 9}}:${i}`, i] as const)
  await router.setMany(entries)
  const intact = async () => {
    expect(new Map(await collect(router.entries()))).toEqual(new Map(entries))
    expect([...(await router.getMany(entries.map(([key]) => key))).values()]).toEqual(
      entries.map(([, i]) => i),
    )
  }
  return { router, intact }
}

describe('a resharding', () => {
  it(
    'is refused, naming the entry, where the request is malformed, and changes nothing',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      await carryOut(router, { '{t1}': 'a' })
      const before = layout(router)
      const { length } = (await h.topology.read()).history
      const cases: [unknown, unknown, unknown, string, string][] = [
        [Number.NaN, map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
        [-0.1, map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
        [1.1, map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
        ['1', map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
        [Number.POSITIVE_INFINITY, map({}), {}, 'INVALID_ARGUMENT', 'confidence'],
        [1, { '#1': 'a' }, {}, 'INVALID_ARGUMENT', 'map'],
        [1, map({ '#8': 'a' }), {}, 'UNKNOWN_SEGMENT', 'map'],
        [1, map({ x: 'a' }), {}, 'UNKNOWN_SEGMENT', 'map'],
        [1, map({ '{}': 'a' }), {}, 'UNKNOWN_SEGMENT', 'map'],
        [1, map({ '#1': 'nowhere' }), {}, 'UNKNOWN_SHARD', 'map.get("#1")'],
        [1, map({ '#1': '__proto__' }), {}, 'UNKNOWN_SHARD', 'map.get("#1")'],
        [1, map({}), { merge: ['#1'] }, 'INVALID_ARGUMENT', 'options.merge'],
        [1, map({ '{t1}': 'b' }), { merge: ['{t1}'] }, 'INVALID_ARGUMENT', 'options.merge'],
        [1, map({}), { merge: ['{t2}'] }, 'UNKNOWN_SEGMENT', 'options.merge'],
        [1, map({ '#1': 'b' }), { reason: 5 }, 'INVALID_ARGUMENT', 'options.reason'],
        [1, map({ '#1': 'b' }), { reason: 'rollback to before x' }, 'INVALID_ARGUMENT', 'options.reason'],
        [1, map({}), 7, 'INVALID_ARGUMENT', 'options'],
        [
          1,
          map({ '#1': 'a', '#2': 'a', '#3': 'b' }),
          { concurrency: 0 },
          'INVALID_ARGUMENT',
          'options.concurrency',
        ],
        [
          1,
          map({ '#1': 'a', '#2': 'a', '#3': 'b' }),
          { retainMs: -1 },
          'INVALID_ARGUMENT',
          'options.retainMs',
        ],
      ]
      for (const [confidence, moves, options, code, field] of cases)
        expect(
          await errorOf(router.requestResharding(confidence as never, moves as never, options as never)),
          field,
        ).toMatchObject({ code, field })
      expect(layout(router)).toEqual(before)
      expect((await h.topology.read()).history.length).toBe(length)
    }),
  )

  it(
    'below the threshold of confidence is not accepted',
    inVirtualTime(async (h) => {
      const { router } = await filled(h, { confidenceThreshold: 0.7 })
      const target = router.placement.shardOf('#1') === 'a' ? 'b' : 'a'
      const answer = await router.requestResharding(0.69, map({ '#1': target }))
      expect(answer).toEqual({ accepted: false, reason: 'confidence 0.69 is below the threshold of 0.7' })
      accepted(await router.requestResharding(0.7, map({ '#1': target })))
    }),
  )

  it(
    'made for another placement is stale, and not accepted',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      const other = await h.openDeaf({ migrator: {} })
      const { placement } = other
      const [home, tag] = [`#${placement.bucketOf('{t1}')}` as const, '{t1}' as const]
      const to = (segment: SegmentId) => (placement.shardOf(segment) === 'a' ? 'b' : 'a')
      await carryOut(router, { [tag]: 'c' })
      for (const moves of [{ [home]: to(home) }, { [tag]: 'a' }] as Record<string, string>[]) {
        // The other router did not hear of it, and asks before it judges.
        const answer = await other.requestResharding(1, map(moves), { placement })
        expect(answer).toMatchObject({ accepted: false, reason: expect.stringContaining('stale') })
      }
      const elsewhere = [...placement.segments()].find(({ segment }) => segment !== home)!.segment
      accepted(await other.requestResharding(1, map({ [elsewhere]: to(elsewhere) }), { placement }))
    }),
  )

  it(
    'of which nothing is to be done is not accepted',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      for (const moves of [{}, { '#1': router.placement.shardOf('#1') }] as Record<string, string>[])
        expect(await router.requestResharding(1, map(moves))).toMatchObject({
          accepted: false,
          reason: expect.stringContaining('nothing to do'),
        })
    }),
  )

  it(
    'carves tags, moves, merges; its end is known to whoever waits for it and to the view',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h)
      const events: string[] = []
      const reports: ReshardingReport[] = []
      router.on('resharding', ({ id, moves, merges, reason }) =>
        events.push(`${id} ${moves} ${merges} ${reason}`),
      )
      router.on('resharded', (report) => reports.push(report))
      const home = router.placement.shardOf('{t1}')
      const to = home === 'a' ? 'b' : 'a'
      const answer = accepted(
        await router.requestResharding(0.9, map({ '{t1}': to, '{t2}': 'c' }), { reason: 'hot' }),
      )
      const report = await answer.done
      expect(report).toMatchObject({ id: answer.id, outcome: 'done' })
      expect(layout(router)).toMatchObject({ '{t1}': to, '{t2}': 'c' })
      expect(events).toEqual([`${answer.id} 2 0 hot`])
      expect(reports).toEqual([report])
      expect(router.monitorReshardingProgress()).toMatchObject({
        id: answer.id,
        phase: 'done',
        segmentsDone: 2,
      })
      await intact()
      await carryOut(router, {}, ['{t1}', '{t2}'])
      expect(Object.keys(layout(router)).length).toBe(8)
      await intact()
    }),
  )

  it(
    'can be cancelled, and can be watched',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h)
      expect(router.monitorReshardingProgress()).toMatchObject({ id: '', phase: 'done', moves: [] })
      const before = layout(router)
      const moves = map(
        Object.fromEntries(Object.keys(before).map((it) => [it, before[it] === 'a' ? 'b' : 'a'])),
      )
      const answer = accepted(
        await router.requestResharding(1, moves, { maxKeysPerSecond: 10, concurrency: 1 }),
      )
      await h.clock.sleep(2000)
      expect(router.monitorReshardingProgress().phase).toBe('running')
      await answer.cancel()
      const report = await answer.done
      expect(report.outcome).toBe('cancelled')
      expect(report.cancelled.length).toBeGreaterThan(0)
      for (const segment of report.cancelled) expect(layout(router)[segment]).toBe(before[segment])
      await intact()
      const aborted = accepted(await router.requestResharding(1, moves, { signal: AbortSignal.abort() }))
      expect((await aborted.done).outcome).toBe('cancelled')
    }),
  )

  it(
    'is not for a router that was opened not to migrate',
    inVirtualTime(async (h) => {
      const router = await h.open({ migrator: false })
      expect(await errorOf(router.requestResharding(1, map({ '#0': 'a' })))).toMatchObject({
        code: 'NOT_SUPPORTED',
      })
      expect(router.monitorReshardingProgress().moves).toEqual([])
    }),
  )
})

describe('a rollback', () => {
  it(
    'brings back the assignment before the newest resharding; repeated, the one before that; and can be undone itself',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h)
      const layouts = [layout(router)]
      const target = (segment: SegmentId) => (router.placement.shardOf(segment) === 'a' ? 'b' : 'a')
      for (const moves of [
        { '#1': target('#1') },
        { '{t1}': 'c', '{t2}': 'a' },
        { '{t1}': 'b', '#2': target('#2') },
      ] as Record<string, string>[]) {
        await carryOut(router, moves)
        layouts.push(layout(router))
      }
      const back = async (options = {}) => {
        const answer = accepted(await router.rollback(options))
        expect((await answer.done).outcome).toBe('done')
        await intact()
        return answer.id
      }
      const first = await back()
      expect(layout(router)).toEqual(layouts[2])
      await back()
      expect(layout(router)).toEqual(layouts[1])
      await back()
      expect(layout(router)).toEqual(layouts[0])
      expect(await router.rollback()).toEqual({
        accepted: false,
        reason: 'there is no resharding to roll back',
      })
      await back({ to: first })
      expect(layout(router)).toEqual(layouts[3])
      await back()
      expect(layout(router)).toEqual(layouts[2])
    }),
  )

  it(
    'goes behind the resharding that is named, and refuses one that is not known',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h)
      const start = layout(router)
      const ids: string[] = []
      const both = { '{t3}': 'b', '#1': start['#1'] === 'a' ? 'b' : 'a' }
      for (const moves of [{ '{t1}': 'c' }, both] as Record<string, string>[])
        ids.push((await carryOut(router, moves)).id)
      await carryOut(router, {}, ['{t1}'])
      await accepted(await router.rollback({ to: ids[1] })).done
      expect(layout(router)).toEqual({ ...start, '{t1}': 'c' })
      await accepted(await router.rollback({ to: ids[0] })).done
      expect(layout(router)).toEqual(start)
      await intact()
      expect(await router.rollback({ to: ids[0] })).toMatchObject({ accepted: false })
      expect(await errorOf(router.rollback({ to: 'x' }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'options.to',
      })
      expect(await errorOf(router.rollback({ to: 5 as never }))).toMatchObject({ field: 'options.to' })
    }),
  )
})

describe('a shard that joins', () => {
  it(
    'takes its share of the buckets from those that have most, and none moves between the others',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h, { buckets: 64 })
      const before = layout(router)
      const answer = accepted(await router.addShard('d', h.store()))
      expect((await answer.done).outcome).toBe('done')
      const after = layout(router)
      const moved = Object.keys(before).filter((segment) => after[segment] !== before[segment])
      expect(moved.length).toBe(16)
      expect(moved.every((segment) => after[segment] === 'd')).toBe(true)
      await intact()
    }),
  )

  it(
    'is entered by many routers at the same time, and gets its share once',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h, { buckets: 64 })
      const others = [await h.open({ buckets: 64 }), await h.open({ buckets: 64 })]
      const d = h.store()
      const answers = await Promise.all([router, ...others].map((it) => it.addShard('d', d)))
      expect(answers.filter(({ accepted }) => accepted).length).toBe(1)
      for (const answer of answers)
        if (!answer.accepted) expect(answer.reason).toContain('its store is attached')
      expect(Object.values(layout(router)).filter((shard) => shard === 'd').length).toBe(16)
      expect((await h.topology.read()).history.length).toBe(1)
      await intact()
    }),
  )

  it(
    'may stay empty, and is attached by the routers that did not add it',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      const other = await h.open()
      const d = h.store()
      expect(await router.addShard('d', d, { rebalance: false })).toMatchObject({ accepted: false })
      await carryOut(router, { '#1': 'd' })
      const key = [...Array(100).keys()].map((i) => `k${i}`).find((it) => router.locate(it).segment === '#1')!
      const error = await errorOf(other.get(key))
      expect(error).toMatchObject({ code: 'SHARD_UNAVAILABLE', shard: 'd' })
      expect(error.message).toContain('addShard("d", store)')
      expect(await other.addShard('d', d)).toMatchObject({
        accepted: false,
        reason: expect.stringContaining('attached'),
      })
      await other.set(key, 1)
      expect(await router.get(key)).toBe(1)
    }),
  )

  it(
    'is refused where it cannot keep what the others may have',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      const strict = (supports: object) => {
        const store = h.store()
        return wrap(store, { supports: { ...store.supports, ...supports } })
      }
      const cases: [string, unknown, object, string][] = [
        ['a b', h.store(), {}, 'shard[0]'],
        ['d', {}, {}, 'store'],
        ['a', h.store(), {}, 'id'],
        ['d', h.stores.a, {}, 'store'],
        ['d', h.store(), { weight: 0 }, 'shard[0].weight'],
        ['d', strict({ maxKeyBytes: 100 }), {}, 'store'],
        ['d', strict({ maxValueBytes: 100 }), {}, 'store'],
        ['d', strict({ nulInKeys: false }), {}, 'store'],
        ['d', strict({ ttl: false }), {}, 'store'],
      ]
      for (const [id, store, options, field] of cases)
        expect(await errorOf(router.addShard(id, store as never, options)), id).toMatchObject({
          code: 'INVALID_ARGUMENT',
          field,
        })
      expect(router.placement.shards).toEqual(['a', 'b', 'c'])
      const narrow = await h.open({ maxKeyBytes: 100, maxValueBytes: 50 })
      accepted(await narrow.addShard('d', strict({ maxKeyBytes: 100, maxValueBytes: 100 })))
    }),
  )
})

describe('a shard that is drained', () => {
  it(
    'gives everything to the others by weight, takes nothing, and may be left out from then on',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h, { buckets: 60, weights: { a: 1, b: 1, c: 2 } })
      await carryOut(router, { '{t1}': 'a', '{t2}': 'a' })
      const reports = await router.drainShard('a')
      expect(reports.map(({ outcome }) => outcome)).toEqual(['done'])
      const held = Object.values(layout(router))
      expect(held.includes('a')).toBe(false)
      const share = held.filter((shard) => shard === 'c').length / held.length
      expect(share).toBeGreaterThan(0.62)
      expect(share).toBeLessThan(0.71)
      expect(await h.stores.a!.size()).toEqual({ keys: 0, bytes: 0 })
      await intact()
      expect(await errorOf(router.requestResharding(1, map({ '#1': 'a' })))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'map.get("#1")',
      })
      expect(await router.drainShard('a')).toEqual([])
      expect(router.metrics().shards[0]).toMatchObject({ shard: 'a', state: 'draining', segments: 0 })
      const without = await h.open({ buckets: 60, shards: { b: h.stores.b!, c: h.stores.c! } })
      expect((await without.getMany(['{t1}:1', '{t2}:2'])).size).toBe(2)
    }),
  )

  it(
    'may leave the topology, and may come back',
    inVirtualTime(async (h) => {
      const { router, intact } = await filled(h)
      const { a } = h.stores
      await router.drainShard('a', { remove: true })
      expect(router.placement.shards).toEqual(['b', 'c'])
      await intact()
      await accepted(await router.addShard('a', a!)).done
      expect(Object.values(layout(router)).includes('a')).toBe(true)
      await router.drainShard('a')
      await accepted(await router.addShard('a', a!)).done
      expect(Object.values(layout(router)).includes('a')).toBe(true)
      await intact()
    }),
  )

  it(
    'must be known, and not the last',
    inVirtualTime(async (h) => {
      const { router } = await filled(h)
      expect(await errorOf(router.drainShard('x'))).toMatchObject({ code: 'UNKNOWN_SHARD' })
      await router.drainShard('a')
      await router.drainShard('b')
      expect(await errorOf(router.drainShard('c'))).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'id' })
      expect(new Set(Object.values(layout(router)))).toEqual(new Set(['c']))
    }),
  )
})

it(
  'a rollback whose tags another router folds back meanwhile is refused, and not called malformed',
  inVirtualTime(async (h) => {
    const other = await h.open()
    await other.set('{x}:1', 1)
    let isFolding = false
    const topology = wrap(h.topology, {
      changesSince: async (revision) => {
        // Between the reading of the history and the look at what stands.
        if (isFolding) await carryOut(other, {}, ['{x}'])
        isFolding = false
        return h.topology.changesSince(revision)
      },
    })
    const router = await h.open({ topology, pollMs: 1e12, migrator: { pollMs: 1e12 } })
    await carryOut(router, { '{x}': 'a' })
    isFolding = true
    const answer = await router.rollback()
    expect(answer).toEqual({ accepted: false, reason: expect.stringContaining('was folded back') })
  }),
)

it(
  'an option that cannot be used is refused before anything is begun',
  inVirtualTime(async (h) => {
    const { router } = await filled(h)
    const map = new Map<SegmentId, string>([['#0', router.placement.shardOf('#0') === 'a' ? 'b' : 'a']])
    for (const [options, field] of [
      [{ signal: 5 }, 'options.signal'],
      [{ signal: null }, 'options.signal'],
      [{ verify: 'yes' }, 'options.verify'],
    ] as const)
      expect(await errorOf(router.requestResharding(1, map, options as never))).toMatchObject({ field })
    expect(router.monitorReshardingProgress().id).toBe('')
  }),
)
