import { performance } from 'node:perf_hooks'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { shardedRedis } from '../../src/backends/redis'
import { redisStore } from '../../src/backends/redis/redis-store'
import { seededRandom, systemClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { bucketSegment } from '../../src/placement/segment'
import { ShardRouter } from '../../src/router/router'
import type { Call, Operation, ShardStore } from '../../src/shard-store'
import { RedisServer } from '../servers/redis-server'
import { benchMoving } from './redis/moving'

/**
 * Operations a second at concurrency 64 on one server, as a ratio to the plain command of the same client; memory; then
 * what moving keys costs. `npm run bench -- redis`, with `--quick` in a minute or two; read the ratios, not the numbers.
 */

const QUICK = process.argv.includes('--quick')
const KEYS = 20_000
const CONCURRENCY = 64
const SLICE_MS = QUICK ? 200 : 400
const ROUNDS = QUICK ? 3 : 7
const BUCKETS = 16_384
const value = Buffer.alloc(100, 'v')

const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`)
const random = seededRandom(1)
const pick = () => keys[Math.floor(random() * KEYS)]!

type Operate = (key: string) => Promise<unknown>

/** Operations a second, and µs of CPU an operation takes here and on the server. */
interface Rate {
  readonly perSecond: number
  readonly here: number
  readonly there: number
}

async function slice(operation: Operate): Promise<Rate> {
  let done = 0
  const until = performance.now() + SLICE_MS
  const [start, here, there] = [performance.now(), process.cpuUsage(), await serverCpu()]
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (performance.now() < until) {
        await operation(pick())
        done++
      }
    }),
  )
  const used = process.cpuUsage(here)
  return {
    perSecond: done / ((performance.now() - start) / 1000),
    here: (used.user + used.system) / done,
    there: ((await serverCpu()) - there) / done,
  }
}

async function serverCpu(): Promise<number> {
  const text = await admin.info('cpu')
  const seconds = (field: string) => Number(new RegExp(`${field}:([\\d.]+)`).exec(text)![1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6
}

function median(numbers: number[]): number {
  return numbers.sort((x, y) => x - y)[numbers.length >> 1]!
}

/** All of them in turn, several times, so that what else the machine does meets them all alike. */
async function compare(contenders: Record<string, Operate>): Promise<void> {
  const rates = new Map<string, Rate[]>(Object.keys(contenders).map((name) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++)
    for (const [name, operation] of Object.entries(contenders)) {
      const rate = await slice(operation)
      // The first round warms up.
      if (round > 0) rates.get(name)!.push(rate)
    }
  const [plain] = [...rates.values()]
  for (const [name, own] of rates) {
    const ratio = median(own.map((it, i) => it.perSecond / plain![i]!.perSecond))
    const [perSecond, here, there] = (['perSecond', 'here', 'there'] as const).map((field) =>
      median(own.map((it) => it[field])),
    )
    console.log(
      `${name.padEnd(36)} ${ratio.toFixed(2)}  ${Math.round(perSecond!).toString().padStart(7)}/s` +
        `  ${here!.toFixed(1)} µs here, ${there!.toFixed(1)} µs on the server`,
    )
  }
}

function operate(store: ShardStore, key: string, operation: Operation) {
  const bucketId = murmur3(key) % BUCKETS
  const call: Call = { segment: bucketSegment(bucketId), bucketId, epoch: 1, key, tag: key, operation }
  return store.execute([call])
}

const server = await RedisServer.start()
const admin = new Redis(server.port)
const memory = async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))![1])

for (const library of ['ioredis', 'node-redis'] as const) {
  await admin.flushall()
  const ioredis = new Redis(server.port)
  const pipelining = new Redis(server.port, { enableAutoPipelining: true })
  const nodeRedis = createClient({ socket: { port: server.port } })
  await nodeRedis.connect()
  const client = library === 'node-redis' ? nodeRedis : ioredis
  const plain = library === 'node-redis' ? nodeRedis : ioredis
  const router = await ShardRouter.open({ shards: { a: redisStore(client) }, codec: 'bytes' })
  for (const key of keys) await router.set(key, value)
  const sharded = shardedRedis(router)
  // The same shard once more, without a router.
  const { id } = await bindingOf()
  const store = redisStore(client)
  await store.open({ topologyId: id, shard: 'a', buckets: BUCKETS, clock: systemClock })
  const other = (key: string) => `plain:${key}`
  await compare({
    [`${library}: plain SET`]: (key) => plain.set(other(key), value),
    ...(library === 'ioredis' && {
      'ioredis: SET, auto-pipelining': (key) => pipelining.set(other(key), value),
    }),
    [`${library}: store set`]: (key) => operate(store, key, { kind: 'set', value, expiresAt: 0 }),
    [`${library}: router set`]: (key) => router.set(key, value),
    [`${library}: shardedRedis set`]: (key) => sharded.set(key, value),
  })
  await compare({
    [`${library}: plain GET`]: (key) => plain.get(other(key)),
    ...(library === 'ioredis' && { 'ioredis: GET, auto-pipelining': (key) => pipelining.get(other(key)) }),
    [`${library}: store get`]: (key) => operate(store, key, { kind: 'get' }),
    [`${library}: router get`]: (key) => router.get(key),
    [`${library}: shardedRedis get`]: (key) => sharded.get(key),
  })
  await store.close()
  await router.close()
  ioredis.disconnect()
  pipelining.disconnect()
  nodeRedis.destroy()
}

async function bindingOf(): Promise<{ id: string }> {
  return { id: (await admin.hget('~foreshard:shard', 'topologyId'))! }
}

console.log('\nbytes of memory a key (key of 12 bytes, value of 100), plain and with the index')
for (const perBucket of QUICK ? [64] : [1, 8, 64, 250, 2000]) {
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
await benchMoving(QUICK ? { keys: 50_000, slots: 4_096 } : { keys: 200_000, slots: 16_384 })
