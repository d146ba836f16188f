import { execFile } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { redisTopology } from '../../../src/backends/redis/redis-topology'
import { seededRandom } from '../../../src/clock'
import { bucketSegment, type SegmentId } from '../../../src/placement/segment'
import { ShardRouter } from '../../../src/router/router'
import { RedisServer } from '../../servers/redis-server'

/** A tenth of the keys moves: how fast, beside what Redis has for it, and what clients notice of it. */

/** Slots of a cluster; there are as many of them whatever is measured. */
const CLUSTER_SLOTS = 16_384
const CONCURRENCY = 64
const IDLE_MS = 4_000
const value = Buffer.alloc(100, 'v')
let keys: readonly string[] = []

/** `slots`: buckets of ours. Slots of a cluster hold as many keys where there are 16,384 of both. */
export async function benchMoving(size: { keys: number; slots: number }): Promise<void> {
  keys = Array.from({ length: size.keys }, (_, i) => `user:${i}`)
  console.log(
    `\nmoving a tenth of ${size.keys.toLocaleString('en')} keys of 100 bytes, ${size.slots} buckets; keys a second`,
  )
  const reshard = await clusterReshard()
  console.log(`redis-cli --cluster reshard            1.00  ${reshard}/s`)
  const migrate = await plainMigrate()
  console.log(`MIGRATE, 100 keys a call               ${(migrate / reshard).toFixed(2)}  ${migrate}/s`)
  await ourMoves(reshard, size.slots)
}

async function ourMoves(reshard: number, slots: number): Promise<void> {
  const servers = await Promise.all([RedisServer.start(), RedisServer.start(), RedisServer.start()])
  const clients = servers.map((server) => new Redis(server.port))
  const shards = { a: redisStore(clients[0]!), b: redisStore(clients[1]!) }
  const router = await ShardRouter.open({
    shards,
    topology: redisTopology(clients[2]!),
    buckets: slots,
    codec: 'bytes',
  })
  for (let i = 0; i < keys.length; i += 2_000)
    await router.setMany(keys.slice(i, i + 2_000).map((key) => [key, value] as const))
  const owned = Array.from({ length: slots }, (_, i) => bucketSegment(i)).filter(
    (segment) => router.placement.shardOf(segment) === 'a',
  )
  const move = async (segments: SegmentId[], to: string, verify: boolean) => {
    const map = new Map(segments.map((segment) => [segment, to]))
    const start = performance.now()
    const resharding = await router.requestResharding(1, map, { verify, retainMs: 60_000 })
    if (!resharding.accepted) throw new Error(resharding.reason)
    const report = await resharding.done
    return Math.round((1000 * report.keysCopied) / (performance.now() - start))
  }
  for (const verify of [true, false]) {
    const rate = await move(owned.splice(0, Math.floor(slots / 10)), 'b', verify)
    console.log(
      `router, ${verify ? 'verified   ' : 'not verified'}                   ${(rate / reshard).toFixed(2)}  ${rate}/s`,
    )
  }
  const load = new Load(router)
  await load.measure(async () => new Promise((resolve) => setTimeout(resolve, 500)))
  const idle = await load.measure(async () => new Promise((resolve) => setTimeout(resolve, IDLE_MS)))
  let rate = 0
  const moving = await load.measure(async () => {
    rate = await move(owned.splice(0, Math.floor(slots / 10)), 'b', true)
  })
  console.log(`\nget and set at concurrency ${CONCURRENCY}      p50      p99  longest  operations a second`)
  for (const [name, it] of Object.entries({ idle, [`while a tenth moves, ${rate} keys/s`]: moving }))
    console.log(
      `${name.padEnd(34)} ${it.p50.toFixed(2).padStart(5)} ms ${it.p99.toFixed(2).padStart(5)} ms ${it.longest.toFixed(1).padStart(6)} ms  ${it.perSecond}`,
    )
  console.log(
    `ratio                              ${(moving.p50 / idle.p50).toFixed(2).padStart(5)}    ${(moving.p99 / idle.p99).toFixed(2).padStart(5)}`,
  )
  await router.close()
  for (const client of clients) client.disconnect()
  for (const server of servers) await server.stop()
}

