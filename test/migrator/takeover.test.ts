import { describe, expect, it } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { ErrorCode, ForeshardError } from '../../src/errors'
import { HANDOFF_STEPS } from '../../src/migrator/gate'
import { judge } from '../../src/migrator/owner'
import { type FenceRecord, NO_FENCE } from '../../src/placement/fence'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { intercept, PLAN, World } from './world'

const record = (fields: Partial<FenceRecord>): FenceRecord => ({ ...NO_FENCE, ...fields })
const judged = (records: Record<ShardId, Partial<FenceRecord>>) =>
  judge(new Map(Object.entries(records).map(([shard, fields]) => [shard, record(fields)])))

describe('the takeover table', () => {
  const moved = { state: 'moved', epoch: 4, ticket: 9, seq: 77, peer: 'b', intact: true } as const

  it('goes on from the owner, whatever the others say', () => {
    expect(
      judged({ a: { state: 'owned', epoch: 3 }, b: { state: 'importing', epoch: 4, ticket: 9 } }),
    ).toMatchObject({
      kind: 'owned',
      owner: { shard: 'a' },
    })
    expect(judged({ a: moved, b: { state: 'owned', epoch: 4 }, c: { ...moved, epoch: 2 } })).toMatchObject({
      kind: 'owned',
      owner: { shard: 'b' },
    })
  })
  it('finishes what has committed, with the proof that the source keeps', () => {
    expect(
      judged({
        a: moved,
        b: { state: 'importing', epoch: 4, ticket: 9 },
        c: { ...moved, epoch: 3, peer: 'a' },
      }),
    ).toEqual({
      kind: 'committed',
      proof: { shard: 'b', epoch: 4, ticket: 9, seq: 77 },
    })
  })
  it('stops where the target is none, or imports under another ticket', () => {
    expect(judged({ a: moved, b: {} })).toMatchObject({ kind: 'conflict' })
    expect(judged({ a: moved, b: { state: 'importing', epoch: 4, ticket: 10 } })).toMatchObject({
      kind: 'conflict',
    })
    expect(judged({ a: moved })).toMatchObject({ kind: 'conflict' })
  })
  it('stops where two own it', () => {
    expect(judged({ a: { state: 'owned' }, b: { state: 'owned' } })).toMatchObject({ kind: 'conflict' })
  })
  it('knows when nobody ever had it', () => {
    expect(judged({ a: {}, b: {} })).toEqual({ kind: 'nowhere' })
  })
})

/** A clock of a process that can be put to sleep alone. */
class SleepyClock extends ManualClock {
  asleep = false
  constructor(readonly world: ManualClock) {
    super(world.now())
  }
  async follow(): Promise<void> {
    if (!this.asleep) await this.advance(Math.max(0, this.world.now() - this.now()))
  }
}

