import { describe, expect, it } from 'vitest'
import type { MoveProgress, ReshardingProgress } from '../../src/migrator/progress'
import { bucketSegment } from '../../src/placement/segment'
import { intercept, PLAN, World } from './world'

describe('the migrator', () => {
  it('tells the phases of a move in their order, and every cutover', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 30))
    const migrator = world.migrator()
    const phases: string[] = []
    const cutovers: unknown[] = []
    migrator.on('move', (move) => phases.push(move.phase))
    migrator.on('cutover', (cutover) => cutovers.push(cutover))
    const { id, done } = migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 0, ...PLAN })
    await world.until(done)
    expect(phases).toEqual([
      'export',
      'prepare',
      'sweep',
      'copy',
      'catch-up',
      'verify',
      'cutover',
      'activate',
      'publish',
      'purge',
      'done',
    ])
    expect(cutovers).toEqual([{ id, segment, from: 'a', to: 'b', epoch: 2, seq: 30, heldMs: 0 }])
  })

  it('tells how far it is, how fast, and how long it will take', async () => {
    const world = await World.open({ buckets: 2, shards: ['a', 'b'] })
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 100)
    for (const key of keys) await world.set(key, 'x'.repeat(100))
    const migrator = world.migrator({ batchKeys: 10 })
    const seen: ReshardingProgress[] = []
    migrator.on('progress', (progress) => seen.push(progress))
    expect(migrator.progress()).toBeUndefined()
    const { id, done } = migrator.run({ moves: [{ segment, to: 'b' }], maxKeysPerSecond: 50, ...PLAN })
    await world.until(done)

    const half = seen.find((it) => it.keysCopied >= 50)!
    expect(half).toMatchObject({ id, phase: 'running', segmentsDone: 0, segmentsTotal: 1, ...PLAN })
    const move = half.moves[0] as MoveProgress
    expect(move).toMatchObject({ segment, from: 'a', to: 'b', phase: 'copy', error: undefined })
    expect(move.bytesCopied).toBe(100 * move.keysCopied)
    // 50 keys a second, and about 50 keys to go.
    expect(half.keysPerSecond).toBeGreaterThan(45)
    expect(half.keysPerSecond).toBeLessThan(70)
    for (const etaMs of [half.etaMs!, move.etaMs!]) {
      expect(etaMs).toBeGreaterThan(600)
      expect(etaMs).toBeLessThan(1_200)
    }
    expect(seen[0]!.etaMs).toBeUndefined()
    expect(migrator.progress()).toMatchObject({ phase: 'done', segmentsDone: 1, keysCopied: 100, etaMs: 0 })
  })

  it('is not harmed by a listener that throws', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const migrator = world.migrator()
    const errors: unknown[] = []
    let heard = 0
    migrator.on('move', () => {
      throw new Error('from the listener')
    })
    const off = migrator.on('move', () => heard++)
    migrator.on('error', (error) => {
      errors.push(error)
      throw new Error('from the listener of errors')
    })
    const first = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(first.outcome).toBe('done')
    expect(errors).toHaveLength(heard)
    const before = heard
    off()
    await world.until(migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN }).done)
    expect(heard).toBe(before)
  })

  it('that is closed in the middle undoes nothing, gives the lease back, and another goes on at once', async () => {
    const world = await World.open({ latencyMs: 2 })
    const segment = world.bucketOn('a')
    await world.until(world.fill(world.keysOf(segment, 20)))
    let closing: Promise<void> | undefined
    const migrator = world.migrator({
      failpoint: (step) => {
        if (step === 'verify:before') closing = migrator.close()
      },
    })
    migrator.start()
    const first = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    const second = migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    await expect(world.until(first.done)).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(world.until(second.done)).rejects.toMatchObject({ code: 'CLOSED' })
    await world.until(closing!)
    expect(await world.fence('a', segment)).toMatchObject({ state: 'owned', export: expect.any(Number) })
    expect(world.clock.nextAt).toBe(Number.POSITIVE_INFINITY)
    expect(() => migrator.run({ moves: [], ...PLAN })).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    await expect(migrator.steward()).rejects.toMatchObject({ code: 'CLOSED' })

    const { report } = await world.until(world.migrator().steward())
    expect(report).toMatchObject({ id: first.id, outcome: 'done', moved: [segment] })
    await world.expectTruth()
  })

  it('looks around by itself once it is started', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 20))
    const mortal = world.migrator({
      failpoint: (step) => {
        if (step === 'activate:before') throw new Error('dies')
      },
    })
    await world.until(
      mortal.run({ moves: [{ segment, to: 'b' }], retainMs: 5_000, ...PLAN }).done.catch(() => undefined),
    )
    const migrator = world.migrator()
    migrator.start()
    migrator.start()
    await world.clock.advance(9_000)
    expect((await world.topologyNow()).plan).toBeDefined()
    await world.clock.advance(3_000)
    await world.expectTruth()
    expect(await world.keysOn('a')).toBe(20)
    await world.clock.advance(6_500)
    expect(await world.keysOn('a')).toBe(0)
    await world.until(migrator.close())
    expect(world.clock.nextAt).toBe(Number.POSITIVE_INFINITY)
  })

  it('does not look around again while it still does', async () => {
    const world = await World.open()
    let asked = 0
    const slow = new Proxy(world.topology, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target)
        if (name !== 'changesSince') return typeof value === 'function' ? value.bind(target) : value
        return async (revision: number) => {
          if (++asked === 1) await world.clock.sleep(20_000)
          return target.changesSince(revision)
        }
      },
    })
    const migrator = world.migrator({ topology: slow })
    migrator.start()
    await world.clock.advance(20_500)
    expect(asked).toBe(1)
    await world.clock.advance(2_500)
    // Nothing had piled up.
    expect(asked).toBeLessThanOrEqual(4)
    await world.until(migrator.close())
    expect(world.clock.nextAt).toBe(Number.POSITIVE_INFINITY)
  })

  it('tells what goes wrong in the background', async () => {
    const world = await World.open()
    const broken = new Proxy(world.topology, {
      get: (target, name) =>
        name === 'read' ? () => Promise.reject(new Error('no answer')) : Reflect.get(target, name, target),
    })
    const migrator = world.migrator({ topology: broken })
    const errors: unknown[] = []
    migrator.on('error', (error) => errors.push(error))
    migrator.start()
    await world.clock.advance(20_000)
    expect(errors[0]).toMatchObject({
      code: 'TOPOLOGY_UNAVAILABLE',
      message: expect.stringContaining('no answer'),
    })
    await world.until(migrator.close())
  })

  it('copies large values a few at a time', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 40)
    for (const key of keys) await world.set(key, 'x'.repeat(1_000))
    let largest = 0
    const b = intercept(world.raw.get('b')!, (method, send, request) => {
      if (method === 'ingest')
        largest = Math.max(largest, (request as { changes: readonly unknown[] }).changes.length)
      return send()
    })
    let rewritten = false
    const migrator = world.migrator({
      batchBytes: 4_000,
      store: (shard) => (shard === 'b' ? b : world.raw.get(shard)),
      failpoint: async (step) => {
        if (step !== 'catch-up:before' || rewritten) return
        rewritten = true
        for (const key of keys) await world.set(key, 'y'.repeat(1_000))
      },
    })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 80, bytesCopied: 80_000 })
    expect(largest).toBeLessThanOrEqual(5)
    await world.expectTruth()
  })

  it('carries out a plan of many segments while clients write to all of them', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const world = await World.open({ seed, latencyMs: 3, buckets: 24 })
      const all = Array.from({ length: 24 }, (_, i) => bucketSegment(i))
      const keys = all.flatMap((segment) => world.keysOf(segment, 4))
      await world.until(world.fill(keys))
      const stops = [1, 2, 3].map(() => world.clients(keys, 4))
      const migrator = world.migrator()
      const moves = all.map((segment) => ({ segment, to: ['a', 'b', 'c'][Math.floor(world.random() * 3)]! }))
      const report = await world.until(migrator.run({ moves, concurrency: 5, ...PLAN }).done)
      for (const stop of stops) await world.until(stop())
      expect(report).toMatchObject({ outcome: 'done', failed: [] })
      for (const { segment, to } of moves) expect(await world.assigned(segment)).toBe(to)
      await world.expectTruth()
      await migrator.close()
    }
  })
})
