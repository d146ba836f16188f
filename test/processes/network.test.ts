import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock'
import { CuttingProxy } from '../servers/cutting-proxy'
import { BACKENDS } from './backends'
import { Fleet, keysOf, otherThan } from './fleet'

const FAULTS = ['cut', 'held to the server', 'held from the server', 'held both ways, then cut'] as const

describe.each(BACKENDS)('processes over $name', ({ missing, start }) => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it.skipIf(missing)(
    'the connections of one that migrates are cut and held back in both directions',
    async () => {
      const servers = await start()
      ends.push(() => servers.stop())
      const fleet = await Fleet.start(servers.places, 3)
      ends.push(() => fleet.end())
      const proxies = new Map<string, CuttingProxy>()
      for (const [id, port] of Object.entries(servers.places.shards)) {
        const proxy = await CuttingProxy.to(port)
        ends.push(() => proxy.close())
        proxies.set(id, proxy)
      }
      const shards = Object.fromEntries([...proxies].map(([id, { port }]) => [id, port]))
      const mover = await fleet.add({ places: { ...servers.places, shards } })
      for (const [round, fault] of FAULTS.entries()) {
        const keys = keysOf(round)
        await fleet.load(keys)
        await systemClock.sleep(150)
        const { segment, shard } = await fleet.locate(keys[0]!)
        const to = otherThan(shard)
        const proxy = proxies.get(round % 2 ? to : shard)!
        const moving = mover.reshard({ map: [[segment, to]], options: { maxKeysPerSecond: 100 } })
        await systemClock.sleep(50)
        if (fault === 'cut') proxy.cut()
        else if (fault === 'held to the server') proxy.hold('to the server')
        else if (fault === 'held from the server') proxy.hold('from the server')
        else proxy.hold('to the server', 'from the server')
        await systemClock.sleep(1_000)
        if (fault.endsWith('cut')) proxy.cut()
        // What was held back arrives after all that was done meanwhile.
        proxy.release()
        expect((await moving).outcome, fault).toMatch(/done|failed/)
        await fleet.settled()
      }
      await fleet.expectKept({ atLeast: 200 })
    },
    120_000,
  )
})
