import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import { tagSegment } from '../../src/placement/segment'
import { PLAN, World } from './world'

/** A topology that takes no assignment for as long as a migrator goes on asking once. */
async function deaf() {
  const world = await World.open()
  const segment = tagSegment(world.tagIn(world.bucketOn('a')))
  await world.set(`${segment}:1`, 'one')
  let refusals = 0
  const topology = new Proxy(world.topology, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        const isPublication = name === 'commit' && (args[0] as object & { assignments?: unknown }).assignments
        if (isPublication && ++refusals <= 8)
          throw new ForeshardError(ErrorCode.TOPOLOGY_UNAVAILABLE, 'the topology is down')
        return member.apply(target, args)
      }
    },
  })
  return { world, segment, migrator: world.migrator({ topology, outageMs: 1 }) }
}

describe('a topology that could not be told', () => {
  it('of a tag that was carved out is told by whoever looks after what is left of the plan', async () => {
    const { world, segment, migrator } = await deaf()
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report.failed).toMatchObject([{ segment }])
    expect((await world.fence('a', segment)).state).toBe('owned')
    expect(await world.assigned(segment)).toBeUndefined()

    await world.until(migrator.steward())
    expect(await world.assigned(segment)).toBe('a')
    await world.expectTruth()
  })

  it('of a tag that was folded back likewise', async () => {
    const { world, segment, migrator } = await deaf()
    await world.until(world.migrator().run({ moves: [{ segment, to: 'a' }], ...PLAN }).done)
    await world.until(migrator.run({ moves: [], merges: [segment], ...PLAN }).done)
    expect((await world.fence('a', segment)).state).toBe('none')
    expect(await world.assigned(segment)).toBe('a')

    await world.until(migrator.steward())
    expect(await world.assigned(segment)).toBeUndefined()
    await world.expectTruth()
  })
})
