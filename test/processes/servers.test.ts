import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock'
import type { ReshardingProgress } from '../../src/migrator/progress'
import type { RescueReport } from '../../src/migrator/rescue'
import type { ShardId } from '../../src/placement/segment'
import { redisIsMissing } from '../servers/redis-server'
import { BACKENDS, type Servers, startRedis } from './backends'
import { Fleet, keysOf, otherThan } from './fleet'

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function started(starting: Promise<Servers>) {
  const servers = await starting
  ends.push(() => servers.stop())
  const fleet = await Fleet.start(servers.places)
  ends.push(() => fleet.end())
  return { servers, fleet }
}

/** What is told of the rescue of a shard, by whichever process it was. A restart is noticed also where nothing is asked. */
async function rescueOf(fleet: Fleet, shard: ShardId, lost: boolean): Promise<RescueReport[]> {
  const reports: RescueReport[] = []
  const rescued = async () => {
    for (const it of fleet.members) reports.push(...(await it.ask<RescueReport[]>({ what: 'rescued' })))
    return reports.flatMap(({ shards }) => shards)
  }
  await expect.poll(rescued, { timeout: 15_000 }).toContainEqual(expect.objectContaining({ shard, lost }))
  return reports
}

describe.each(BACKENDS)('processes over $name servers that fail', ({ missing, name, start }) => {
  it.skipIf(missing)(
    'source, target and bystander are killed and started again in the midst of moves, and keep all',
    async () => {
      const { servers, fleet } = await started(start({ apart: true }))
      for (const [round, whom] of (['source', 'target', 'bystander'] as const).entries()) {
        const keys = keysOf(round)
        await fleet.load(keys)
        await systemClock.sleep(200)
        const { segment, shard } = await fleet.locate(keys[0]!)
        const to = otherThan(shard)
        const killed: ShardId = { source: shard, target: to, bystander: otherThan(to) }[whom]
        // Slow enough to be met in its midst.
        const moving = fleet.members[0]!.reshard({
          map: [[segment, to]],
          options: { maxKeysPerSecond: 100 },
        })
        await systemClock.sleep(150)
        await servers.shards[killed]!.kill()
        await systemClock.sleep(400)
        await servers.shards[killed]!.run()
        expect((await moving).outcome, whom).toMatch(/done|failed/)
        await fleet.settled()
        // Postgres is the same after a crash, and says so.
        if (name === 'postgres') continue
        const reports = await rescueOf(fleet, killed, false)
        expect(reports.flatMap(({ losses }) => losses)).toEqual([])
      }
      const operations = await fleet.expectKept({ atLeast: 200 })
      expect(operations.filter(({ outcome }) => outcome === 'failed').length).toBeGreaterThan(0)
    },
    120_000,
  )

  it.skipIf(missing)(
    'one shard that is down fails operations on its own segments only, by name; a move that meets it waits, and then goes on or is undone and says why',
    async () => {
      const { servers, fleet } = await started(start({ apart: true }))
      const keys = keysOf('down', 24)
      await fleet.load(keys)
      await systemClock.sleep(300)
      const where = await Promise.all(keys.map((key) => fleet.locate(key)))
      const keysOn = (shard: ShardId) => keys.filter((_, i) => where[i]!.shard === shard)
      const segmentOn = (shard: ShardId) => where.find((it) => it.shard === shard)!.segment
      const [mover, other] = [fleet.members[0]!, fleet.members[1]!]
      /** Nobody waits for it to be back: that it fails is told while it is down. */
      const expectDown = async (shard: ShardId) => {
        for (const member of fleet.members)
          for (const key of keysOn(shard)) {
            const asked = member.ask({ what: 'read', keys: [key] })
            await expect(asked).rejects.toThrow(new RegExp(`SHARD_UNAVAILABLE: .*shard ${shard} `))
          }
        for (const up of ['a', 'b', 'c'].filter((it) => it !== shard))
          for (const member of fleet.members) await member.ask({ what: 'read', keys: keysOn(up) })
      }

      // The source is back before the patience of a plan is over.
      const patient = await fleet.add({ outageMs: 60_000 })
      const moving = patient.reshard({ map: [[segmentOn('b'), 'c']], haltAt: 'ingest:after' })
      await patient.ask({ what: 'halted' })
      await servers.shards.b!.kill()
      await patient.ask({ what: 'goOn' })
      const progress = () => patient.ask<ReshardingProgress>({ what: 'progress' })
      await expect
        .poll(async () => (await progress()).waitingFor.map(({ shard }) => shard), { timeout: 10_000 })
        .toEqual(['b'])
      expect((await progress()).moves[0]!.waiting).toMatch(/^waiting for shard b \(unavailable for \d+ s\)$/)
      await expectDown('b')
      await servers.shards.b!.run()
      expect(await moving).toMatchObject({ outcome: 'done' })

      // The target is not.
      await fleet.settled()
      await expect.poll(() => fleet.serves(keys), { timeout: 15_000 }).toBe(true)
      const segment = segmentOn('a')
      const undone = mover.reshard({ map: [[segment, 'b']], haltAt: 'ingest:after' })
      await mover.ask({ what: 'halted' })
      await servers.shards.b!.kill()
      await mover.ask({ what: 'goOn' })
      expect(await undone).toMatchObject({
        outcome: 'failed',
        failed: [
          {
            segment,
            code: 'SHARD_UNAVAILABLE',
            message: expect.stringMatching(/^shard b did not answer for \d+ s: /),
          },
        ],
      })
      expect((await fleet.locate(keysOn('a')[0]!, other)).shard).toBe('a')
      await other.ask({ what: 'read', keys: keysOn('a') })
      await servers.shards.b!.run()
      await fleet.settled()
      await expect.poll(() => fleet.serves(keys), { timeout: 15_000 }).toBe(true)
      await fleet.expectKept({ atLeast: 200 })
    },
    120_000,
  )

  it.skipIf(missing)(
    'shards join and are drained while all go on',
    async () => {
      const { servers, fleet } = await started(start())
      const port = await servers.join()
      await fleet.load(keysOf('join', 20))
      const owners = async () => [...(await fleet.topology()).assignments].map(({ shard }) => shard)
      const answers = await Promise.all(
        fleet.members.map((it) => it.ask<{ accepted?: false }>({ what: 'addShard', shard: 'd', port })),
      )
      // One of them is told that it is new, and moves its share to it.
      expect(answers.filter(({ accepted }) => accepted === false).length).toBe(fleet.members.length - 1)
      fleet.knows('d', port)
      expect((await owners()).filter((shard) => shard === 'd').length).toBe(2)
      await fleet.members[1]!.ask({ what: 'drainShard', shard: 'a' })
      expect(await owners()).not.toContain('a')
      expect(await fleet.members[2]!.ask({ what: 'rollback' })).toMatchObject({
        accepted: false,
        reason: expect.stringContaining('is being drained'),
      })
      const { segment, shard } = await fleet.locate('{tjoin}:1', fleet.members[3])
      const to = otherThan(shard, ['b', 'c', 'd'])
      expect(await fleet.members[3]!.reshard({ map: [[segment, to]] })).toMatchObject({ outcome: 'done' })
      expect(await fleet.members[2]!.ask({ what: 'rollback' })).toMatchObject({ outcome: 'done' })
      await fleet.expectKept({ atLeast: 200 })
    },
    120_000,
  )
})

