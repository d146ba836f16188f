import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectionOf } from '../../../src/backends/redis/client'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { systemClock } from '../../../src/clock'
import { BINDING, ShardUnderTest } from '../../../src/testing/shard-store-suite/shard-under-test'
import { CuttingProxy } from '../../servers/cutting-proxy'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { CLIENTS } from './clients'

const clock = { now: systemClock.now, advance: (ms: number) => systemClock.sleep(ms) }
const EXPORT = { step: 'export', epoch: 1, ticket: 5, peer: 'b' } as const

/** As soon as the client has found its way back. */
async function connected(client: object): Promise<void> {
  await connectionOf(client).whenReady(AbortSignal.timeout(10_000))
}

async function disconnected(client: object): Promise<void> {
  while (connectionOf(client).ready) await systemClock.sleep(5)
}

describe.skipIf(redisIsMissing).each(CLIENTS)('a shard in Redis whose server fails, over $name', (kind) => {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  const started = async (...args: string[]) => {
    const server = await RedisServer.start(...args)
    ends.push(() => server.stop())
    return server
  }
  const clientOf = async (port: number) => {
    const { client, end } = await kind.connect(port)
    ends.push(end)
    return client
  }
  const opened = async (client: object, options?: Parameters<typeof redisStore>[1]) => {
    const shard = new ShardUnderTest(redisStore(client, options), clock)
    await shard.open()
    return shard
  }

  it('is unavailable at once when there is no connection, and says which shard it is', async () => {
    const server = await started()
    const client = await clientOf(server.port)
    const shard = await opened(client)
    await server.kill()
    await disconnected(client)
    for (const attempt of [() => shard.set('k', 'v'), () => shard.get('k'), () => shard.step('#3', EXPORT)])
      await expect(attempt()).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE', shard: BINDING.shard })
  })

  it('does not know what became of a write whose answer was lost, and never repeats it', async () => {
    const server = await started()
    const proxy = await CuttingProxy.to(server.port)
    ends.push(() => proxy.close())
    const client = await clientOf(proxy.port)
    const shard = await opened(client)
    await shard.set('k', 'before')
    const { connections } = proxy
    proxy.cutNextAnswer()
    const failure = await shard.set('k', 'lost?').catch((error) => error)
    expect(failure).toBeInstanceOf(Error)
    expect(failure.code).not.toBe('SHARD_UNAVAILABLE')
    await connected(client)
    expect(proxy.connections).toBeGreaterThan(connections)
    expect(await shard.get('k')).toBe('lost?')
    // One more write than before the loss: what was sent again would have been counted.
    expect((await shard.set('k', 'after')).seq).toBe(3)
    expect(await shard.get('k')).toBe('after')
  })

  for (const [what, args] of [
    ['lost nothing', ['--appendonly', 'yes', '--appendfsync', 'always']],
    ['lost everything', []],
  ] as const)
    it(`does not serve after a restart that ${what}, until it is opened again`, async () => {
      const server = await started(...args)
      const client = await clientOf(server.port)
      const shard = await opened(client)
      const { incarnation } = shard.store
      await shard.set('k', 'v')
      await shard.takes('#3', EXPORT)
      await server.kill()
      await disconnected(client)
      await server.run()
      await connected(client)
      for (const attempt of [() => shard.get('k'), () => shard.set('k', 'w'), () => shard.step('#3', EXPORT)])
        await expect(attempt()).rejects.toMatchObject({ code: 'SHARD_MISMATCH', shard: BINDING.shard })
      const again = await shard.store.open({ ...BINDING, clock: systemClock })
      expect(again.incarnation).not.toBe(incarnation)
      expect(shard.store.incarnation).toBe(again.incarnation)
      if (what === 'lost nothing') expect(await shard.get('k')).toBe('v')
      else expect((await shard.refused('k', { kind: 'get' })).record.state).toBe('none')
    })

  it('carries out nothing on a restarted server that was meant for it before, whoever has opened it', async () => {
    const server = await started('--appendonly', 'yes', '--appendfsync', 'always')
    const [first, second] = [await clientOf(server.port), await clientOf(server.port)]
    const shard = await opened(first)
    await shard.set('k', 'v')
    await server.kill()
    for (const client of [first, second]) await disconnected(client)
    await server.run()
    for (const client of [first, second]) await connected(client)
    const other = await opened(second)
    expect(await other.get('k')).toBe('v')
    // The scripts are there now, made for the server as it is.
    await expect(shard.set('k', 'w')).rejects.toMatchObject({ code: 'SHARD_MISMATCH' })
    expect(await other.get('k')).toBe('v')
  })

  it('waits for a client that is still connecting, and for no other', async () => {
    const server = await started()
    const client = await clientOf(server.port)
    await server.kill()
    await disconnected(client)
    const opening = opened(client)
    await server.run()
    expect(await (await opening).get('k')).toBeUndefined()
  })
})

