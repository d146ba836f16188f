import { describe, expect, it } from 'vitest'
import { PLAN, World } from './world'

describe('a migrator that cannot begin its plan', () => {
  it('because the topology takes its lease for over asks again after a pause, not at once', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const until = world.clock.now() + 10_000
    let refusals = 0
    const topology = new Proxy(world.topology, {
      get(target, name) {
        const member = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) => {
          const underTerm = name === 'commit' && (args[0] as { expect?: { term?: number } }).expect?.term
          // Whoever never pauses comes to an end here all the same.
          if (underTerm && world.clock.now() < until && ++refusals < 1_000) return Promise.resolve(undefined)
          return member.apply(target, args)
        }
      },
    })
    const migrator = world.migrator({ topology })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report.outcome).toBe('done')
    expect(refusals).toBeGreaterThan(3)
    expect(refusals).toBeLessThan(30)
    await migrator.close()
  })
})