describe.skipIf(redisIsMissing)('processes over Redis servers', () => {
  it('of a cache come back empty, have one owner each again, and it is told what was lost', async () => {
    const { servers, fleet } = await started(startRedis({ durable: false }))
    const lost: string[] = []
    for (const [round, killed] of ['a', 'b', 'c', 'a'].entries()) {
      const keys = keysOf(round)
      await fleet.load(keys)
      await systemClock.sleep(300)
      const { segment, shard } = await fleet.locate(keys[0]!)
      const moving = fleet.members[round % 4]!.reshard({ map: [[segment, otherThan(shard)]] })
      if (round % 2) await moving
      await servers.shards[killed]!.kill()
      await servers.shards[killed]!.run()
      await moving.catch(() => {})
      await fleet.settled()
      // Nobody waits long: the shard serves again.
      await expect.poll(() => fleet.serves(keys), { timeout: 15_000 }).toBe(true)
      const reports = await rescueOf(fleet, killed, true)
      lost.push(...reports.flatMap(({ losses }) => losses.map(({ loss }) => loss)))
    }
    expect(lost).toContain('everything')
    await fleet.expectKept({ lossy: true })
  }, 120_000)

  it('without room for what is moved to them have the move undone, and serve what they have', async () => {
    const { servers, fleet } = await started(startRedis())
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
    await fleet.expectKept({ atLeast: 200 })
  }, 120_000)
})