/** Half reads, half writes, each of 64 strands with one operation under way. */
class Load {
  readonly #router: ShardRouter
  readonly #random = seededRandom(3)

  constructor(router: ShardRouter) {
    this.#router = router
  }

  async measure(while_: () => Promise<unknown>) {
    let over = false
    const took: number[] = []
    const start = performance.now()
    const strands = Array.from({ length: CONCURRENCY }, async () => {
      while (!over) {
        const key = keys[Math.floor(this.#random() * keys.length)]!
        const from = performance.now()
        if (this.#random() < 0.5) await this.#router.get(key)
        else await this.#router.set(key, value)
        took.push(performance.now() - from)
      }
    })
    await while_()
    over = true
    await Promise.all(strands)
    const sorted = Float64Array.from(took).sort()
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!
    const perSecond = Math.round((1000 * took.length) / (performance.now() - start))
    return { p50: at(0.5), p99: at(0.99), longest: at(1), perSecond }
  }
}

/** Two members of a cluster; the command that operators use moves the slots. */
async function clusterReshard(): Promise<number> {
  const enabled = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '30000']
  const servers = await Promise.all([RedisServer.start(...enabled), RedisServer.start(...enabled)])
  const [from, to] = servers.map((server) => new Redis(server.port)) as [Redis, Redis]
  const run = promisify(execFile)
  const id = (client: Redis) => client.call('CLUSTER', 'MYID') as Promise<string>
  const cli = (...args: string[]) => run('redis-cli', args, { maxBuffer: 1 << 28 })
  try {
    await from.call('CLUSTER', 'ADDSLOTSRANGE', 0, CLUSTER_SLOTS - 1)
    await from.call('CLUSTER', 'SET-CONFIG-EPOCH', 1)
    await to.call('CLUSTER', 'SET-CONFIG-EPOCH', 2)
    await from.call('CLUSTER', 'MEET', '127.0.0.1', servers[1]!.port)
    const agreed = async () =>
      (await Promise.all([from, to].map((it) => it.call('CLUSTER', 'INFO')))).every((it) =>
        /cluster_state:ok[\s\S]*cluster_known_nodes:2/.test(String(it)),
      )
    while (!(await agreed())) await new Promise((resolve) => setTimeout(resolve, 100))
    await fill(from)
    const before = await from.dbsize()
    const host = `127.0.0.1:${servers[0]!.port}`
    const start = performance.now()
    await cli(
      '--cluster',
      'reshard',
      host,
      '--cluster-from',
      await id(from),
      '--cluster-to',
      await id(to),
      '--cluster-slots',
      String(Math.floor(CLUSTER_SLOTS / 10)),
      '--cluster-pipeline',
      '100',
      '--cluster-yes',
    )
    return Math.round((1000 * (before - (await from.dbsize()))) / (performance.now() - start))
  } finally {
    from.disconnect()
    to.disconnect()
    for (const server of servers) await server.stop()
  }
}

async function plainMigrate(): Promise<number> {
  const servers = await Promise.all([RedisServer.start(), RedisServer.start()])
  const from = new Redis(servers[0]!.port)
  await fill(from)
  const start = performance.now()
  const moved = keys.slice(0, keys.length / 10)
  for (let i = 0; i < moved.length; i += 100)
    await from.call('MIGRATE', '127.0.0.1', servers[1]!.port, '', 0, 5000, 'KEYS', ...moved.slice(i, i + 100))
  const rate = Math.round((1000 * moved.length) / (performance.now() - start))
  from.disconnect()
  for (const server of servers) await server.stop()
  return rate
}

async function fill(client: Redis): Promise<void> {
  for (let i = 0; i < keys.length; i += 2_000) {
    const filling = client.pipeline()
    for (const key of keys.slice(i, i + 2_000)) filling.set(key, value)
    await filling.exec()
  }
}
