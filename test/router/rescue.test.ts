import { describe, expect, it } from 'vitest'
import type { RescueReport } from '../../src/migrator/rescue'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import type { RouterOptions } from '../../src/router/options'
import type { ShardRouter } from '../../src/router/router'
import type { ShardStore } from '../../src/shard-store'
import { ForgetfulServer } from './forgetful-server'
import { carryOut, errorOf, type Harness, inVirtualTime } from './harness'

/** Ways in which a process may hear that a shard was restarted, other than by an operation or a step of its own. */
const NOTICED: [string, (it: Stage, router: ShardRouter) => Promise<unknown>][] = [
  [
    'an estimate of the size of a shard',
    (it) =>
      it.connections
        .at(-1)!
        .a!.size()
        .catch(() => {}),
  ],
  [
    'a search for an owner',
    (it) =>
      it.connections
        .at(-1)!
        .a!.fences()
        .catch(() => {}),
  ],
  ['a listing', (_, router) => errorOf(collect(router))],
]

/** Shards a and b that may forget, and routers with connections of their own. */
class Stage {
  readonly servers: Record<ShardId, ForgetfulServer>
  readonly reports: RescueReport[] = []
  /** Of every router that was opened. */
  readonly connections: Record<ShardId, ShardStore>[] = []

  constructor(
    readonly h: Harness,
    options: { durable?: boolean } = {},
  ) {
    this.servers = {
      a: new ForgetfulServer(h.clock, options),
      b: new ForgetfulServer(h.clock, options),
      c: new ForgetfulServer(h.clock, options),
    }
  }

  async open(options: Partial<RouterOptions> = {}): Promise<ShardRouter> {
    const shards = Object.fromEntries(
      Object.entries(this.servers).map(([id, server]) => [id, server.connect()]),
    )
    this.connections.push(shards)
    const router = await this.h.open({ shards, ...options })
    router.on('rescued', (report) => this.reports.push(report))
    return router
  }

  /** A bucket of this shard, and keys in it. */
  some(router: ShardRouter, shard: ShardId): { segment: SegmentId; keys: string[] } {
    const { segment } = [...router.placement.segments()].find((it) => it.shard === shard)!
    const keys: string[] = []
    for (let i = 0; keys.length < 5; i++)
      if (router.placement.segmentOf(`key-${i}`) === segment) keys.push(`key-${i}`)
    return { segment, keys }
  }

  fence(shard: ShardId, segment: SegmentId) {
    return this.servers[shard]!.store.fences([{ segment, bucketId: Number(segment.slice(1)) }]).then(
      ([listing]) => listing!.record,
    )
  }

  /** Every segment has one owner, and the topology knows it. */
  async expectOneOwnerEach(): Promise<void> {
    const { assignments } = await this.h.topology.read()
    for (const { segment, shard, epoch } of assignments) {
      const owners: [ShardId, number][] = []
      for (const id of Object.keys(this.servers)) {
        const record = await this.fence(id, segment)
        if (record.state === 'owned') owners.push([id, record.epoch])
      }
      expect([segment, ...owners]).toEqual([segment, [shard, epoch]])
    }
  }

  /** As long as a restart may go unnoticed where nothing is asked of the shard, and then some. */
  async noticed(): Promise<void> {
    await this.h.clock.sleep(30_000)
  }
}

const stage = (test: (stage: Stage) => Promise<void>, options?: { durable?: boolean }) =>
  inVirtualTime((h) => test(new Stage(h, options)))

