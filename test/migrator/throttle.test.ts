import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/clock'
import { Throttle } from '../../src/migrator/throttle'
import { PLAN, World } from './world'

const forever = new AbortController().signal

describe('the throttle', () => {
  async function takes(throttle: Throttle, clock: ManualClock, loads: [keys: number, bytes: number][]) {
    const at: number[] = []
    const all = Promise.all(
      loads.map(([keys, bytes]) => throttle.take(keys, bytes, forever).then(() => at.push(clock.now()))),
    )
    await clock.advance(0)
    await clock.advance(100_000)
    await all
    return at
  }

  it('lets the first batch go at once, and the next when its time has passed', async () => {
    const clock = new ManualClock(0)
    const throttle = new Throttle(clock, 100, 1e9)
    expect(
      await takes(throttle, clock, [
        [50, 1],
        [10, 1],
        [10, 1],
      ]),
    ).toEqual([0, 500, 600])
  })

  it('obeys the stricter of keys and bytes', async () => {
    const clock = new ManualClock(0)
    const throttle = new Throttle(clock, 100, 1_000)
    expect(
      await takes(throttle, clock, [
        [1, 2_000],
        [100, 1],
        [1, 1],
      ]),
    ).toEqual([0, 2_000, 3_000])
  })

  it('does not save up what was not used', async () => {
    const clock = new ManualClock(0)
    const throttle = new Throttle(clock, 10, 1e9)
    await clock.advance(60_000)
    expect(
      await takes(throttle, clock, [
        [10, 0],
        [10, 0],
      ]),
    ).toEqual([60_000, 61_000])
  })

  it('does not stand still when the clock is set back', async () => {
    const clock = new ManualClock(3_600_000)
    const throttle = new Throttle(clock, 10, 1e9)
    await throttle.take(10, 0, forever)
    clock.jump(0)
    expect(
      await takes(throttle, clock, [
        [10, 0],
        [10, 0],
      ]),
    ).toEqual([1_000, 2_000])
  })

  it('is shared by all handoffs of a plan', async () => {
    const world = await World.open()
    const segments = [world.bucketOn('a'), world.bucketOn('b')]
    for (const segment of segments) await world.fill(world.keysOf(segment, 300))
    const migrator = world.migrator({ batchKeys: 50 })
    const moves = segments.map((segment) => ({ segment, to: 'c' }))
    const report = await world.until(migrator.run({ moves, maxKeysPerSecond: 100, ...PLAN }).done)
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 600 })
    // All but the last batch of 50 has had its time.
    expect(report.durationMs).toBeGreaterThanOrEqual(5_500)
    expect(report.durationMs).toBeLessThan(6_500)
  })

  it('counts bytes, too', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const keys = world.keysOf(segment, 100)
    for (const key of keys) await world.set(key, 'x'.repeat(1_000))
    const migrator = world.migrator({ batchKeys: 10 })
    const run = migrator.run({ moves: [{ segment, to: 'c' }], maxBytesPerSecond: 10_000, ...PLAN })
    const report = await world.until(run.done)
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 100, bytesCopied: 100_000 })
    expect(report.durationMs).toBeGreaterThanOrEqual(9_000)
    expect(report.durationMs).toBeLessThan(10_500)
  })
})
