import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { lmdbStore } from '../../src/backends/lmdb'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { postgresStore } from '../../src/backends/postgres'
import { redisStore, redisTopology } from '../../src/backends/redis'
import { ShardRouter } from '../../src/router/router'
import { RedisServer, redisIsMissing } from '../servers/redis-server'
import { refusalOf } from './refusal'

const SECRET = 'correct-horse-battery'

/** All that a log would show of an error, its causes included. */
const shownOf = (error: unknown) =>
  `${inspect(error, { depth: 12, showHidden: true })} ${JSON.stringify(error)}`

describe('a credential', () => {
  it('is in no refusal of what was given in the place of a client or a store', async () => {
    const url = `redis://user:${SECRET}@localhost:6379`
    const attempts = [
      () => redisStore(url as never),
      () => redisStore({ url, password: SECRET }),
      () => redisTopology({ url, password: SECRET }),
      () => redisStore({}, { url } as never),
      () => postgresStore(`postgres://user:${SECRET}@localhost/db` as never),
      () => postgresStore({ connectionString: `postgres://user:${SECRET}@localhost/db` } as never),
      () => lmdbStore({ url } as never),
      () => ShardRouter.open({ shards: { a: url } } as never),
      () => ShardRouter.open({ shards: { a: { url } } } as never),
      () => ShardRouter.open({ shards: { a: memoryStore() }, topology: { url } } as never),
      () => ShardRouter.open({ shards: { a: memoryStore() }, url } as never),
    ]
    for (const [i, attempt] of attempts.entries()) {
      const refusal = await refusalOf(attempt)
      expect(refusal?.code, String(i)).toBe('INVALID_ARGUMENT')
      expect(shownOf(refusal)).not.toContain(SECRET)
    }
  })

  it.skipIf(redisIsMissing)(
    'is in no error of a server that does not take it, or that is not there',
    async () => {
      const server = await RedisServer.start()
      const admin = new Redis(server.port, '127.0.0.1')
      await admin.config('SET', 'requirepass', 'another one')
      admin.disconnect()
      for (const port of [server.port, 1]) {
        const common = { port, host: '127.0.0.1', password: SECRET, username: 'default' }
        const io = new Redis({ ...common, retryStrategy: () => null, lazyConnect: true })
        io.on('error', () => {})
        const node = createClient({
          socket: { port, host: '127.0.0.1', reconnectStrategy: false },
          password: SECRET,
        })
        node.on('error', () => {})
        await node.connect().catch(() => {})
        for (const client of [io, node])
          for (const attempt of [
            () => ShardRouter.open({ shards: { a: redisStore(client) } }),
            () => ShardRouter.open({ shards: { a: memoryStore() }, topology: redisTopology(client) }),
          ]) {
            const refusal = await refusalOf(attempt)
            expect(refusal?.code).toMatch(/UNAVAILABLE/)
            expect(shownOf(refusal)).not.toContain(SECRET)
          }
        io.disconnect()
        if (node.isOpen) node.destroy()
      }
      await server.stop()
    },
  )
})
