import type { AddressInfo } from 'node:net'
import { RedisStore as SessionStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryStore } from '../../../../src/backends/memory/memory-store'
import { type ShardedRedis, shardedRedis } from '../../../../src/backends/redis'
import { ShardRouter } from '../../../../src/router/router'
import { redisIsMissing } from '../../../servers/redis-server'
import { Deployment } from './deployment'

describe.skipIf(redisIsMissing)('shardedRedis', () => {
  let deployment: Deployment
  let redis: ShardedRedis
  beforeAll(async () => {
    deployment = await Deployment.start()
    redis = shardedRedis(deployment.router)
  })
  afterAll(() => deployment.stop())

  it('refuses a router whose shards run no commands', async () => {
    const router = await ShardRouter.open({ shards: { a: memoryStore() } })
    expect(() => shardedRedis(router)).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }))
    await router.close()
  })

  it('refuses keys of different tags by name of the tag, and what has no meaning here', async () => {
    await expect(redis.rename('one', 'two')).rejects.toMatchObject({ code: 'KEYS_APART' })
    await expect(redis.multi().set('one', 1).set('two', 2).exec()).rejects.toMatchObject({
      code: 'KEYS_APART',
    })
    for (const [name, ...args] of [
      ['subscribe', 'x'],
      ['select', '1'],
      ['flushall'],
      ['config', 'get', '*'],
      ['watch', 'x'],
    ])
      await expect(redis.call(name!, ...args)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    await expect(redis.set('~foreshard:b:1', 1)).rejects.toMatchObject({ code: 'INVALID_KEY' })
  })

  it('takes no script that would end its function', async () => {
    await expect(redis.eval('return 1 end do return 2', 1, 'k')).rejects.toThrow('Error compiling script')
  })

  it('leaves alone what another client made', async () => {
    for (const server of deployment.servers.slice(0, -1)) {
      const other = new Redis(server.port)
      await other.rpush('theirs', 'x')
      other.disconnect()
    }
    expect(await redis.llen('theirs')).toBe(0)
    await expect(redis.rpush('theirs', 'y')).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  })

  it('waits for what is pushed, and no longer than it was told', async () => {
    const waiting = redis.blpop('queue', 30)
    await redis.rpush('queue', 'job')
    expect(await waiting).toEqual(['queue', 'job'])
    expect(await redis.blpop('queue', 0.01)).toBeNull()
  })

  it('scans each key once while segments move', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `scanned:${i}`)
    await redis.mset(Object.fromEntries(keys.map((key) => [key, 1])))
    deployment.keepMoving([])
    const seen: string[] = []
    for await (const page of redis.scanStream({ match: 'scanned:*', count: 7 }))
      seen.push(...(page as string[]))
    await deployment.rest()
    expect(seen.sort()).toEqual([...keys].sort())
  })

  it('carries sessions of express over connect-redis while segments move', async () => {
    const app = express()
    app.use(
      session({
        store: new SessionStore({ client: redis }),
        secret: 's',
        resave: true,
        saveUninitialized: true,
      }),
    )
    app.get('/', (request, response) => {
      const held = request.session as unknown as { views?: number }
      held.views = (held.views ?? 0) + 1
      response.json(held.views)
    })
    const server = app.listen(0)
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    deployment.keepMoving([])
    const first = await fetch(url)
    const cookie = first.headers.get('set-cookie')!.split(';')[0]!
    expect(await first.json()).toBe(1)
    for (let views = 2; views <= 60; views++)
      expect(await (await fetch(url, { headers: { cookie } })).json()).toBe(views)
    await deployment.rest()
    await new Promise((resolve) => server.close(resolve))
  })

  it('counts for rate-limiter-flexible exactly, while segments move', async () => {
    const limiter = new RateLimiterRedis({ storeClient: redis, points: 50, duration: 1000 })
    deployment.keepMoving([])
    const outcomes = await Promise.allSettled(Array.from({ length: 80 }, () => limiter.consume('somebody')))
    await deployment.rest()
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(50)
  })

  it('ends by itself and leaves the router open', async () => {
    const other = redis.duplicate()
    expect(other.status).toBe('ready')
    expect(await other.quit()).toBe('OK')
    await expect(other.get('x')).rejects.toThrow('Connection is closed.')
    expect(await redis.get('x')).toBeNull()
  })
})
