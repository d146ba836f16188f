import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock'
import type { RescueReport } from '../../src/migrator/rescue'
import type { ShardId } from '../../src/placement/segment'
import { redisIsMissing } from '../servers/redis-server'
import { RedisServers } from './backends'
import { Fleet, keysOf, otherThan } from './fleet'

describe.skipIf(redisIsMissing)('processes over servers that fail', () => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  const started = async (options: Parameters<typeof RedisServers.start>[0] = {}) => {
    const servers = await RedisServers.start(options)
    ends.push(() => servers.stop())
    const fleet = await Fleet.start(servers.places)
    ends.push(() => fleet.end())
    return { servers, fleet }
  }
  const rescuesOf = async (fleet: Fleet) =>
    (await Promise.all(fleet.members.map((it) => it.ask<RescueReport[]>({ what: 'rescued' })))).flat()

  it('source, target and bystander are killed and started again in the midst of moves, and keep all', async () => {
    const { servers, fleet } = await started()
    let rescues = 0
    for (const [round, whom] of (['source', 'target', 'bystander'] as const).entries()) {
      const keys = keysOf(round)
      await fleet.load(keys)
      await systemClock.sleep(200)
      const { segment, shard } = await fleet.locate(keys[0]!)
      const to = otherThan(shard)
      const killed: ShardId = { source: shard, target: to, bystander: otherThan(to) }[whom]
      // Slow enough to be met in its midst.
      const moving = fleet.members[0]!.reshard({ map: [[segment, to]], options: { maxKeysPerSecond: 100 } })
      await systemClock.sleep(150)
      await servers.shards[killed]!.kill()
      await systemClock.sleep(400)
      await servers.shards[killed]!.run()
      expect((await moving).outcome, whom).toMatch(/done|failed/)
      await fleet.settled()
      // A restart is noticed also where nothing is asked of the shard.
      const reports: RescueReport[] = []
      const rescued = async () => {
        reports.push(...(await rescuesOf(fleet)))
        return reports.flatMap(({ shards }) => shards)
      }
      await expect
        .poll(rescued, { timeout: 15_000 })
        .toContainEqual(expect.objectContaining({ shard: killed, lost: false }))
      expect(reports.flatMap(({ losses }) => losses)).toEqual([])
      rescues += reports.length
    }
    expect(rescues).toBeGreaterThanOrEqual(3)
    const { operations } = await fleet.expectKept()
    expect(operations.filter(({ outcome }) => outcome === 'failed').length).toBeGreaterThan(0)
    expect(operations.length).toBeGreaterThan(200)
  }, 120_000)

  it('without room for what is moved to them have the move undone, and serve what they have', async () => {
    const { servers, fleet } = await started()
    const keys = keysOf('full')
    await fleet.load(keys)
    await systemClock.sleep(300)
    const { segment, shard } = await fleet.locate(keys[0]!)
    const to = otherThan(shard)
    const client = new Redis(servers.shards[to]!.port)
    ends.push(async () => client.disconnect())
    await client.config('SET', 'maxmemory', '1')
    const report = await fleet.members[1]!.reshard({ map: [[segment, to]] })
    expect(report).toMatchObject({ outcome: 'failed', failed: [{ code: 'SHARD_FULL' }] })
    expect((await fleet.locate(keys[0]!)).shard).toBe(shard)
    await client.config('SET', 'maxmemory', '0')
    expect(await fleet.members[2]!.reshard({ map: [[segment, to]] })).toMatchObject({ outcome: 'done' })
    const { operations } = await fleet.expectKept()
    expect(operations.length).toBeGreaterThan(200)
  }, 120_000)
})
