import { afterEach, describe, expect, it } from 'vitest'
import { HANDOFF_STEPS } from '../../src/migrator/gate'
import type { SegmentId } from '../../src/placement/segment'
import { BACKENDS } from './backends'
import { Fleet, keysOf, LEASE_MS, otherThan } from './fleet'
import type { Wish } from './worker'

/** On the stores that are slower to work with, the steps after which something stands that another has to go on from. */
const CROSSROADS = [
  'export:after',
  'ingest:after',
  'cutover:after',
  'activate:after',
  'carve:after',
  'merge:before',
]

describe.each(BACKENDS)('processes over $name', ({ missing, name, start }) => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it.skipIf(missing)(
    'the one that migrates is killed at any step, and another finishes or undoes the plan within seconds',
    async () => {
      const servers = await start()
      ends.push(() => servers.stop())
      const fleet = await Fleet.start(servers.places)
      ends.push(() => fleet.end())
      const late: string[] = []
      const steps = name === 'redis' ? HANDOFF_STEPS : CROSSROADS
      for (const [round, step] of steps.entries()) {
        const keys = keysOf(round)
        await fleet.load(keys, { ttl: round % 4 === 0 })
        const mover = fleet.members[round % fleet.members.length]!
        const wish = await wishFor(fleet, step, round, keys)
        // There has to be something to fold.
        if (step.startsWith('merge')) await mover.reshard({ map: [[`{t${round}}`, 'a']] })
        const moving = mover.reshard({ ...wish, dieAt: step })
        await expect(moving, step).rejects.toThrow('died')
        await mover.died
        const replaced = fleet.add()
        const ms = await fleet.settled()
        if (ms > LEASE_MS + 8_000) late.push(`${step}: ${ms} ms`)
        await replaced
      }
      await fleet.expectKept({ atLeast: 20 * steps.length })
      expect(late).toEqual([])
    },
    240_000,
  )
})

/** A plan that comes to the step. */
async function wishFor(fleet: Fleet, step: string, round: number, keys: readonly string[]): Promise<Wish> {
  const where = await fleet.where()
  const segment: SegmentId = `#${round % 8}`
  const to = otherThan(where.get(segment))
  const map: Wish['map'] = [[segment, to]]
  if (/^(abort|discard)/.test(step)) return { map, cancelAt: 'copy:after' }
  if (step.startsWith('hold')) {
    const disturb = keys[0]!
    const { segment, shard } = await fleet.locate(disturb)
    return { map: [[segment, otherThan(shard)]], disturb }
  }
  if (step.startsWith('purge')) return { map, options: { retainMs: 0 } }
  if (step.startsWith('carve')) return { map: [[`{t${round}}`, to]] }
  if (step.startsWith('merge')) return { map: [], merge: [`{t${round}}`] }
  return { map }
}
