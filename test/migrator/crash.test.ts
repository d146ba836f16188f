import { describe, expect, it } from 'vitest'
import { HANDOFF_STEPS } from '../../src/migrator/gate'
import { bucketSegment, tagSegment } from '../../src/placement/segment'
import { PLAN, World } from './world'

class Crash extends Error {}

/** Three plans that together take every step: carve, move, hold, purge; merge; cancel. */
async function life(world: World, die: string, nth: number) {
  const home = world.bucketOn('a')
  const tag = world.tagIn(home)
  const keys = [...world.keysOf(home, 20), `{${tag}}:1`, `{${tag}}:2`, `{${tag}}:3`]
  await world.until(world.fill(keys))
  const other = bucketSegment(Number(world.bucketOn('b').slice(1)))
  const others = world.keysOf(other, 20)
  await world.until(world.fill(others))

  let reached = 0
  let disturbed = 0
  let cancel: () => void = () => {}
  const mortal = world.migrator({
    batchKeys: 8,
    failpoint: async (step, segment) => {
      if (step === die && ++reached === nth) throw new Crash(step)
      // A write just before each of the first cutovers: only a hold gets past that.
      if (step === 'cutover:before' && ++disturbed <= 4)
        await world.set(keys[disturbed]!, `disturbance ${disturbed}`)
      if (step === 'copy:after' && segment === other) cancel()
    },
  })
  const moves = [
    { segment: home, to: 'c' },
    { segment: tagSegment(tag), to: 'b' },
  ]
  const done: Promise<unknown>[] = [mortal.run({ moves, retainMs: 0, concurrency: 1, ...PLAN }).done]
  done.push(mortal.run({ moves: [], merges: [tagSegment(tag)], retainMs: 0, ...PLAN }).done)
  const third = mortal.run({ moves: [{ segment: other, to: 'a' }], ...PLAN })
  cancel = () => void mortal.cancel(third.id).catch(() => undefined)
  done.push(third.done)
  const results = await world.until(Promise.allSettled(done))
  return { crashed: results.some((it) => it.status === 'rejected'), keys: [...keys, ...others], mortal }
}

describe('a migrator that dies', () => {
  for (const step of HANDOFF_STEPS)
    it(`at ${step} leaves what another one finishes`, async () => {
      for (const nth of [1, 2, 3, 4, 5, 6]) {
        const world = await World.open({ seed: nth, latencyMs: 2 })
        const { crashed, keys, mortal } = await life(world, step, nth)
        // Every step is reached once at least, else this test would test nothing.
        if (nth === 1) expect(crashed).toBe(true)
        // Clients find their keys in whatever state it left them.
        for (const key of keys.slice(0, 10)) await world.until(world.set(key, `after ${step}`))
        await world.until(world.delete(keys[11]!))

        const heir = world.migrator()
        // Nothing happens while the lease of the dead one stands.
        if (crashed) expect(await world.until(heir.steward())).toEqual({ report: undefined, purged: 0 })
        await world.clock.advance(10_001)
        await world.until(heir.steward())
        await world.expectTruth()
        expect((await world.until(heir.steward())).report).toBeUndefined()
        await world.until(heir.close())
        await world.until(mortal.close())
      }
    })

  it('does not come back to life when its timers go on', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 5))
    const mortal = world.migrator({
      failpoint: (step) => {
        if (step === 'verify:after') throw new Crash()
      },
    })
    const { done } = mortal.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    mortal.start()
    await expect(world.until(done)).rejects.toThrow('crashed')
    expect(await world.fence('a', segment)).toMatchObject({ state: 'owned', export: expect.any(Number) })
    const before = [await world.fence('a', segment), await world.fence('b', segment)]
    await world.clock.advance(100_000)
    expect([await world.fence('a', segment), await world.fence('b', segment)]).toEqual(before)
    expect(before[0]!.export).toBeGreaterThan(0)
    expect((await world.topologyNow()).plan).toBeDefined()
  })
})
