import { performance } from 'node:perf_hooks'
import { Redis } from 'ioredis'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { redisTopology } from '../../../src/backends/redis/redis-topology'
import { bucketSegment } from '../../../src/placement/segment'
import { ShardRouter } from '../../../src/router/router'
import { RedisServer } from '../../servers/redis-server'
const KEYS = 50_000, SLOTS = 4096, N = Number(process.env.N ?? 600)
const value = Buffer.alloc(100, 'v')
const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`)
const servers = await Promise.all([RedisServer.start(), RedisServer.start(), RedisServer.start()])
const clients = servers.map((server) => new Redis(server.port))
const shards = { a: redisStore(clients[0]!), b: redisStore(clients[1]!) }
const router = await ShardRouter.open({ shards, topology: redisTopology(clients[2]!), buckets: SLOTS, codec: 'bytes' })
for (let i = 0; i < KEYS; i += 2_000) await router.setMany(keys.slice(i, i + 2_000).map((key) => [key, value] as const))
const owned = Array.from({ length: SLOTS }, (_, i) => bucketSegment(i)).filter((s) => router.placement.shardOf(s) === 'a')
for (const client of clients) await client.config('RESETSTAT')
const cpu = async (c: Redis) => { const t = await c.info('cpu'); const f = (n: string) => Number(new RegExp(`${n}_main_thread:([\\d.]+)`).exec(t)![1]) * 1000; return f('used_cpu_user') + f('used_cpu_sys') }
const before = await Promise.all(clients.map(cpu)); const own = process.cpuUsage()
const start = performance.now()
const r = await router.requestResharding(1, new Map(owned.slice(0, N).map((s) => [s, 'b'])), { verify: true, retainMs: 60_000, concurrency: process.env.C ? Number(process.env.C) : undefined })
if (!r.accepted) throw new Error(r.reason)
const report = await r.done
const ms = performance.now() - start
const used = process.cpuUsage(own)
const after = await Promise.all(clients.map(cpu))
console.log(`${N} segments, ${report.keysCopied} keys in ${ms.toFixed(0)} ms: ${Math.round(report.keysCopied / ms * 1000)} keys/s, ${(ms / N).toFixed(2)} ms/segment; client cpu ${((used.user + used.system) / 1000 / N).toFixed(3)} ms/segment; servers ${after.map((a, i) => ((a - before[i]!) / N).toFixed(3)).join(' ')} ms/segment`)
for (const [i, c] of clients.entries()) console.log('abt'[i], (await c.info('commandstats')).split('\n').filter((l) => /evalsha|cmdstat_(eval|publish|hmget|info|xlen|lrange)/.test(l)).map((l) => l.trim().replace(/rejected.*/, '')).join(' | '))
await router.close()
for (const c of clients) c.disconnect()
for (const s of servers) await s.stop()
