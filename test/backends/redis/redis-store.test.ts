import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { ManualClock } from '../../../src/clock'
import { testShardStore } from '../../../src/testing/shard-store-suite'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { CLIENTS } from './clients'

/** Of every redisStore; the suite asks before there is a server. */
const supports = redisStore(new Redis({ lazyConnect: true }), { durable: true }).supports

describe.skipIf(redisIsMissing).each(CLIENTS)('redisStore over $name keeps the contract', async (kind) => {
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

  await testShardStore({
    test,
    supports,
    factory: async () => {
      await admin.flushall()
      const clock = new ManualClock(1_000_000)
      const store = () => redisStore(made.client, { clock, durable: true })
      return { store: store(), clock, reopen: async () => store() }
    },
  })
})
