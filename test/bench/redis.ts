import { performance } from 'node:perf_hooks'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { redisStore } from '../../src/backends/redis/redis-store'
import { seededRandom, systemClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { bucketSegment } from '../../src/placement/segment'
import { ShardRouter } from '../../src/router/router'
import type { Call, Operation, ShardStore } from '../../src/shard-store'
import { RedisServer } from '../servers/redis-server'

/**
 * Operations a second at concurrency 64 on one server, as a ratio to the plain command of the same client. Run with
 * `npx tsx test/bench/redis.ts`; read the ratios, not the numbers.
 */

const KEYS = 20_000
const CONCURRENCY = 64
const SECONDS = 2
const BUCKETS = 16_384
const value = Buffer.alloc(100, 'v')

const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`)
const random = seededRandom(1)
const pick = () => keys[Math.floor(random() * KEYS)]!

async function rate(operation: (key: string) => Promise<unknown>): Promise<number> {
  let done = 0
  const run = async (seconds: number) => {
    const until = performance.now() + seconds * 1000
    done = 0
    await Promise.all(
      Array.from({ length: CONCURRENCY }, async () => {
        while (performance.now() < until) {
          await operation(pick())
          done++
        }
      }),
    )
  }
  await run(0.5)
  const start = performance.now()
  await run(SECONDS)
  return done / ((performance.now() - start) / 1000)
}

function operate(store: ShardStore, key: string, operation: Operation) {
  const bucketId = murmur3(key) % BUCKETS
  const call: Call = { segment: bucketSegment(bucketId), bucketId, epoch: 1, key, tag: key, operation }
  return store.execute([call])
}

const server = await RedisServer.start()
const admin = new Redis(server.port)
const memory = async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))![1])
const rows: (readonly [string, number, number])[] = []

for (const library of ['ioredis', 'ioredis auto-pipelining', 'node-redis'] as const) {
  await admin.flushall()
  const ioredis = new Redis(server.port, { enableAutoPipelining: library === 'ioredis auto-pipelining' })
  const nodeRedis = createClient({ socket: { port: server.port } })
  await nodeRedis.connect()
  const plain = library === 'node-redis' ? nodeRedis : ioredis
  const set = await rate((key) => plain.set(key, value))
  const get = await rate((key) => plain.get(key))
  rows.push([`${library}: plain SET`, set, 1], [`${library}: plain GET`, get, 1])
  await admin.flushall()
  if (library !== 'ioredis auto-pipelining') {
    const store = redisStore(plain)
    await store.open({ topologyId: 'bench', shard: 'a', buckets: BUCKETS, clock: systemClock })
    await store.found(Array.from({ length: BUCKETS }, (_, i) => i))
    for (const key of keys) await operate(store, key, { kind: 'set', value, expiresAt: 0 })
    const storeSet = await rate((key) => operate(store, key, { kind: 'set', value, expiresAt: 0 }))
    const storeGet = await rate((key) => operate(store, key, { kind: 'get' }))
    rows.push(
      [`${library}: store set`, storeSet, storeSet / set],
      [`${library}: store get`, storeGet, storeGet / get],
    )
    await store.close()
    await admin.flushall()

    const router = await ShardRouter.open({ shards: { a: redisStore(plain) }, codec: 'bytes' })
    for (const key of keys) await router.set(key, value)
    const routerSet = await rate((key) => router.set(key, value))
    const routerGet = await rate((key) => router.get(key))
    rows.push(
      [`${library}: router set`, routerSet, routerSet / set],
      [`${library}: router get`, routerGet, routerGet / get],
    )
    await router.close()
  }
  ioredis.disconnect()
  nodeRedis.destroy()
}

for (const [name, perSecond, ratio] of rows)
  console.log(`${name.padEnd(40)} ${Math.round(perSecond).toString().padStart(8)}/s  ${ratio.toFixed(2)}`)

console.log('\nbytes of memory a key (key of 12 bytes, value of 100), plain and with the index')
for (const perBucket of [1, 8, 64, 250, 2000]) {
  await admin.flushall()
  const buckets = Math.max(1, Math.round(40_000 / perBucket))
  const client = new Redis(server.port)
  const names = Array.from({ length: buckets * perBucket }, (_, i) => `key:${String(i).padStart(8, '0')}`)
  const empty = await memory()
  for (let i = 0; i < names.length; i += 1000)
    await Promise.all(names.slice(i, i + 1000).map((name) => client.set(name, value)))
  const plain = (await memory()) - empty
  await admin.flushall()
  const store = redisStore(client)
  await store.open({ topologyId: 'bench', shard: 'a', buckets, clock: systemClock })
  await store.found(Array.from({ length: buckets }, (_, i) => i))
  const before = await memory()
  for (let i = 0; i < names.length; i += 1000)
    await Promise.all(
      names.slice(i, i + 1000).map((key, j) => {
        const bucketId = (i + j) % buckets
        const operation = { kind: 'set', value, expiresAt: 0 } as const
        return store.execute([
          { segment: bucketSegment(bucketId), bucketId, epoch: 1, key, tag: key, operation },
        ])
      }),
    )
  const own = (await memory()) - before
  console.log(
    `${String(perBucket).padStart(6)} keys a bucket: ${Math.round(plain / names.length)} plain, ${Math.round(own / names.length)} with the index`,
  )
  client.disconnect()
}
admin.disconnect()
await server.stop()