describe.skipIf(redisIsMissing)('a shard in Redis', () => {
  let server: RedisServer
  let client: Redis
  beforeAll(async () => {
    server = await RedisServer.start()
    client = new Redis(server.port)
  })
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })
  beforeEach(() => client.flushall())

  it('is full when the memory is, and still reads, deletes, purges and moves away', async () => {
    const shard = new ShardUnderTest(redisStore(client), clock)
    await shard.open()
    for (let i = 0; i < 20; i++) await shard.set(`k${i}`, 'v')
    await client.config('SET', 'maxmemory', '1')
    try {
      const [write, read, removal] = await Promise.allSettled([
        shard.set('new', 'v'),
        shard.get('k1'),
        shard.delete('k2'),
      ])
      expect(write).toMatchObject({ reason: { code: 'SHARD_FULL', shard: BINDING.shard } })
      expect(read).toMatchObject({ value: 'v' })
      expect(removal).toMatchObject({ value: { applied: true } })
      await shard.takes('#3', EXPORT)
      expect((await shard.delete('k3')).applied).toBe(true)
      expect((await shard.changes(5, 0)).changes.length).toBe(1)
      const { seq } = await shard.record()
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq })
      expect(await shard.purge('#3', 2)).toBe(18)
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
    expect(await client.exists('new')).toBe(0)
  })

  it('is unavailable for writes while its server is a replica', async () => {
    const shard = new ShardUnderTest(redisStore(client), clock)
    await shard.open()
    const other = await RedisServer.start()
    await client.replicaof('127.0.0.1', other.port)
    try {
      await expect(shard.set('k', 'v')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    } finally {
      await client.replicaof('NO', 'ONE')
      await other.stop()
    }
  })

  it('is no server that throws keys away, unless they are a cache', async () => {
    await client.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru')
    try {
      const binding = { ...BINDING, clock: systemClock }
      await expect(redisStore(client).open(binding)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
      expect(await client.dbsize()).toBe(0)
      const { incarnation } = await redisStore(client, { cache: true }).open(binding)
      expect(incarnation).not.toBe('')
    } finally {
      await client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction')
    }
  })

  it('is looked at again when the client has reconnected: its policy may have been changed', async () => {
    const own = new Redis(server.port, { retryStrategy: () => 20 })
    const shard = new ShardUnderTest(redisStore(own), clock)
    const cache = new ShardUnderTest(redisStore(own, { cache: true }), clock)
    await shard.open()
    await shard.set('k', 'v')
    await cache.open()
    const reconnect = async () => {
      await client.client('KILL', 'ID', await own.client('ID'))
      await disconnected(own)
      await connected(own)
    }
    try {
      await client.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru')
      await reconnect()
      await expect(shard.set('k', 'w')).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
      await expect(shard.ingest(5, 1, [])).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
      expect(await cache.get('k')).toBe('v')
      await client.config('SET', 'maxmemory-policy', 'noeviction')
      expect((await shard.set('k', 'w')).applied).toBe(true)
    } finally {
      await client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction')
      own.disconnect()
    }
  })

  it('is no part of a Redis Cluster', async () => {
    const member = await RedisServer.start('--cluster-enabled', 'yes')
    const own = new Redis(member.port)
    try {
      const opening = redisStore(own).open({ ...BINDING, clock: systemClock })
      await expect(opening).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    } finally {
      own.disconnect()
      await member.stop()
    }
  })

  it('answers a cutover only when as many replicas have it as were asked for', async () => {
    const shard = new ShardUnderTest(redisStore(client, { replicas: { count: 1, timeoutMs: 20 } }), clock)
    await shard.open()
    await shard.takes('#3', EXPORT)
    const cutover = { step: 'cutover', epoch: 1, ticket: 5, seq: 0 } as const
    // There is no replica: the step is done, but nobody may rely on it.
    await expect(shard.step('#3', cutover)).rejects.toThrow('0 of 1 replicas')
  })

  it('is one database: another shard there would delete the same keys', async () => {
    const binding = { ...BINDING, clock: systemClock }
    await redisStore(client).open(binding)
    const other = { ...binding, shard: 'z' }
    await expect(redisStore(client).open(other)).rejects.toMatchObject({
      code: 'SHARD_MISMATCH',
      field: 'shard',
    })
    await expect(redisStore(client, { prefix: 'z:' }).open(other)).rejects.toMatchObject({
      code: 'SHARD_MISMATCH',
      field: 'options.prefix',
    })
    const second = new Redis(server.port, { db: 1 })
    await redisStore(second).open(other)
    second.disconnect()
  })

  it('takes clients by what they can do, and names what is wrong with others', async () => {
    const prefixed = new Redis(server.port, { keyPrefix: 'app:', lazyConnect: true })
    const notClients: [unknown, string][] = [
      [undefined, 'client'],
      [{}, 'client'],
      [{ get: () => 1 }, 'client'],
      [prefixed, 'client.options.keyPrefix'],
    ]
    for (const [given, field] of notClients)
      expect(() => redisStore(given as object)).toThrow(expect.objectContaining({ field }))
    for (const [options, field] of [
      [{ prefix: '' }, 'options.prefix'],
      [{ maxValueBytes: 2 ** 30 }, 'options.maxValueBytes'],
      [{ replicas: { count: 0, timeoutMs: 1 } }, 'options.replicas.count'],
    ] as const)
      expect(() => redisStore(client, options)).toThrow(expect.objectContaining({ field }))
    const lazy = new Redis(server.port, { lazyConnect: true })
    const store = redisStore(lazy)
    await store.open({ ...BINDING, clock: systemClock })
    lazy.disconnect()
  })

  it('is not reachable through a client that was closed', async () => {
    const closed = new Redis(server.port)
    const shard = new ShardUnderTest(redisStore(closed), clock)
    await shard.open()
    closed.disconnect()
    await disconnected(closed)
    await expect(shard.get('k')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    const opening = redisStore(closed).open({ ...BINDING, clock: systemClock })
    await expect(opening).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
  })
})
