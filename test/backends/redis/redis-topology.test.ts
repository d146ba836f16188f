import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { redisTopology } from '../../../src/backends/redis/redis-topology'
import { ManualClock } from '../../../src/clock'
import { testTopologyStore } from '../../../src/testing/topology-store-suite'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { CLIENTS } from './clients'

describe.skipIf(redisIsMissing).each(CLIENTS)('redisTopology over $name keeps the contract', async (kind) => {
  let server: RedisServer
  let admin: Redis
  let made: Awaited<ReturnType<typeof kind.connect>>
  beforeAll(async () => {
    server = await RedisServer.start()
    admin = new Redis(server.port)
    made = await kind.connect(server.port)
  })
  afterAll(async () => {
    await made.end()
    admin.disconnect()
    await server.stop()
  })

  await testTopologyStore({
    test,
    supports: { durable: true, multiProcess: true },
    factory: async () => {
      await admin.flushall()
      const clock = new ManualClock(1_000_000)
      const topology = () => redisTopology(made.client, { clock, durable: true })
      return { topology: topology(), clock, reopen: async () => topology(), beside: async () => topology() }
    },
  })
})
