import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { systemClock } from '../../../src/clock'
import { ShardRouter } from '../../../src/router/router'
import type { Change, Entry, ShardStore } from '../../../src/shard-store'
import { ShardUnderTest } from '../../../src/testing/shard-store-suite/shard-under-test'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { fencedCommand } from './fenced-command'

const clock = { now: systemClock.now, advance: (ms: number) => systemClock.sleep(ms) }
const TICKET = 5
const SOURCE = { role: 'source', ticket: TICKET } as const
const TARGET = { role: 'target', ticket: TICKET } as const
const times = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Every type, with so many elements; and all that can be asked about it. */
const TYPES: Record<
  string,
  {
    fill(client: Redis, key: string, count: number): Promise<unknown>
    read(client: Redis, key: string): Promise<unknown>
  }
> = {
  hash: {
    fill: (client, key, count) =>
      client.hset(key, ...times(count).flatMap((i) => [`field ${i}`, `value ${i}`])),
    read: (client, key) => client.hgetall(key),
  },
  list: {
    fill: (client, key, count) => client.rpush(key, ...times(count).map((i) => `item ${i % 7}`)),
    read: (client, key) => client.lrange(key, 0, -1),
  },
  set: {
    fill: (client, key, count) => client.sadd(key, ...times(count).map((i) => `member ${i}`)),
    read: async (client, key) => (await client.smembers(key)).sort(),
  },
  zset: {
    fill: (client, key, count) =>
      client.zadd(
        key,
        ...times(count).flatMap((i) => [i < 2 ? ['inf', '-inf'][i]! : String(i / 3), `member ${i}`]),
      ),
    read: (client, key) => client.zrange(key, 0, -1, 'WITHSCORES'),
  },
  stream: {
    fill: async (client, key, count) => {
      const filling = client.pipeline()
      for (const i of times(count)) filling.xadd(key, `5-${i + 1}`, 'field', `value ${i}`, 'other', '')
      await filling.exec()
      await client.xgroup('CREATE', key, 'group', '0')
      await client.xgroup('CREATE', key, 'idle group', '5-3')
      await client.xgroup('CREATECONSUMER', key, 'group', 'idle consumer')
      await client.xreadgroup(
        'GROUP',
        'group',
        'consumer',
        'COUNT',
        Math.floor(count / 2),
        'STREAMS',
        key,
        '>',
      )
      await client.xreadgroup('GROUP', 'group', 'other', 'COUNT', 3, 'STREAMS', key, '>')
      await client.xclaim(key, 'group', 'other', 0, '5-2')
      await client.xadd(key, '9-1', 'field', 'deleted')
      await client.xdel(key, '9-1')
    },
    read: async (client, key) => {
      const stream = (await client.xinfo('STREAM', key)) as unknown[]
      const about = (name: string) => stream[stream.indexOf(name) + 1]
      const pending = (await client.xpending(key, 'group', '-', '+', 100_000)) as unknown[][]
      return {
        entries: await client.xrange(key, '-', '+'),
        about: ['length', 'last-generated-id', 'entries-added', 'max-deleted-entry-id', 'groups'].map(about),
        groups: await client.xinfo('GROUPS', key),
        pending: pending.map(([id, consumer, , deliveries]) => [id, consumer, deliveries]),
        consumers: ((await client.xinfo('CONSUMERS', key, 'group')) as unknown[][]).map((it) =>
          it.slice(0, 4),
        ),
      }
    },
  },
}

