import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { connectionOf } from '../../../src/backends/redis/client'
import { redisTopology } from '../../../src/backends/redis/redis-topology'
import { systemClock } from '../../../src/clock'
import { FOUNDING } from '../../../src/testing/topology-store-suite/founding'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { CLIENTS } from './clients'

const until = async (so: () => boolean) => {
  while (!so()) await systemClock.sleep(2)
}

describe.skipIf(redisIsMissing).each(CLIENTS)('a topology in Redis, over $name', (kind) => {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  const started = async () => {
    const server = await RedisServer.start()
    const { client, end } = await kind.connect(server.port)
    ends.push(() => server.stop(), end)
    return { server, client }
  }

  it('tells other processes of a change with one message, which they read as one delta', async () => {
    const { server, client } = await started()
    const other = await kind.connect(server.port)
    ends.push(other.end)
    const [here, there] = [redisTopology(client), redisTopology(other.client)]
    const { revision } = await here.open(FOUNDING)
    await there.open(FOUNDING)
    let told = 0
    const stop = there.watch(() => told++)
    const admin = new Redis(server.port)
    const listeners = async () => (await admin.pubsub('NUMSUB', '~foreshard:t:changes'))[1]
    while ((await listeners()) !== 1) await systemClock.sleep(2)
    await here.commit({ assignments: [{ segment: '#0', shard: 'b', epoch: 2 }] })
    await until(() => told > 0)
    expect(told).toBe(1)
    expect(await there.changesSince(revision)).toEqual([
      { revision: revision + 1, assignments: [{ segment: '#0', shard: 'b', epoch: 2 }] },
    ])
    // Who watches no more takes its connection away.
    stop()
    while ((await listeners()) !== 0) await systemClock.sleep(2)
    admin.disconnect()
    await here.close()
    await there.close()
  })

  it('draws no ticket and no term twice, even if the server lost the last ones', async () => {
    const { server, client } = await started()
    const topology = redisTopology(client)
    await topology.open(FOUNDING)
    const before = await topology.drawTicket()
    const lease = await topology.acquireLease('m', 60_000)
    const admin = new Redis(server.port)
    await systemClock.sleep(2)
    await admin.hset('~foreshard:t', 'ticket', '0', 'term', '0', 'holder', '')
    expect(await topology.drawTicket()).toBeGreaterThan(before)
    expect((await topology.acquireLease('m2', 1000))!.term).toBeGreaterThan(lease!.term)
    admin.disconnect()
    await topology.close()
  })

  it("lets a lease run out by the server's clock", async () => {
    const { client } = await started()
    const topology = redisTopology(client)
    await topology.open(FOUNDING)
    const lease = (await topology.acquireLease('m1', 60))!
    expect(Math.abs(lease.expiresAt - Date.now())).toBeLessThan(5000)
    expect(await topology.acquireLease('m2', 60)).toBeUndefined()
    await systemClock.sleep(70)
    expect(await topology.renewLease('m1', lease.term, 60)).toBe(false)
    expect((await topology.acquireLease('m2', 60))!.term).toBeGreaterThan(lease.term)
    await topology.close()
  })

  it('says that it cannot be read when its keys were tampered with', async () => {
    const { server, client } = await started()
    const topology = redisTopology(client)
    await topology.open(FOUNDING)
    const admin = new Redis(server.port)
    for (const [field, value] of [
      ['founding', '{"shards":["a"],"owners":""}'],
      ['shards', '{'],
      ['format', '7'],
      ['format', ''],
    ] as const) {
      const before = await admin.hget('~foreshard:t', field)
      await admin.hset('~foreshard:t', field, value)
      await expect(topology.open(FOUNDING)).rejects.toMatchObject({ code: 'TOPOLOGY_CORRUPT' })
      await admin.hset('~foreshard:t', field, before!)
    }
    await admin.hset('~foreshard:t:a', '#99', '2 a')
    await expect(topology.open(FOUNDING)).rejects.toMatchObject({ code: 'TOPOLOGY_CORRUPT' })
    admin.disconnect()
    await topology.close()
  })

  it('is unavailable at once when there is no connection', async () => {
    const { server, client } = await started()
    const topology = redisTopology(client)
    await topology.open(FOUNDING)
    await server.kill()
    await until(() => !connectionOf(client).ready)
    for (const attempt of [() => topology.drawTicket(), () => topology.commit({ founded: true })])
      await expect(attempt()).rejects.toMatchObject({ code: 'TOPOLOGY_UNAVAILABLE' })
  })
})