describe('a shard that lost state', () => {
  it(
    'with a cutover in it does not serve what it has given away',
    stage(async (it) => {
      let before = 0
      const p = await it.open({
        migrator: {
          failpoint: (step) => {
            if (step === 'cutover:before') before = it.servers.a!.moment
          },
        },
      })
      const q = await it.open()
      const { segment, keys } = it.some(p, 'a')
      for (const key of keys) await p.set(key, 'before')
      await carryOut(p, { [segment]: 'b' })
      await q.set(keys[0]!, 'after')
      await it.servers.a!.restart(before)
      expect(await it.fence('a', segment)).toMatchObject({ state: 'owned' })
      expect(await p.get(keys[0]!)).toBe('after')
      await it.noticed()
      expect(await it.fence('a', segment)).toMatchObject({ state: 'moved', peer: 'b', intact: false })
      expect(await q.get(keys[0]!)).toBe('after')
      await it.expectOneOwnerEach()
      // Nobody may reach the old copy with an old map either.
      const late = await it.open({ migrator: false })
      expect(await late.get(keys[0]!)).toBe('after')
    }),
  )

  it(
    'fails operations on its own segments only, at once and by name, and then serves again',
    stage(async (it) => {
      const p = await it.open({ migrator: false })
      const [mine, others] = [it.some(p, 'a'), it.some(p, 'b')]
      await p.set(mine.keys[0]!, 'kept')
      await p.set(others.keys[0]!, 'kept')
      const moment = it.servers.a!.moment
      await p.set(mine.keys[1]!, 'lost')
      await it.servers.a!.restart(moment)
      const asked = it.h.clock.now()
      const failure = { code: 'SHARD_UNAVAILABLE', shard: 'a' }
      expect(await errorOf(p.get(mine.keys[0]!))).toMatchObject(failure)
      expect(await errorOf(p.set(mine.keys[0]!, 'new'))).toMatchObject(failure)
      expect(await errorOf(collect(p))).toMatchObject(failure)
      expect(await p.get(others.keys[0]!)).toBe('kept')
      expect(it.h.clock.now()).toBe(asked)
      expect(p.metrics().shards.map(({ shard, serves }) => [shard, serves])).toEqual([
        ['a', false],
        ['b', true],
        ['c', true],
      ])
      // It does not migrate, and waits for one that does.
      await it.h.clock.sleep(60_000)
      expect(await errorOf(p.get(mine.keys[0]!))).toMatchObject(failure)
      await it.open()
      await it.noticed()
      expect(await p.get(mine.keys[0]!)).toBe('kept')
      expect(await p.get(mine.keys[1]!)).toBeUndefined()
      expect(p.metrics().shards.every(({ serves }) => serves)).toBe(true)
    }),
  )

  for (const [who, notice] of NOTICED)
    it(
      `serves again where the first to notice tells nobody (${who})`,
      stage(async (it) => {
        const p = await it.open()
        const q = await it.open({ migrator: false })
        const { keys } = it.some(q, 'a')
        await it.servers.a!.restart(0)
        await notice(it, q)
        // Others have it made fit before this one asks for anything again.
        await p.get(keys[0]!).catch(() => {})
        await it.h.clock.sleep(500)
        expect(await p.get(keys[0]!)).toBeUndefined()
        await q.get(keys[0]!).catch(() => {})
        await it.h.clock.sleep(1_000)
        expect(await q.get(keys[0]!)).toBeUndefined()
      }),
    )

  it(
    'serves again where nobody asks for anything, and who noticed told nobody',
    stage(async (it) => {
      const p = await it.open()
      await it.servers.a!.restart(0)
      await it.connections[0]!.a!.size().catch(() => {})
      await it.noticed()
      expect(p.metrics().shards.every(({ serves }) => serves)).toBe(true)
    }),
  )

  it(
    'gives back what a former owner still has whole, and says what is lost',
    stage(async (it) => {
      const p = await it.open()
      const { segment, keys } = it.some(p, 'a')
      for (const key of keys) await p.set(key, 'before')
      await carryOut(p, { [segment]: 'b' })
      await p.set(keys[0]!, 'after')
      const other = it.some(p, 'b')
      await it.servers.b!.restart(0)
      await it.noticed()
      expect(await p.get(keys[0]!)).toBe('before')
      expect(await p.get(keys[4]!)).toBe('before')
      expect(p.getShardLocation(keys[0]!)).toBe('a')
      const [report] = it.reports
      expect(report!.shards).toEqual([{ shard: 'b', incarnation: 'life 2', lost: true }])
      expect(report!.losses).toContainEqual({ segment, shard: 'a', loss: 'former' })
      expect(report!.losses).toContainEqual({ segment: other.segment, shard: 'b', loss: 'everything' })
      await p.set(other.keys[0]!, 'anew')
      await it.expectOneOwnerEach()
    }),
  )

  it(
    'numbers no write as it has numbered another, so that a version never fits a value that it was not of',
    stage(async (it) => {
      const p = await it.open()
      const { keys } = it.some(p, 'a')
      await p.set(keys[0]!, 'first')
      const moment = it.servers.a!.moment
      const { version } = await p.set(keys[0]!, 'lost')
      await it.servers.a!.restart(moment)
      await it.noticed()
      await p.set(keys[0]!, 'second')
      expect(await errorOf(p.set(keys[0]!, 'third', { ifVersion: version }))).toMatchObject({
        code: 'VERSION_CONFLICT',
      })
    }),
  )

  it(
    'is not taken for what it was by a process that has not noticed yet, and sees to another shard',
    stage(async (it) => {
      const p = await it.open()
      const q = await it.open()
      const [onA, onB] = [it.some(p, 'a'), it.some(p, 'b')]
      await it.servers.a!.restart(it.servers.a!.moment)
      await errorOf(p.get(onA.keys[0]!))
      await it.h.clock.sleep(500)
      expect(await p.get(onA.keys[0]!)).toBeUndefined()
      await it.servers.b!.restart(it.servers.b!.moment)
      await errorOf(q.get(onB.keys[0]!))
      await it.h.clock.sleep(500)
      expect(await q.get(onB.keys[0]!)).toBeUndefined()
      expect(it.reports.map(({ shards }) => shards.map(({ shard }) => shard))).toEqual([['a'], ['b']])
      await it.noticed()
      expect(it.reports.length).toBe(2)
      await it.expectOneOwnerEach()
    }),
  )

  it(
    'is made fit before a router that is opened answers',
    stage(async (it) => {
      const p = await it.open()
      const { segment, keys } = it.some(p, 'a')
      await p.set(keys[0]!, 'before')
      await carryOut(p, { [segment]: 'b' })
      await p.close()
      await it.servers.a!.restart(0)
      await it.servers.b!.restart(it.servers.b!.moment)
      const q = await it.open()
      expect(await q.get(keys[0]!)).toBe('before')
      await it.expectOneOwnerEach()
    }),
  )

  for (const [nth, step] of [1, 2, 5, 9].entries())
    it(
      `is made fit by another where the first dies on the way (${nth + 1})`,
      stage(async (it) => {
        const rescues = async (at: string) => {
          if (at === 'rescue:after' && ++steps === step) throw new Error('killed')
        }
        let steps = 0
        const p = await it.open({ migrator: { failpoint: rescues } })
        const { segment, keys } = it.some(p, 'a')
        for (const key of keys) await p.set(key, 'before')
        await carryOut(p, { [segment]: 'b' })
        await it.servers.b!.restart(0)
        const q = await it.open({ migrator: { holder: 'q' } }).catch(() => undefined)
        await it.noticed()
        const r = q ?? (await it.open())
        await it.noticed()
        expect(await r.get(keys[0]!)).toBe('before')
        await it.expectOneOwnerEach()
      }),
    )

  it(
    'in the midst of a move to it has the move begun anew',
    stage(async (it) => {
      let restarted = false
      const p = await it.open({
        migrator: {
          failpoint: async (step) => {
            if (step !== 'cutover:before' || restarted) return
            restarted = true
            await it.servers.b!.restart(0)
          },
        },
      })
      const { segment, keys } = it.some(p, 'a')
      for (const key of keys) await p.set(key, 'value')
      const report = await carryOut(p, { [segment]: 'b' })
      await it.noticed()
      // Cut over, or begun anew: either way all of it is there.
      for (const key of keys) expect(await p.get(key)).toBe('value')
      expect(report.outcome).toMatch(/done|failed/)
      await it.expectOneOwnerEach()
    }),
  )

  it(
    'although it is said to be durable is not made fit, and goes on refusing',
    stage(
      async (it) => {
        const p = await it.open()
        const errors: unknown[] = []
        p.on('error', (error) => errors.push(error))
        const { segment, keys } = it.some(p, 'a')
        await p.set(keys[0]!, 'before')
        await carryOut(p, { [segment]: 'b' })
        await it.servers.a!.restart(0)
        await it.noticed()
        const mine = it.some(p, 'a')
        expect(await errorOf(p.get(mine.keys[0]!))).toMatchObject({ code: 'SHARD_UNAVAILABLE', shard: 'a' })
        expect(errors).toContainEqual(expect.objectContaining({ code: 'SHARD_MISMATCH', shard: 'a' }))
        expect(await p.get(keys[0]!)).toBe('before')
        expect(await errorOf(it.open())).toMatchObject({ code: 'SHARD_MISMATCH', shard: 'a' })
      },
      { durable: true },
    ),
  )

  it(
    'and lost nothing, being durable, keeps every epoch and version',
    stage(
      async (it) => {
        const p = await it.open()
        const { segment, keys } = it.some(p, 'a')
        await p.set(keys[0]!, 'before')
        await carryOut(p, { [segment]: 'b' })
        const { version } = await p.set(keys[0]!, 'after')
        const before = await it.h.topology.read()
        for (const id of ['a', 'b', 'c']) await it.servers[id]!.restart(it.servers[id]!.moment)
        await it.noticed()
        const now = await it.h.topology.read()
        expect([...now.assignments]).toEqual([...before.assignments])
        await p.set(keys[0]!, 'next', { ifVersion: version })
        expect(it.reports.flatMap(({ losses }) => losses)).toEqual([])
      },
      { durable: true },
    ),
  )
})

async function collect(router: ShardRouter): Promise<void> {
  for await (const _ of router.entries());
}