describe.skipIf(redisIsMissing)('large values in Redis', () => {
  const servers: RedisServer[] = []
  const clients: Redis[] = []
  let here: Redis
  let there: Redis
  let stores: ShardStore[]
  let source: ShardUnderTest
  let target: ShardUnderTest
  beforeAll(async () => {
    for (let i = 0; i < 2; i++) {
      servers.push(await RedisServer.start())
      clients.push(new Redis(servers[i]!.port))
    }
    here = clients[0]!
    there = clients[1]!
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    for (const server of servers) await server.stop()
  })
  beforeEach(async () => {
    stores = clients.map((client) => redisStore(client))
    for (const client of clients) await client.flushall()
    source = new ShardUnderTest(stores[0]!, clock)
    target = new ShardUnderTest(stores[1]!, clock)
    await source.open()
    await target.store.open({ topologyId: 'suite', shard: 'b', buckets: 64, clock: systemClock })
  })

  /** A key of Foreshard's that is of another type. */
  const make = async (key: string, type: string, count: number, expiresAt = 0) => {
    await source.set(key, 'placeholder', { expiresAt })
    await here.del(key)
    await TYPES[type]!.fill(here, key, count)
    if (expiresAt > 0) await here.pexpireat(key, expiresAt)
  }
  const beginMove = async () => {
    await source.takes('#3', { step: 'export', epoch: 1, ticket: TICKET, peer: 'b' })
    await target.importing(TICKET, '#3')
  }
  let batch = 0
  const ingest = async (changes: readonly Pick<Change, 'key' | 'tag' | 'entry'>[], number = ++batch) => {
    const answer = await target.store.ingest({
      ...target.at(),
      epoch: 1,
      ticket: TICKET,
      batch: number,
      changes,
    })
    expect(answer.ok).toBe(true)
  }
  beforeEach(() => {
    batch = 0
  })
  const arrived = (entries: readonly Entry[]) =>
    entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry }))
  const page = async (cursor?: string) => {
    const answer = await source.store.scan({
      ...source.at(),
      as: SOURCE,
      want: 'values',
      limit: 100,
      cursor,
      parts: true,
    })
    if (!answer.ok) throw new Error('the scan was refused')
    return answer
  }
  /** Copies page by page; `between` runs after each. Answers how many parts there were. */
  const copy = async (between: (parts: number) => Promise<unknown> = async () => undefined) => {
    let cursor: string | undefined
    let parts = 0
    do {
      const { entries, next } = await page(cursor)
      await ingest(arrived(entries))
      if (entries.some((it) => it.part)) parts++
      await between(parts)
      cursor = next
    } while (cursor !== undefined)
    return parts
  }
  const catchUp = async (after: number) => {
    let cursor: string | undefined
    const formats: string[] = []
    for (;;) {
      const request = { ...source.at(), ticket: TICKET, after, limit: 100, cursor, parts: true }
      const answer = await source.store.changes(request)
      if (!answer.ok) throw new Error('the changes were refused')
      if (answer.changes.length === 0) return formats
      await ingest(answer.changes)
      for (const { entry } of answer.changes) formats.push(entry?.format ?? (entry ? 'bytes' : 'deleted'))
      cursor = answer.next
      if (!cursor) after = answer.changes.at(-1)!.seq
    }
  }
  const digests = async (shard: ShardUnderTest, as: typeof SOURCE | typeof TARGET) =>
    new Map((await shard.scan(as, { want: 'digests' })).map((it) => [it.key, it.digest]))
  const expectEqual = async (key: string, type: string) => {
    expect(await there.type(key)).toBe(type)
    expect(await TYPES[type]!.read(there, key)).toEqual(await TYPES[type]!.read(here, key))
    const [ours, theirs] = [await digests(source, SOURCE), await digests(target, TARGET)]
    expect(theirs).toEqual(ours)
    expect(ours.has(key)).toBe(true)
  }
  const own = async (client: Redis) => (await client.keys('~foreshard:b:*')).filter((it) => it.includes(':s'))

  it.each(Object.keys(TYPES))(
    'a %s travels whole up to a thousand elements, and beyond that in parts',
    async (type) => {
      const expiresAt = Date.now() + 100_000
      await make('at the limit', type, 1000, expiresAt)
      await make('over it', type, 2600, expiresAt)
      await beginMove()
      expect(await copy()).toBeGreaterThanOrEqual(3)
      for (const key of ['at the limit', 'over it']) {
        await expectEqual(key, type)
        expect(await there.call('PEXPIRETIME', key)).toBe(expiresAt)
      }
      expect(await own(there)).toEqual([])
    },
  )

  it('a collection of few but long elements travels in parts too', async () => {
    await source.set('k', '')
    await here.del('k')
    await here.hset('k', Object.fromEntries(times(40).map((i) => [`field ${i}`, 'v'.repeat(20_000)])))
    await beginMove()
    expect(await copy()).toBeGreaterThanOrEqual(3)
    expect(await there.hgetall('k')).toEqual(await here.hgetall('k'))
  })

  it('a string of 1 MiB travels whole, a longer one in ranges, and the digest is that of other stores', async () => {
    const long = Buffer.alloc(4_500_001, 'abcdefg')
    await source.done('long', { kind: 'set', value: long, expiresAt: 0 })
    await source.done('limit', { kind: 'set', value: long.subarray(0, 1 << 20), expiresAt: 0 })
    await source.set('empty', '')
    await beginMove()
    expect(await copy()).toBe(9)
    expect(long.equals((await there.getBuffer('long'))!)).toBe(true)
    expect((await there.getBuffer('limit'))!.length).toBe(1 << 20)
    expect(await there.get('empty')).toBe('')
    expect(await digests(target, TARGET)).toEqual(await digests(source, SOURCE))
    // Whoever does not take parts is given the whole.
    const whole = await source.scan(SOURCE)
    expect(whole.map(({ key, value }) => [key, value!.length])).toContainEqual(['long', long.length])
  })

  it('nobody sees a value before its last part, and nothing is left of it when the import ends', async () => {
    await make('k', 'hash', 5000)
    await beginMove()
    const { entries, next } = await page()
    await ingest(arrived(entries))
    await ingest(arrived((await page(next)).entries))
    expect(await there.exists('k')).toBe(0)
    expect(await target.scan(TARGET)).toEqual([])
    expect(await own(there)).toEqual(['~foreshard:b:3:s#'])
    await target.takes('#3', { step: 'discard', ticket: TICKET })
    expect(await there.keys('*:s#')).toEqual([])
    // And so when another attempt begins, which takes it from the first part on.
    await target.importing(TICKET + 1, '#3')
    const again = { ...target.at(), epoch: 1, ticket: TICKET + 1 }
    await target.store.ingest({ ...again, batch: 1, changes: arrived(entries) })
    await target.importing(TICKET + 2, '#3')
    expect(await there.keys('*:s#')).toEqual([])
    const late = target.store.ingest({
      ...again,
      ticket: TICKET + 2,
      batch: 1,
      changes: arrived((await page(next)).entries),
    })
    await expect(late).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('a part that arrives twice is taken once', async () => {
    await make('k', 'list', 3000)
    await beginMove()
    let cursor: string | undefined
    do {
      const { entries, next } = await page(cursor)
      await ingest(arrived(entries))
      await ingest(arrived(entries), batch)
      cursor = next
    } while (cursor !== undefined)
    await expectEqual('k', 'list')
  })

  const CHANGES: Record<string, [string, ...(string | number)[]][]> = {
    hash: [
      ['HSET', 'field 0', 'changed', 'fresh', 'new'],
      ['HDEL', 'field 1', 'field 2999'],
      ['HINCRBY', 'count', 5],
    ],
    set: [
      ['SADD', 'member 0', 'fresh'],
      ['SREM', 'member 1', 'member 2999'],
    ],
    zset: [
      ['ZADD', 'XX', 'CH', 7.5, 'member 0'],
      ['ZADD', 0.1, 'fresh'],
      ['ZREM', 'member 1', 'member 2999'],
      ['ZINCRBY', 1e-9, 'member 5'],
    ],
    stream: [
      ['XADD', '*', 'field', 'fresh'],
      ['XDEL', '5-1', '5-2998'],
      ['XADD', 'MINID', '5-3', '*', 'field', 'fresher'],
    ],
  }
  it.each(Object.keys(CHANGES))(
    'of a %s that is written meanwhile only the elements are copied again',
    async (type) => {
      await make('k', type, 3000)
      await beginMove()
      let writes = 0
      await copy(async () => {
        for (const [command, ...args] of CHANGES[type]!) {
          expect(await fencedCommand(here, { bucketId: 3, epoch: 1 }, 'k', command, ...args)).toBe(true)
          writes++
        }
      })
      expect(writes).toBeGreaterThan(4)
      expect(new Set(await catchUp(1))).toEqual(new Set(['redis-elements']))
      if (type !== 'stream') await expectEqual('k', type)
      expect(await digests(target, TARGET)).toEqual(await digests(source, SOURCE))
    },
  )

  it.each(Object.keys(TYPES))(
    'of a %s that becomes something else meanwhile no part is ever shown',
    async (type) => {
      await make('k', type, 4000)
      await source.set('other', 'v')
      await beginMove()
      const first = await copy(async (parts) => {
        if (parts === 1) await source.set('k', 'a string now')
      })
      expect(first).toBe(1)
      expect(await there.exists('k')).toBe(0)
      expect(await there.get('other')).toBe('v')
      expect(await catchUp(2)).toEqual(['bytes'])
      expect(await there.get('k')).toBe('a string now')
      await source.delete('k')
      await catchUp(3)
      expect(await there.exists('k')).toBe(0)
      await target.takes('#3', { step: 'discard', ticket: TICKET })
      expect(await own(there)).toEqual([])
    },
  )

  it('a command that names thousands of elements has all of them copied', async () => {
    await make('k', 'hash', 3000)
    await beginMove()
    await copy()
    const args = times(1700).flatMap((i) => [`field ${i}`, 'changed'])
    await fencedCommand(here, { bucketId: 3, epoch: 1 }, 'k', 'HSET', ...args)
    expect(await catchUp(1)).toEqual(times(4).map(() => 'redis-elements'))
    await expectEqual('k', 'hash')
  })

  it('a list whose places shift meanwhile is not shown until it is copied again', async () => {
    await make('k', 'list', 4000)
    await beginMove()
    const at = { bucketId: 3, epoch: 1 }
    const parts = await copy(async (count) => {
      if (count === 2) await fencedCommand(here, at, 'k', 'LINSERT', 'BEFORE', 'item 3', 'inserted')
    })
    expect(parts).toBe(2)
    expect(await there.exists('k')).toBe(0)
    await catchUp(1)
    await expectEqual('k', 'list')
  })

  it('elements of what was deleted and made anew do not come before it', async () => {
    await make('k', 'hash', 3000)
    await beginMove()
    await copy()
    const at = { bucketId: 3, epoch: 1 }
    await fencedCommand(here, at, 'k', 'HSET', 'field 0', 'changed')
    await source.delete('k')
    await source.set('k', 'placeholder')
    await here.del('k')
    await TYPES.zset!.fill(here, 'k', 3000)
    await fencedCommand(here, at, 'k', 'ZADD', 1, 'fresh')
    await catchUp(1)
    await expectEqual('k', 'zset')
  })

  it('a change of the whole value comes in parts with the changes', async () => {
    await make('k', 'list', 3000)
    await beginMove()
    await copy()
    await source.set('before', 'v')
    await fencedCommand(here, { bucketId: 3, epoch: 1 }, 'k', 'LINSERT', 'BEFORE', 'item 3', 'inserted')
    await source.set('after', 'v')
    const formats = await catchUp(1)
    expect(formats[0]).toBe('bytes')
    expect(formats.at(-1)).toBe('bytes')
    expect(formats.filter((it) => it === 'redis-parts').length).toBeGreaterThanOrEqual(3)
    await expectEqual('k', 'list')
    expect(await there.get('after')).toBe('v')
  })

  it('a collection that is written without a pause moves all the same, and no write is lost', async () => {
    for (const client of clients) await client.flushall()
    const router = await ShardRouter.open({
      shards: { a: redisStore(here), b: redisStore(there) },
      buckets: 4,
      codec: 'bytes',
    })
    try {
      const key = 'hot'
      const { shard, bucketId, segment } = router.locate(key)
      const [from, to] = shard === 'a' ? [here, there] : [there, here]
      await router.set(key, Buffer.from('placeholder'))
      await from.del(key)
      for (let i = 0; i < 40; i++)
        await from.hset(key, ...times(1000).flatMap((j) => [`f${i * 1000 + j}`, 'v']))
      const written = new Map<string, string>()
      let moving = true
      const writing = (async () => {
        for (let i = 0; moving; i++) {
          const field = `f${(i * 7919) % 45_000}`
          if (!(await fencedCommand(from, { bucketId, epoch: 1 }, key, 'HSET', field, `${i}`))) break
          written.set(field, `${i}`)
        }
      })()
      const resharding = await router.requestResharding(1, new Map([[segment, shard === 'a' ? 'b' : 'a']]), {
        retainMs: 0,
      })
      if (!resharding.accepted) throw new Error(resharding.reason)
      const report = await resharding.done
      moving = false
      await writing
      expect(report).toMatchObject({ outcome: 'done' })
      const arrivedAs = await to.hgetall(key)
      expect(written.size).toBeGreaterThan(0)
      for (const [field, value] of written) expect(arrivedAs[field]).toBe(value)
      expect(Object.keys(arrivedAs).length).toBeGreaterThanOrEqual(40_000)
      expect(await from.exists(key)).toBe(0)
      for (const client of clients) expect(await own(client)).toEqual([])
    } finally {
      await router.close()
    }
  })
})