describe('a ghost', () => {
  for (const step of HANDOFF_STEPS.filter((it) => !/carve|merge|hold|abort|discard|purge/.test(it)))
    it(`that slept at ${step} past its lease does no harm when it wakes up`, async () => {
      const world = await World.open()
      const segment = world.bucketOn('a')
      const keys = world.keysOf(segment, 30)
      await world.fill(keys)

      const clock = new SleepyClock(world.clock)
      let slept = false
      let wake = () => {}
      let fellAsleep = () => {}
      const sleeping = new Promise<void>((resolve) => {
        fellAsleep = resolve
      })
      const ghost = world.migrator({
        clock,
        batchKeys: 10,
        failpoint: (at) => {
          if (at !== step || slept) return
          slept = true
          clock.asleep = true
          fellAsleep()
          return new Promise<void>((resolve) => {
            wake = resolve
          })
        },
      })
      const { id, done } = ghost.run({ moves: [{ segment, to: 'b' }], ...PLAN })
      await sleeping
      await world.clock.advance(10_001)
      for (const key of keys.slice(0, 5)) await world.until(world.set(key, 'while it slept'))

      // The heir finishes the plan, and the next one moves the segment on.
      const heir = world.migrator()
      expect((await world.until(heir.steward())).report).toMatchObject({ id, outcome: 'done' })
      for (const key of keys.slice(5, 10)) await world.until(world.set(key, 'after the heir'))
      await world.until(heir.run({ moves: [{ segment, to: 'c' }], ...PLAN }).done)
      await world.until(world.delete(keys[0]!))

      // Its clock is still the old one, so that it believes in its lease and goes on; then it sees the time.
      wake()
      await clock.advance(0)
      await world.expectTruth()
      clock.asleep = false
      for (let i = 0; i < 200; i++) {
        await world.clock.advance(100)
        await clock.follow()
      }
      const report = await done
      expect(report.outcome === 'done' || report.failed[0]!.code === 'LEASE_HELD').toBe(true)
      expect(await world.assigned(segment)).toBe('c')
      await world.expectTruth()
    })

  it('does nothing at all once it sees what time it is', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    const clock = new ManualClock(world.clock.now())
    let requests = 0
    let awake = false
    let wake = () => {}
    const stores = new Map(
      [...world.raw].map(([shard, store]) => [
        shard,
        intercept(store, (_method, send) => {
          if (awake) requests++
          return send()
        }),
      ]),
    )
    const ghost = world.migrator({
      clock,
      store: (shard) => stores.get(shard),
      failpoint: (step) =>
        step === 'copy:after' ? new Promise<void>((resolve) => (wake = resolve)) : undefined,
    })
    ghost.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    await world.clock.advance(0)
    await world.clock.advance(10_001)
    expect(await world.topology.acquireLease('someone else', 60_000)).toBeDefined()
    // No timer of the process ran while it slept.
    clock.jump(world.clock.now())
    awake = true
    wake()
    await world.clock.advance(0)
    expect(requests).toBe(0)
    expect(await world.fence('a', segment)).toMatchObject({ state: 'owned', export: expect.any(Number) })
  })

  it('does not end the plan of someone else', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const clock = new ManualClock(world.clock.now())
    let wake = () => {}
    const ghost = world.migrator({
      clock,
      failpoint: (step) =>
        step === 'publish:after' ? new Promise<void>((resolve) => (wake = resolve)) : undefined,
    })
    const { done } = ghost.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    await world.clock.advance(0)
    await world.clock.advance(10_001)
    const heir = world.migrator({
      failpoint: (step) => {
        if (step === 'copy:after') throw new Error('dies')
      },
    })
    await world.until(heir.steward())
    const second = heir.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    await world.until(second.done.catch(() => undefined))
    wake()
    await clock.advance(100)
    expect((await world.topologyNow()).plan).toMatchObject({ id: second.id })
    await world.clock.advance(10_001)
    await clock.advance(20_000)
    expect(await done).toMatchObject({ outcome: 'done', moved: [segment] })
  })

  it('that kept its lease but lost its requests on the way does no harm when they arrive', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = await World.open({ seed, latencyMs: 3 })
      const segment = world.bucketOn('a')
      const keys = world.keysOf(segment, 25)
      await world.until(world.fill(keys))
      const random = seededRandom(seed)
      const late: (() => Promise<unknown>)[] = []
      // Requests are lost before or after they are carried out, and some come a second time at any later moment.
      const lossy = (store: ShardStore) =>
        intercept(world.travelled(store), async (method, send) => {
          if (random() < 0.1) late.push(send)
          if (late.length > 0 && random() < 0.15)
            await late.splice(Math.floor(random() * late.length), 1)[0]!().catch(() => undefined)
          const fate = random()
          if (fate < 0.05) {
            late.push(send)
            throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `${method} did not get through`)
          }
          const answer = await send()
          if (fate < 0.1)
            throw new ForeshardError(ErrorCode.OUTCOME_UNKNOWN, `the answer to ${method} was lost`)
          return answer
        })
      const stores = new Map([...world.raw].map(([shard, store]) => [shard, lossy(store)]))
      const stops = [world.clients(keys, 9), world.clients(keys, 13)]
      const migrator = world.migrator({ batchKeys: 6, store: (shard) => stores.get(shard) })
      for (const to of ['b', 'a', 'c', 'b'])
        await world.until(migrator.run({ moves: [{ segment, to }], retainMs: 500, ...PLAN }).done)
      for (const request of late) await world.until(request().catch(() => undefined))
      for (const stop of stops) await world.until(stop())
      await world.until(migrator.steward())
      await world.expectTruth()
      await migrator.close()
    }
  })
})

