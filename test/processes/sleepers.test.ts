import { afterEach, describe, it } from 'vitest'
import { systemClock } from '../../src/clock'
import { BACKENDS } from './backends'
import { Fleet, keysOf, LEASE_MS, otherThan } from './fleet'

/** Before a step that must not be taken by whoever was superseded, and after one that it does not know to be over. */
const MOMENTS = ['prepare:before', 'ingest:before', 'cutover:before', 'activate:before', 'publish:before']
const HOUR_MS = 3_600_000
/** A grace period ends by the clock of whoever began it, which may be an hour ahead. */
const options = { retainMs: 0 }

describe.each(BACKENDS)('processes over $name', ({ missing, name, start }) => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it.skipIf(missing)(
    'one is stopped while it migrates, for longer than its lease, and goes on as if nothing had been; clocks jump by an hour',
    async () => {
      const servers = await start()
      ends.push(() => servers.stop())
      const fleet = await Fleet.start(servers.places, 2)
      ends.push(() => fleet.end())
      for (const offsetMs of [HOUR_MS, -HOUR_MS]) await fleet.add({ offsetMs })
      let jump = HOUR_MS
      const moments = name === 'redis' ? MOMENTS : MOMENTS.slice(2)
      for (const [round, sleepAt] of moments.entries()) {
        const keys = keysOf(round)
        await fleet.load(keys)
        const sleeper = fleet.members[round % fleet.members.length]!
        const others = fleet.members.filter((it) => it !== sleeper)
        const { segment, shard } = await fleet.locate(keys[0]!, others[0])
        const moving = sleeper.reshard({ map: [[segment, otherThan(shard)]], sleepAt, options })
        await systemClock.sleep(LEASE_MS + 300)
        // The others take over, and then move it on.
        await fleet.settled()
        const now = await fleet.locate(keys[0]!, others[0])
        await others[1]!.reshard({ map: [[segment, otherThan(now.shard)]], options })
        await others[0]!.ask({ what: 'rollback', retainMs: 0 }).catch(() => {})
        sleeper.signal('SIGCONT')
        await moving
        await fleet.settled()
        // In the midst of a move, forwards and back again.
        const jumping = others[1]!.reshard({ map: [[segment, now.shard]], options })
        await others[1]!.ask({ what: 'jump', ms: jump })
        jump = -jump
        await jumping
        await fleet.settled()
      }
      await fleet.expectKept({ atLeast: 20 * moments.length })
    },
    180_000,
  )
})
