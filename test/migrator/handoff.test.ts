import { describe, expect, it } from 'vitest'
import type { Cutover } from '../../src/migrator/work'
import type { IngestRequest } from '../../src/shard-store'
import { intercept, PLAN, World } from './world'

const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1)

describe('a handoff', () => {
  it('brings every key, with its version and its expiry, to the new shard', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 600)
    await world.fill(keys)
    await world.set(keys[0]!, 'mortal', world.clock.now() + 60_000_000)
    await world.delete(keys[1]!)
    const before = await world.contents('a', segment)

    const migrator = world.migrator()
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)

    expect(report).toMatchObject({ outcome: 'done', moved: [segment], failed: [], keysCopied: 599, holds: 0 })
    expect((await world.contents('b', segment)).sort(byKey)).toEqual(before.sort(byKey))
    expect(await world.assigned(segment)).toBe('b')
    await world.expectTruth()
    await migrator.close()
  })

  it('loses nothing while clients write, whatever the order of messages', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const world = await World.open({ seed, latencyMs: 4 })
      const segment = world.bucketOn('a')
      const keys = world.keysOf(segment, 60)
      await world.until(world.fill(keys))
      const stops = [world.clients(keys, 7), world.clients(keys, 11)]
      const migrator = world.migrator({ batchKeys: 10 })
      // Verification would make good what the protocol failed to bring, so half of the runs go without.
      const verify = seed % 2 === 0
      for (const to of ['b', 'c', 'a', 'b']) {
        const report = await world.until(migrator.run({ moves: [{ segment, to }], verify, ...PLAN }).done)
        expect(report).toMatchObject({ outcome: 'done', moved: [segment] })
      }
      for (const stop of stops) await world.until(stop())
      await world.expectTruth()
      await migrator.close()
    }
  })

  it('sweeps what an earlier life of the segment left at the target', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 20)
    await world.fill(keys)
    const migrator = world.migrator()
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    await world.until(migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN }).done)
    // a still holds its copy, and its owner c does not know what changed since.
    for (const key of keys.slice(0, 10)) await world.delete(key)
    await world.until(migrator.run({ moves: [{ segment, to: 'a' }], ...PLAN }).done)
    expect(await world.contents('a', segment)).toHaveLength(10)
    await world.expectTruth()
  })

  it('back to where it came from copies only what changed', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 200)
    await world.fill(keys)
    const migrator = world.migrator()
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    await world.set(keys[3]!, 'changed')
    await world.set(keys[3]!, 'changed twice')
    await world.delete(keys[4]!)
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'a' }], ...PLAN }).done)
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 2 })
    await world.expectTruth()
  })

  it('back to where it came from copies everything once the copy there was purged', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 50))
    const migrator = world.migrator()
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 1_000, ...PLAN }).done)
    expect(await world.keysOn('a')).toBe(50)
    expect(await world.until(migrator.steward())).toEqual({ report: undefined, purged: 0 })
    await world.clock.advance(1_000)
    expect(await world.until(migrator.steward())).toEqual({ report: undefined, purged: 1 })
    expect(await world.keysOn('a')).toBe(0)
    expect((await world.topologyNow()).retained).toEqual([])
    expect(await world.fence('b', segment)).toMatchObject({ state: 'owned', trace: false })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'a' }], ...PLAN }).done)
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 50 })
    await world.expectTruth()
  })

  it('away from the new owner keeps its trace until it is over, then ends it with the old copy', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    let looked: unknown
    const migrator = world.migrator({
      failpoint: async (step) => {
        // The copy on a is due while b hands the segment back to it.
        if (step !== 'catch-up:before' || looked || world.clock.now() < 1_001_000) return
        looked = await migrator.steward()
        expect(await world.fence('b', segment)).toMatchObject({ trace: true, export: expect.any(Number) })
      },
    })
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 1_000, ...PLAN }).done)
    await world.clock.advance(1_000)
    const back = migrator.run({ moves: [{ segment, to: 'a' }], retainMs: 1_000, ...PLAN })
    expect(await world.until(back.done)).toMatchObject({ outcome: 'done', keysCopied: 0 })
    expect(looked).toEqual({ report: undefined, purged: 0 })
    await world.until(migrator.steward())
    expect((await world.topologyNow()).retained).toMatchObject([{ shard: 'b', epoch: 3 }])
    await world.expectTruth()
  })

  it('that is cancelled leaves the trace of an older move to be ended later', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    let looked: unknown
    const migrator = world.migrator({
      failpoint: async (step) => {
        if (step !== 'catch-up:before' || world.clock.now() < 1_001_000) return
        looked = await migrator.steward()
        await migrator.cancel(migrator.progress()!.id)
      },
    })
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 1_000, ...PLAN }).done)
    await world.clock.advance(1_000)
    await world.until(migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN }).done)
    expect(looked).toEqual({ report: undefined, purged: 0 })
    expect(await world.fence('b', segment)).toMatchObject({ state: 'owned', trace: true, export: 0 })
    expect(await world.until(migrator.steward())).toMatchObject({ purged: 1 })
    expect(await world.fence('b', segment)).toMatchObject({ state: 'owned', trace: false })
    await world.expectTruth()
  })

  it('without a grace period leaves nothing on the former owner', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 1_200))
    const migrator = world.migrator()
    await world.until(migrator.run({ moves: [{ segment, to: 'b' }], retainMs: 0, ...PLAN }).done)
    expect(await world.keysOn('a')).toBe(0)
    expect((await world.topologyNow()).retained).toEqual([])
    await world.expectTruth()
  })
})