describe('a shard that is out of reach', () => {
  /** Shards go down and come up by name. */
  async function fragile(
    options: { down?: (shard: ShardId, method: string, argument: unknown) => boolean } = {},
  ) {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 30))
    const down = new Set<ShardId>()
    const stores = new Map(
      [...world.raw].map(([shard, store]) => [
        shard,
        intercept(store, (method, send, argument) => {
          if (down.has(shard) || options.down?.(shard, method, argument))
            throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `${shard} is down`, { shard })
          return send()
        }),
      ]),
    )
    const migrator = world.migrator({ store: (shard) => stores.get(shard) })
    const move = (to: ShardId, of: SegmentId = segment) =>
      world.until(migrator.run({ moves: [{ segment: of, to }], ...PLAN }).done)
    return { world, segment, down, migrator, move }
  }

  it('for a moment is asked again', async () => {
    let failures = 0
    const { world, move } = await fragile({ down: () => ++failures % 3 !== 0 })
    expect(await move('b')).toMatchObject({ outcome: 'done', retries: 0 })
    await world.expectTruth()
  })

  it('as the target ends the move, and the source is as it was', async () => {
    const { world, segment, move } = await fragile({
      down: (shard, method) => shard === 'b' && method === 'ingest',
    })
    expect(await move('b')).toMatchObject({
      outcome: 'failed',
      failed: [{ segment, code: 'SHARD_UNAVAILABLE' }],
    })
    expect(await world.keysOn('b')).toBe(0)
    await world.expectTruth()
    expect(await move('c')).toMatchObject({ outcome: 'done' })
    await world.expectTruth()
  })

  it('that is full ends the move', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 30))
    const full = intercept(world.raw.get('b')!, async (method, send) => {
      if (method === 'ingest') throw new ForeshardError(ErrorCode.SHARD_FULL, 'b has no room')
      return send()
    })
    const migrator = world.migrator({ store: (shard) => (shard === 'b' ? full : world.raw.get(shard)) })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report.failed).toMatchObject([{ segment, code: 'SHARD_FULL' }])
    await world.expectTruth()
  })

  it('as the source leaves the move unsettled until it is back; then it is undone', async () => {
    const { world, segment, down, migrator, move } = await fragile()
    migrator.on('move', ({ phase }) => {
      if (phase === 'verify') down.add('a')
    })
    const report = await move('b')
    expect(report.failed).toMatchObject([{ segment, code: 'SHARD_UNAVAILABLE' }])
    expect((await world.topologyNow()).plan).toMatchObject({ moves: [{ segment }], cancelled: true })
    expect(await world.fence('b', segment)).toMatchObject({ state: 'importing' })

    // Still away: nothing can be known. Another plan goes on without it.
    await world.until(migrator.steward())
    const other = world.bucketOn('b')
    expect(await move('c', other)).toMatchObject({ outcome: 'done', moved: [other], failed: [] })
    expect((await world.topologyNow()).history).toMatchObject([{ before: [[other, 'b']] }])

    down.clear()
    await world.clock.advance(60_000)
    await world.until(migrator.steward())
    expect(await world.assigned(segment)).toBe('a')
    await world.expectTruth()
  })

  it('as the source, right after the cutover that it had no time to confirm, has the move finished', async () => {
    let cut = false
    const { world, segment, migrator, move, down } = await fragile({
      down: (shard, method, command) => {
        if (cut && !down.has('up again')) return shard === 'a'
        if (shard === 'a' && method === 'step' && (command as { segment: SegmentId }).segment === segment)
          return false
        return false
      },
    })
    migrator.on('move', ({ phase }) => {
      // The request arrives, its answer does not.
      if (phase !== 'cutover' || cut) return
      cut = true
    })
    // The cutover itself is sent directly, as if it had been on its way.
    migrator.on('error', () => {})
    const report = move('b')
    await report
    const fence = await world.fence('a', segment)
    const at = { segment, bucketId: world.placement.bucketOf(segment) }
    const { epoch, export: ticket, seq } = fence
    expect(await world.raw.get('a')!.step(at, { step: 'cutover', epoch, ticket, seq })).toMatchObject({
      ok: true,
    })
    down.add('up again')
    await world.clock.advance(60_000)
    await world.until(migrator.steward())
    expect(await world.assigned(segment)).toBe('b')
    await world.expectTruth()
    expect((await world.topologyNow()).history).toMatchObject([{ before: [[segment, 'a']] }])
  })

  it('as the former owner is remembered as one that still has its copy', async () => {
    const { world, segment, down, migrator } = await fragile()
    const mortal = world.migrator({
      failpoint: (step) => {
        if (step === 'publish:before') throw new Error('dies')
      },
    })
    await world.until(mortal.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done.catch(() => undefined))
    down.add('a')
    await world.clock.advance(10_001)
    expect((await world.until(migrator.steward())).report).toMatchObject({
      outcome: 'done',
      moved: [segment],
    })
    expect((await world.topologyNow()).retained).toMatchObject([{ segment, shard: 'a', epoch: 2 }])
    down.clear()
    await world.clock.advance(60_000)
    expect(await world.until(migrator.steward())).toMatchObject({ purged: 1 })
    expect(await world.keysOn('a')).toBe(0)
    await world.expectTruth()
  })

  it('keeps its copy until it can be purged', async () => {
    const { world, segment, down, migrator } = await fragile()
    const run = migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 1_000, ...PLAN })
    await world.until(run.done)
    down.add('a')
    await world.clock.advance(1_000)
    const errors: unknown[] = []
    migrator.on('error', (error) => errors.push(error))
    expect(await world.until(migrator.steward())).toMatchObject({ purged: 0 })
    expect(errors).toMatchObject([{ code: 'SHARD_UNAVAILABLE' }])
    down.clear()
    expect(await world.until(migrator.steward())).toMatchObject({ purged: 1 })
    expect(await world.keysOn('a')).toBe(0)
    await world.expectTruth()
  })
})

describe('fences that contradict each other', () => {
  it('stop the move, keep all data, and are told', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    const mortal = world.migrator({
      failpoint: (step) => {
        if (step === 'cutover:after') throw new Error('dies')
      },
    })
    await world.until(mortal.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done.catch(() => undefined))
    // What no protocol does: the target forgets the import although its source has committed.
    const at = { segment, bucketId: world.placement.bucketOf(segment) }
    await world.raw.get('b')!.step(at, { step: 'discard', ticket: 1_000 })
    const keys = [await world.keysOn('a'), await world.keysOn('b')]

    await world.clock.advance(10_001)
    const heir = world.migrator()
    const conflicts: unknown[] = []
    heir.on('conflict', (conflict) => conflicts.push(conflict))
    const { report } = await world.until(heir.steward())
    expect(report!.failed).toMatchObject([{ segment, code: 'FENCE_CONFLICT' }])
    expect(conflicts).toMatchObject([{ segment, code: 'FENCE_CONFLICT' }])
    expect([await world.keysOn('a'), await world.keysOn('b')]).toEqual(keys)
    expect(await world.fence('a', segment)).toMatchObject({ state: 'moved', intact: true })
  })
})
