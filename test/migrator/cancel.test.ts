import { describe, expect, it } from 'vitest'
import { HANDOFF_STEPS } from '../../src/migrator/gate'
import { PLAN, World } from './world'

/** Steps of a plain handoff; those after the cutover can no longer be undone. */
const BEFORE = ['export', 'prepare', 'sweep', 'copy', 'ingest', 'catch-up', 'verify', 'cutover:before']
const AFTER = ['cutover:after', 'activate', 'publish', 'purge']
const among = (steps: string[]) => HANDOFF_STEPS.filter((it) => steps.some((step) => it.startsWith(step)))

async function cancelledAt(step: string) {
  const world = await World.open({ latencyMs: 2 })
  const segment = world.bucketOn('a')
  const later = world.bucketOn('b')
  await world.until(world.fill([...world.keysOf(segment, 30), ...world.keysOf(later, 5)]))
  let id = ''
  let cancelled: Promise<boolean> | undefined
  const migrator = world.migrator({
    failpoint: (at) => {
      if (at === step) cancelled ??= migrator.cancel(id)
    },
  })
  const moves = [
    { segment, to: 'c' },
    { segment: later, to: 'c' },
  ]
  const run = migrator.run({ moves, concurrency: 1, retainMs: 0, ...PLAN })
  id = run.id
  const report = await world.until(run.done)
  expect(await cancelled).toBe(true)
  await world.expectTruth()
  await migrator.close()
  return { world, segment, later, report, id, history: (await world.topologyNow()).history }
}

describe('a plan that is cancelled', () => {
  for (const step of among(BEFORE))
    it(`at ${step} leaves everything where it was`, async () => {
      const { world, segment, later, report, history } = await cancelledAt(step)
      expect(report).toMatchObject({
        outcome: 'cancelled',
        moved: [],
        failed: [],
        cancelled: [segment, later],
      })
      expect(await world.assigned(segment)).toBe('a')
      expect(history).toEqual([])
      // Nothing of the copy is left behind.
      expect(await world.keysOn('c')).toBe(0)
    })

  for (const step of among(AFTER))
    it(`at ${step} finishes what has been cut over, and that can be rolled back`, async () => {
      const { world, segment, later, report, id, history } = await cancelledAt(step)
      expect(report).toMatchObject({ outcome: 'cancelled', moved: [segment], failed: [], cancelled: [later] })
      expect(await world.assigned(segment)).toBe('c')
      expect(history).toMatchObject([{ id, before: [[segment, 'a']], carved: [], merged: [] }])
    })

  it('before its turn is never begun', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const migrator = world.migrator()
    const first = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    const second = migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    await migrator.cancel(second.id)
    expect(await world.until(second.done)).toMatchObject({ outcome: 'cancelled', cancelled: [segment] })
    expect(await first.done).toMatchObject({ outcome: 'done' })
    expect(await world.assigned(segment)).toBe('b')
  })

  it('by the signal that it was given stops as well', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 5))
    const signal = new AbortController()
    const migrator = world.migrator({
      failpoint: (step) => {
        if (step === 'copy:before') signal.abort()
      },
    })
    const { done } = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }, { signal: signal.signal })
    expect(await world.until(done)).toMatchObject({ outcome: 'cancelled' })
    await world.expectTruth()
  })

  it('by another process is undone by the one that carries it out', async () => {
    const world = await World.open({ latencyMs: 2 })
    const segment = world.bucketOn('a')
    await world.until(world.fill(world.keysOf(segment, 50)))
    const other = world.migrator()
    let cancelled: Promise<boolean> | undefined
    const migrator = world.migrator({
      batchKeys: 5,
      failpoint: async (step) => {
        if (step === 'copy:before') cancelled = other.cancel(migrator.progress()!.id)
      },
    })
    const { done } = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    expect(await world.until(done)).toMatchObject({ outcome: 'cancelled', moved: [] })
    expect(await cancelled).toBe(true)
    await world.expectTruth()
  })

  it('and whose process died is undone by the heir', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    const mortal = world.migrator({
      failpoint: (step) => {
        if (step === 'verify:before') throw new Error('dies')
      },
    })
    const { id, done } = mortal.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    await world.until(done.catch(() => undefined))
    const heir = world.migrator()
    expect(await world.until(heir.cancel(id))).toBe(true)
    await world.clock.advance(10_001)
    const { report } = await world.until(heir.steward())
    expect(report).toMatchObject({ id, outcome: 'cancelled', cancelled: [segment] })
    expect(await world.assigned(segment)).toBe('a')
    await world.expectTruth()
  })

  it('is unknown where there is no such plan', async () => {
    const world = await World.open()
    expect(await world.until(world.migrator().cancel('no such plan'))).toBe(false)
  })
})
