import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { systemClock } from '../../../src/clock'
import type { Entry, ShardStore } from '../../../src/shard-store'
import {
  arriving,
  BINDING,
  ShardUnderTest,
  text,
} from '../../../src/testing/shard-store-suite/shard-under-test'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'

describe.skipIf(redisIsMissing)('a shard in Redis, on the clock of the server', () => {
  let server: RedisServer
  let client: Redis
  let store: ShardStore
  let shard: ShardUnderTest
  beforeAll(async () => {
    server = await RedisServer.start()
    client = new Redis(server.port)
  })
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })
  beforeEach(async () => {
    await client.flushall()
    store = redisStore(client)
    shard = new ShardUnderTest(store, { now: systemClock.now, advance: (ms) => systemClock.sleep(ms + 2) })
    await shard.open()
  })

  it('keeps the key and value that the application wrote, for any other client to read', async () => {
    await shard.set('user:42', '{"name":"Ada"}')
    expect(await client.get('user:42')).toBe('{"name":"Ada"}')
    expect(await client.type('user:42')).toBe('string')
    await shard.delete('user:42')
    expect(await client.exists('user:42')).toBe(0)
  })

  it('gives a key the TTL of Redis, to the millisecond, and takes it away again', async () => {
    const expiresAt = Date.now() + 100_000
    await shard.set('k', 'v', { expiresAt })
    expect(await client.call('PEXPIRETIME', 'k')).toBe(expiresAt)
    await shard.set('k', 'v')
    expect(await client.pttl('k')).toBe(-1)
    await shard.set('far', 'v', { expiresAt: Number.MAX_VALUE })
    expect(await client.call('PEXPIRETIME', 'far')).toBe(8.64e15)
    // Never later than was asked for.
    await shard.set('part', 'v', { expiresAt: expiresAt + 0.7 })
    expect(await client.call('PEXPIRETIME', 'part')).toBe(expiresAt)
  })

  it('lets go of what expired: value, index and expiry', async () => {
    for (let i = 0; i < 8; i++) await shard.set(`k${i}`, 'v', { expiresAt: Date.now() + 30 })
    await shard.clock.advance(40)
    expect(await shard.get('k0')).toBeUndefined()
    expect(await shard.contents()).toEqual({})
    for (let i = 0; i < 5; i++) await shard.set('last', 'v', { expiresAt: Date.now() + 60_000 })
    expect(await client.zrange('~foreshard:expiries', 0, -1)).toEqual(['3:last'])
    expect(await client.zrange('~foreshard:b:3:o', 0, -1)).toEqual(['last'])
    expect((await client.hkeys('~foreshard:b:3')).filter((it) => it.startsWith(':'))).toEqual([':last'])
    expect((await store.size()).keys).toBe(1)
  })

  it("judges a hold by the server's clock", async () => {
    await shard.takes('#3', { step: 'export', epoch: 1, ticket: 5, peer: 'b' })
    await shard.takes('#3', { step: 'hold', epoch: 1, ticket: 5, durationMs: 150 })
    const refusal = await shard.refused('k', { kind: 'delete' })
    expect(refusal.reason).toBe('held')
    expect(refusal.retryAfterMs).toBeGreaterThan(0)
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(150)
    await shard.clock.advance(150)
    expect((await shard.set('k', 'v')).applied).toBe(true)
  })

  it('expires a copied key at the time that travelled with it', async () => {
    const expiresAt = Date.now() + 50_000
    await shard.importing(5)
    await shard.ingest(5, 1, [arriving('k', 'v', { expiresAt }), arriving('gone', 'v', { expiresAt: 5 })])
    expect(await client.call('PEXPIRETIME', 'k')).toBe(expiresAt)
    expect(await client.exists('gone')).toBe(0)
  })

  it('refuses its own names as keys, with another prefix too', async () => {
    for (const key of ['~foreshard', '~foreshard:b:3', '~foreshard:anything'])
      await expect(shard.set(key, 'v')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await client.flushall()
    const other = new ShardUnderTest(redisStore(client, { prefix: 'own/' }), shard.clock)
    await other.open()
    await other.set('~fore:free', 'v')
    for (const key of ['~foreshard', '~foreshard:b:3', 'own/b:3'])
      await expect(other.set(key, 'v')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(await other.contents()).toEqual({ '~fore:free': 'v' })
  })

  it('takes what is in keys, tags and values as text, never as a part of a script', async () => {
    const nasty = `"]]..redis.call('FLUSHALL')..[["'); redis.call("FLUSHALL") -- \n{}%s`
    await shard.set(nasty, nasty, { tag: nasty })
    await shard.takes(`{${nasty}}`, { step: 'split', epoch: 1, ticket: 2 })
    expect(await shard.get(nasty, { segment: `{${nasty}}`, epoch: 2, tag: nasty })).toBe(nasty)
    expect(await client.get(nasty)).toBe(nasty)
  })

  it('does not see what was written past it, and takes it over with the first write', async () => {
    await client.set('foreign', 'v')
    expect(await shard.get('foreign')).toBeUndefined()
    expect((await shard.delete('foreign')).applied).toBe(false)
    expect(await client.get('foreign')).toBe('v')
    expect((await shard.set('foreign', 'w', { ifVersion: 0 })).applied).toBe(true)
    expect(await client.get('foreign')).toBe('w')
  })

  it('answers a get of what is no string with an error, and the calls beside it as ever', async () => {
    await shard.set('k', 'v')
    await client.del('k')
    await client.hset('k', 'field', 'v')
    const [typed, other] = await Promise.allSettled([shard.get('k'), shard.set('other', 'v')])
    expect(typed).toMatchObject({ reason: { code: 'NOT_SUPPORTED' } })
    expect(other).toMatchObject({ status: 'fulfilled' })
    expect((await shard.done('k', { kind: 'has' })).applied).toBe(true)
    expect(await client.hget('k', 'field')).toBe('v')
    expect((await shard.set('k', 'string again')).applied).toBe(true)
    expect(await shard.get('k')).toBe('string again')
  })

  it('moves every type with its expiry, and tells copies apart by their content', async () => {
    const fill: Record<string, (key: string) => Promise<unknown>> = {
      string: (key) => client.set(key, 'v'),
      hash: (key) =>
        client.hset(key, Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f${i}`, `${i}`]))),
      list: (key) => client.rpush(key, ...Array.from({ length: 200 }, (_, i) => `item ${i}`)),
      set: (key) => client.sadd(key, ...Array.from({ length: 600 }, (_, i) => `member ${i}`)),
      zset: (key) => client.zadd(key, 1, 'one', 2.5, 'two'),
      stream: (key) => client.xadd(key, '5-1', 'field', 'value'),
    }
    const expiresAt = Date.now() + 60_000
    for (const [type, make] of Object.entries(fill)) {
      await shard.set(type, 'placeholder', { expiresAt })
      await client.del(type)
      await make(type)
      await client.pexpireat(type, expiresAt)
    }
    const entries = await shard.scan({ role: 'owner', epoch: 1 })
    const digests = await shard.scan({ role: 'owner', epoch: 1 }, { want: 'digests' })
    expect(entries.map((it) => it.format ?? 'bytes').sort()).toEqual([
      'bytes',
      'redis-dump',
      'redis-dump',
      'redis-dump',
      'redis-dump',
      'redis-dump',
    ])

    const elsewhere = await RedisServer.start()
    const there = new Redis(elsewhere.port)
    const target = new ShardUnderTest(redisStore(there), shard.clock)
    try {
      await target.open()
      await target.importing(5)
      const batch = entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry }))
      expect((await target.ingest(5, 1, batch)).ok).toBe(true)
      for (const type of Object.keys(fill)) {
        expect(await there.type(type)).toBe(type)
        expect(await there.call('PEXPIRETIME', type)).toBe(expiresAt)
      }
      expect(await there.hgetall('hash')).toEqual(await client.hgetall('hash'))
      expect(await there.zrange('zset', 0, -1, 'WITHSCORES')).toEqual(['one', '1', 'two', '2.5'])
      const copied = () => target.scan({ role: 'target', ticket: 5 }, { segment: '#5', want: 'digests' })
      const byKey = (list: Entry[]) => new Map(list.map((it) => [it.key, it.digest]))
      expect(byKey(await copied())).toEqual(byKey(digests))
      await there.hset('hash', 'f1', 'other')
      await there.zadd('zset', 3, 'one')
      await there.xadd('stream', '6-1', 'field', 'value')
      await there.srem('set', 'member 1')
      await there.lset('list', 5, 'other')
      for (const { key, digest } of await copied())
        expect(digest === byKey(digests).get(key), key).toBe(key === 'string')
    } finally {
      there.disconnect()
      await elsewhere.stop()
    }
  })

  it('refuses a form of value that it does not know, before anything is changed', async () => {
    await shard.importing(5)
    const strange = arriving('k', 'v')
    const batch = [arriving('a', 'v'), { ...strange, entry: { ...strange.entry, format: 'other-dump' } }]
    await expect(shard.ingest(5, 1, batch)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    expect(await client.exists('a')).toBe(0)
  })

  it('sends what is asked for in one tick as one command', async () => {
    await client.config('RESETSTAT')
    await Promise.all(Array.from({ length: 40 }, (_, i) => shard.set(`k${i}`, `${i}`)))
    await Promise.all(Array.from({ length: 90 }, (_, i) => shard.get(`k${i % 40}`)))
    const stats = await client.info('commandstats')
    expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)![1])).toBe(2)
  })

  it('cuts what would block the server into several commands, and answers each call once', async () => {
    const calls = Array.from({ length: 733 }, (_, i) =>
      shard.call(`k${i}`, { kind: 'set', value: Buffer.from(`${i}`), expiresAt: 0 }),
    )
    const answers = await store.execute(calls)
    expect(answers.map((it) => it.ok && it.seq)).toEqual(calls.map((_, i) => i + 1))
    const entries = await shard.scan({ role: 'owner', epoch: 1 }, { limit: 300 })
    expect(entries.map((it) => text(it.value!))).toEqual(calls.map((_, i) => `${i}`))
    await shard.takes('#3', { step: 'export', epoch: 1, ticket: 5, peer: 'b' })
    await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: 733 })
    const erased = await store.erase({ ...shard.at(), step: 'purge', epoch: 2, limit: 10_000 })
    expect(erased).toMatchObject({ ok: true, deleted: 733, done: true })
    expect(await client.keys('k*')).toEqual([])
  })

  it('estimates its size where there are many keys', async () => {
    await store.found(Array.from({ length: BINDING.buckets }, (_, i) => i))
    const calls = Array.from({ length: 5000 }, (_, i) => ({
      ...shard.call(`k${i}`, { kind: 'set', value: Buffer.alloc(100), expiresAt: 0 }),
      segment: `#${i % BINDING.buckets}` as const,
      bucketId: i % BINDING.buckets,
    }))
    await store.execute(calls)
    expect(await store.size()).toEqual({ keys: 5000, bytes: 500_000 })
  })

  it('works again after the server forgot its scripts', async () => {
    await shard.set('k', 'v')
    await client.script('FLUSH')
    expect(await shard.get('k')).toBe('v')
    expect((await shard.record()).state).toBe('owned')
  })
})