describe('a hold', () => {
  it('lets a segment move that is written to without a pause, and lasts no longer than it may', async () => {
    const world = await World.open({ latencyMs: 3 })
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 40)
    await world.until(world.fill(keys))
    const stops = [1, 2, 3, 4].map(() => world.clients(keys, 0.5))
    const migrator = world.migrator({ maxHoldMs: 50 })
    const cutovers: Cutover[] = []
    migrator.on('cutover', (cutover) => cutovers.push(cutover))
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    for (const stop of stops) await world.until(stop())
    expect(report).toMatchObject({ outcome: 'done', holds: 1, retries: 0 })
    expect(report.longestHoldMs).toBeGreaterThan(0)
    expect(report.longestHoldMs).toBeLessThanOrEqual(50)
    expect(cutovers).toMatchObject([{ segment, from: 'a', to: 'b', epoch: 2, heldMs: report.longestHoldMs }])
    await world.expectTruth()
  })

  it('that ends too early for the cutover costs the attempt, and at last the move, but no write', async () => {
    const world = await World.open({ latencyMs: 20 })
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 20)
    await world.until(world.fill(keys))
    const stops = [1, 2, 3, 4, 5, 6].map(() => world.clients(keys, 0.5))
    let cutovers = 0
    const migrator = world.migrator({
      maxHoldMs: 1,
      failpoint: (step) => {
        if (step === 'cutover:before') cutovers++
      },
    })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    for (const stop of stops) await world.until(stop())
    expect(report).toMatchObject({ outcome: 'failed', holds: 5, retries: 4, longestHoldMs: 1 })
    // Three before each hold, and one when it is over already.
    expect(cutovers).toBe(20)
    expect(report.failed).toMatchObject([{ segment, code: 'TOO_MANY_REFUSALS' }])
    expect(await world.assigned(segment)).toBe('a')
    expect(await world.keysOn('b')).toBe(0)
    await world.expectTruth()
  })
})

describe('verification', () => {
  /** A world whose shard b writes down something else than it was sent, so many times. */
  async function spoiled(times: number, spoil: (request: IngestRequest) => IngestRequest, count = 30) {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, count))
    let left = times
    const b = world.raw.get('b')!
    const faulty = intercept(b, (method, send, argument) =>
      method === 'ingest' && left-- > 0 ? b.ingest(spoil(argument as IngestRequest)) : send(),
    )
    const migrator = world.migrator({ store: (shard) => (shard === 'b' ? faulty : world.raw.get(shard)) })
    const run = (verify: boolean) =>
      world.until(migrator.run({ moves: [{ segment, to: 'b' }], verify, ...PLAN }).done)
    return { world, segment, run }
  }
  const garble = (request: IngestRequest) => ({
    ...request,
    changes: request.changes.map((it, i) =>
      i === 7 ? { ...it, entry: { ...it.entry!, value: new Uint8Array([1, 2, 3]) } } : it,
    ),
  })
  const lose = (request: IngestRequest) => ({ ...request, changes: request.changes.slice(1) })
  const invent = (request: IngestRequest) => {
    const tag = 'invented'
    const entry = { ...request.changes[0]!.entry!, key: 'invented', tag }
    return { ...request, changes: [...request.changes, { key: 'invented', tag, entry }] }
  }

  for (const [what, spoil] of [
    ['a value that arrived garbled', garble],
    ['a key that was lost', lose],
    ['a key that nobody wrote', invent],
  ] as const)
    for (const count of [30, 2_500])
      it(`finds ${what} among ${count} and copies the key again`, async () => {
        const { world, segment, run } = await spoiled(1, spoil, count)
        expect(await run(true)).toMatchObject({ outcome: 'done', moved: [segment], keysCopied: count + 1 })
        await world.expectTruth()
      })

  it('undoes the move where copying again does not help', async () => {
    const { world, segment, run } = await spoiled(Number.POSITIVE_INFINITY, (request) =>
      request.changes.length > 7 ? garble(request) : { ...request, changes: [] },
    )
    const report = await run(true)
    expect(report).toMatchObject({ outcome: 'failed', failed: [{ segment, code: 'VERIFY_FAILED' }] })
    expect(await world.assigned(segment)).toBe('a')
    expect(await world.keysOn('b')).toBe(0)
    await world.expectTruth()
  })

  it('is not fooled by what clients change meanwhile', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = await World.open({ seed, latencyMs: 5 })
      const segment = world.bucketOn('a')
      const keys = world.keysOf(segment, 30)
      await world.until(world.fill(keys))
      const stops = [1, 2, 3].map(() => world.clients(keys, 3))
      const migrator = world.migrator()
      const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
      for (const stop of stops) await world.until(stop())
      expect(report.failed).toEqual([])
      await world.expectTruth()
    }
  })

  it('is left out where it was not asked for', async () => {
    const { world, run } = await spoiled(1, garble)
    expect(await run(false)).toMatchObject({ outcome: 'done', keysCopied: 30 })
    await expect(world.expectTruth()).rejects.toThrow()
  })
})
