import HashRing from 'hashring'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { redisStore } from '../../src/backends/redis'
import { ErrorCode } from '../../src/errors'
import { murmur3 } from '../../src/placement/hash'
import { adopt, release } from '../../src/router/adoption'
import { ShardRouter } from '../../src/router/router'
import { RedisServer, redisIsMissing } from '../servers/redis-server'

const NAMES = ['a', 'b', 'c']
const BUCKETS = 32
const USERS = Array.from({ length: 60 }, (_, i) => `user:${i}`)

/** How clients before us chose a shard: by ring, or by the rest of a checksum; by the key or by its tag. */
const LAYOUTS: Record<string, (key: string) => string> = (() => {
  const ring = new HashRing(NAMES)
  const tagOf = (key: string) => /\{(.+?)\}/.exec(key)?.[1] ?? key
  return {
    'a server of its own': () => 'a',
    'a hash ring over tags': (key) => ring.get(tagOf(key)),
    'a hash ring over keys': (key) => ring.get(key),
    'a checksum modulo the servers': (key) => NAMES[murmur3(tagOf(key)) % 3]!,
  }
})()

describe.skipIf(redisIsMissing)('adoption', () => {
  let server: RedisServer
  let clients: Record<string, Redis>
  let topology: ReturnType<typeof memoryTopology>
  beforeAll(async () => {
    server = await RedisServer.start()
    clients = Object.fromEntries(NAMES.map((name, db) => [name, new Redis(server.port, '127.0.0.1', { db })]))
  })
  afterAll(async () => {
    for (const client of Object.values(clients)) client.disconnect()
    await server.stop()
  })
  beforeEach(async () => {
    await clients.a!.flushall()
    topology = memoryTopology()
  })

  const shards = () => Object.fromEntries(NAMES.map((name) => [name, redisStore(clients[name]!)]))
  const open = () => ShardRouter.open({ shards: shards(), topology, codec: 'utf8' })

  /** Strings, with and without a time to live, and a collection, each user's under one tag. */
  async function fill(shardOf: (key: string) => string): Promise<Map<string, string>> {
    const strings = new Map<string, string>()
    for (const user of USERS) {
      const [name, session, cart] = ['name', 'session', 'cart'].map((it) => `{${user}}:${it}`) as [
        string,
        string,
        string,
      ]
      await clients[shardOf(name)]!.set(name, `name of ${user}`)
      await clients[shardOf(session)]!.set(session, `session of ${user}`, 'PXAT', 4_102_444_800_000)
      await clients[shardOf(cart)]!.hset(cart, { tea: '2', milk: '1' })
      strings.set(name, `name of ${user}`).set(session, `session of ${user}`)
    }
    return strings
  }

  /** Everything that lies in the databases, records of ours included. */
  async function contents(): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (const [name, client] of Object.entries(clients))
      for (const key of (await client.keys('*')).sort())
        found.set(`${name} ${key}`, `${(await client.dump(key))!.length} ${await client.pexpiretime(key)}`)
    return found
  }

  describe.each(Object.entries(LAYOUTS))('of %s', (layout, shardOf) => {
    it('only counts in a dry run', async () => {
      await fill(shardOf)
      const before = await contents()
      const report = await adopt({ shards: shards(), topology, buckets: BUCKETS, dryRun: true })
      expect(report).toMatchObject({ dryRun: true, tags: 60, entered: 0, left: 0 })
      expect(Object.values(report.keys).reduce((sum, it) => sum + it)).toBe(180)
      if (layout === 'a server of its own') expect(report).toMatchObject({ carved: 0, copied: 0 })
      else expect(report.carved).toBeGreaterThan(0)
      if (layout !== 'a hash ring over keys') expect(report.copied).toBe(0)
      expect(await contents()).toEqual(before)
    })

    it('serves every key where it lay, copies only what lay apart from its tag, and is undone', async () => {
      const strings = await fill(shardOf)
      const before = await contents()
      const { entered, brought, copied, conflicts } = await adopt({
        shards: shards(),
        topology,
        buckets: BUCKETS,
      })
      expect(entered + brought).toBe(180)
      expect(brought).toBe(copied)
      expect(conflicts).toEqual([])

      const router = await open()
      expect(await router.getMany(strings.keys())).toEqual(strings)
      for (const user of USERS) {
        const [name, cart] = [`{${user}}:name`, `{${user}}:cart`]
        if (copied === 0) expect(router.getShardLocation(name)).toBe(shardOf(name))
        expect(await clients[router.getShardLocation(cart)]!.hgetall(cart)).toEqual({ tea: '2', milk: '1' })
      }
      await router.close()

      await release({ shards: shards(), topology, shardOf })
      expect(await contents()).toEqual(before)
    })

    it('moves, writes and deletes like any other deployment, and gives back what then stands', async () => {
      await fill(shardOf)
      await adopt({ shards: shards(), topology, buckets: BUCKETS })
      const router = await open()
      const resharding = await router.requestResharding(
        1,
        new Map(USERS.slice(0, 9).map((user) => [`{${user}}`, 'c'] as const)),
      )
      if (!resharding.accepted) throw new Error(resharding.reason)
      expect(await resharding.done).toMatchObject({ outcome: 'done' })
      await router.set('{user:1}:name', 'changed')
      await router.delete('{user:2}:name')
      await router.set('{user:1}:new', 'new', { ttlMs: 60_000 })
      expect(await clients.c!.hgetall('{user:3}:cart')).toEqual({ tea: '2', milk: '1' })
      await router.close()

      await release({ shards: shards(), topology, shardOf })
      const read = (key: string) => clients[shardOf(key)]!.get(key)
      expect(await read('{user:1}:name')).toBe('changed')
      expect(await read('{user:2}:name')).toBeNull()
      expect(await read('{user:1}:new')).toBe('new')
      expect(await read('{user:40}:session')).toBe('session of user:40')
      expect(await clients[shardOf('{user:3}:cart')]!.hgetall('{user:3}:cart')).toEqual({
        tea: '2',
        milk: '1',
      })
      for (const client of Object.values(clients)) expect(await client.keys('~foreshard*')).toEqual([])
    })
  })

  it('goes on from where it was interrupted', async () => {
    const strings = await fill(LAYOUTS['a hash ring over keys']!)
    for (const phase of ['carving', 'entering', 'copying']) {
      let told = 0
      const onProgress = (progress: { phase: string }) => {
        if (progress.phase === phase && ++told === 2) throw new Error('interrupted')
      }
      await adopt({ shards: shards(), topology, buckets: BUCKETS, onProgress }).catch(() => {})
    }
    await adopt({ shards: shards(), topology, buckets: BUCKETS })
    const again = await adopt({ shards: shards(), topology, buckets: BUCKETS })
    expect(again).toMatchObject({ entered: 0, brought: 0 })
    const router = await open()
    expect(await router.getMany(strings.keys())).toEqual(strings)
    await router.close()
  })

  it('keeps the exact expiry, and lets what is adopted expire', async () => {
    await clients.a!.set('k', 'v', 'PXAT', 4_102_444_800_123)
    await clients.a!.set('short', 'v', 'PX', 60_000)
    await adopt({ shards: shards(), topology, buckets: BUCKETS })
    const router = await open()
    const resharding = await router.requestResharding(
      1,
      new Map([
        ['{k}', 'b'],
        ['{short}', 'b'],
      ] as const),
    )
    if (!resharding.accepted) throw new Error(resharding.reason)
    await resharding.done
    expect(await clients.b!.pexpiretime('k')).toBe(4_102_444_800_123)
    expect(await clients.b!.pttl('short')).toBeLessThanOrEqual(60_000)
    await router.close()
  })

  it('leaves alone what no router could name, and says how much', async () => {
    await clients.a!.set(Buffer.from([0xff, 0xfe]), 'v')
    await clients.a!.set('k', 'v')
    expect(await adopt({ shards: shards(), topology, buckets: BUCKETS })).toMatchObject({
      entered: 1,
      left: 1,
    })
  })

  it('lets the value on the shard of the tag stand where two lie under one key, and names it', async () => {
    await clients.a!.mset('{t}:x', '1', '{t}:y', '1', '{t}:z', 'here')
    await clients.b!.mset('{t}:z', 'there')
    const report = await adopt({ shards: shards(), topology, buckets: BUCKETS })
    expect(report).toMatchObject({ entered: 3, brought: 0, conflicts: ['{t}:z'] })
    const router = await open()
    expect(await router.get('{t}:z')).toBe('here')
    await router.close()
  })

  it('refuses stores that cannot take over what lies there, and another founding', async () => {
    await expect(adopt({ shards: { a: memoryStore() }, topology })).rejects.toMatchObject({
      code: ErrorCode.NOT_SUPPORTED,
      shard: 'a',
    })
    await adopt({ shards: shards(), topology, buckets: BUCKETS })
    await expect(adopt({ shards: shards(), topology, buckets: 64 })).rejects.toMatchObject({
      code: ErrorCode.TOPOLOGY_MISMATCH,
    })
    await expect(adopt({ shards: shards(), topology, bucket: 1 } as never)).rejects.toThrow(
      'did you mean buckets?',
    )
  })
})
