/**
 * A topology of a million carved tags: how long it takes to write and to read, what it costs a router in memory and in lookups,
 * and what a change costs. Over LMDB, and over Redis where there is a server. Bytes are those of a router with the tags less
 * those of one without, each in a process of its own: heap and buffers after a collection, view, migrator and a placement
 * included. `npm run bench -- topology`; TAGS=100000 for a quick look.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { memoryStore, ShardRouter, type ShardStore, type TopologyStore } from 'foreshard'
import { lmdbTopology } from 'foreshard/lmdb'
import { redisTopology } from 'foreshard/redis'
import { Redis } from 'ioredis'
import { AssignmentTable } from '../../src/placement/assignment-table'
import { murmur3 } from '../../src/placement/hash'
import { RedisServer, redisIsMissing } from '../servers/redis-server'

const TAGS = Number(process.env.TAGS ?? 1_000_000)
const BUCKETS = 16_384
const SHARDS = Array.from({ length: 8 }, (_, i) => `s${i}`)
const BATCH = 2_000
const tagOf = (i: number) => `user:tenant-42:${String(i).padStart(9, '0')}`
const ms = (value: number) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`

interface Measured {
  readonly tags: number
  readonly bytes: number
  readonly loadMs: number
  readonly loadCpuMs: number
  readonly pauseMs: number
  readonly placementMs: number
  readonly bytesWithSecondPlacement: number
  readonly toldMs: number
  readonly reads: number
  readonly lookups: { readonly bare: number; readonly other: number; readonly carved: number }
}

if (process.argv[2] === 'router') await child(process.argv[3]!, process.argv[4]!)
else await parent()

async function parent(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-bench-'))
  try {
    await bench('LMDB', 'lmdb', folder, () => lmdbTopology({ path: folder, durability: 'process' }))
  } finally {
    rmSync(folder, { recursive: true })
  }
  if (redisIsMissing)
    console.log('There is no redis-server here: install it, and run this again for its figures.')
  else {
    const server = await RedisServer.start()
    const client = new Redis(server.port)
    try {
      await client.config('SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '1024')
      await bench('Redis', 'redis', String(server.port), () => redisTopology(client), client)
    } finally {
      client.disconnect()
      await server.stop()
    }
  }
  rehash()
}

async function bench(
  name: string,
  kind: string,
  at: string,
  make: () => TopologyStore,
  client?: Redis,
): Promise<void> {
  const topology = make()
  await topology.open({
    buckets: BUCKETS,
    seed: 0,
    shards: SHARDS.map((id) => ({ id, weight: 1 })),
    owners: Int32Array.from({ length: BUCKETS }, (_, i) => i % SHARDS.length),
  })
  const rows: Measured[] = []
  let written = 0
  for (const tags of [0, TAGS / 10, TAGS]) {
    const start = performance.now()
    for (; written < tags; written += BATCH) {
      const assignments = Array.from({ length: BATCH }, (_, i) => ({
        segment: `{${tagOf(written + i)}}` as const,
        shard: SHARDS[(written + i) % SHARDS.length]!,
        epoch: 2,
      }))
      await topology.commit({ assignments })
    }
    if (tags > 0)
      console.log(`${name}: ${tags} tags committed, the last after ${ms(performance.now() - start)}`)
    if (client) console.log(`  slowest command while they were: ${await slowest(client)}`)
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--expose-gc', '--import', 'tsx', import.meta.filename, 'router', kind, at],
      { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' },
    )
    if (status !== 0) throw new Error(`the router's process ended with ${status}`)
    rows.push({ ...(JSON.parse(stdout) as Measured), tags })
    if (client) console.log(`  slowest command while a router opened: ${await slowest(client)}`)
  }
  report(name, rows)
  await blocks(name, topology, client)
  await topology.close()
}

function report(name: string, rows: readonly Measured[]): void {
  const [none] = rows
  console.log(
    `\n${name}     open (of CPU)   longest pause   bytes a tag   with a second placement   told of a change in (reads)   next placement`,
  )
  for (const it of rows.slice(1)) {
    const bytes = ((it.bytes - none!.bytes) / it.tags).toFixed(1)
    const second = ((it.bytesWithSecondPlacement - none!.bytesWithSecondPlacement) / it.tags).toFixed(1)
    console.log(
      `${it.tags}  ${ms(it.loadMs)} (${ms(it.loadCpuMs)})  ${ms(it.pauseMs)}  ${bytes}  ${second}  ${ms(it.toldMs)} (${it.reads})  ${ms(it.placementMs)}`,
    )
  }
  console.log(
    `${name}  ns of CPU a lookup: hash and table   getShardLocation   ratio   of keys of carved tags`,
  )
  for (const { tags, lookups } of rows) {
    const { bare, other, carved } = lookups
    console.log(
      `${tags}  ${bare.toFixed(0)}  ${other.toFixed(0)}  ${(other / bare).toFixed(2)}  ${tags ? carved.toFixed(0) : '-'}`,
    )
  }
}

/** What one commit costs, by its size, over a topology that is full already. */
async function blocks(name: string, topology: TopologyStore, client: Redis | undefined): Promise<void> {
  for (const [what, count] of [
    ['a move', 1],
    ['a batch', 2_000],
    ['a large change', 16_384],
  ] as const) {
    const assignments = Array.from({ length: count }, (_, i) => ({
      segment: `{${tagOf(i)}}` as const,
      shard: SHARDS[(i + 1) % SHARDS.length]!,
      epoch: 2 + count,
    }))
    const busy = client ? await cpuMs(client) : 0
    const start = performance.now()
    await topology.commit({ assignments })
    const took = performance.now() - start
    console.log(
      `${name}: ${what} of ${count} assignments takes ${ms(took)}${client ? `, ${ms((await cpuMs(client)) - busy)} of the server's CPU` : ''}`,
    )
  }
}

async function cpuMs(client: Redis): Promise<number> {
  const used = [...(await client.info('cpu')).matchAll(/used_cpu_(?:user|sys)_main_thread:([\d.]+)/g)]
  return used.reduce((sum, [, seconds]) => sum + Number(seconds) * 1000, 0)
}

async function slowest(client: Redis): Promise<string> {
  const log = (await client.slowlog('GET', 1024)) as [number, number, number, Buffer[]][]
  await client.slowlog('RESET')
  const [worst] = log.sort((a, b) => b[2] - a[2])
  return worst ? `${(worst[2] / 1000).toFixed(1)} ms (${worst[3][0]})` : 'under 1 ms'
}

/** The table by itself: the longest that one tag more ever waits. */
function rehash(): void {
  const table = new AssignmentTable(BUCKETS, 0)
  const cpu = process.cpuUsage()
  const took = new Float64Array(TAGS)
  for (let i = 0; i < TAGS; i++) {
    const start = performance.now()
    table.apply({ segment: `{${tagOf(i)}}`, shard: SHARDS[i % 8]!, epoch: 2 })
    took[i] = performance.now() - start
  }
  const { user, system } = process.cpuUsage(cpu)
  took.sort()
  console.log(
    `\nThe table takes ${TAGS} tags in ${ms((user + system) / 1000)} of CPU; one more takes ${(took[TAGS >> 1]! * 1000).toFixed(1)} µs, ` +
      `99.99 % at most ${ms(took[Math.floor(TAGS * 0.9999)]!)}, the longest, whatever else the machine did, ${ms(took[TAGS - 1]!)}`,
  )
}

async function child(kind: string, at: string): Promise<void> {
  const client = kind === 'redis' ? new Redis(Number(at)) : undefined
  const other = kind === 'redis' ? new Redis(Number(at)) : undefined
  const make = (redis?: Redis) =>
    redis ? redisTopology(redis) : lmdbTopology({ path: at, durability: 'process' })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const cpu = process.cpuUsage()
  const start = performance.now()
  const topology = make(client)
  const quiet = { pollMs: 1e9, migrator: { pollMs: 1e9 } }
  const router = await ShardRouter.open({ shards: stores(), topology, ...quiet })
  const loadMs = performance.now() - start
  const used = process.cpuUsage(cpu)
  const loadCpuMs = (used.user + used.system) / 1000
  delay.disable()
  const held = [router.placement]
  const bytes = inUse()

  // A change by another process is heard of by one message.
  const elsewhere = kind === 'redis' ? make(other) : topology
  if (elsewhere !== topology) await elsewhere.open(undefined as never)
  await new Promise((resolve) => setTimeout(resolve, 200))
  const reads = router.metrics().refreshes
  const epoch = router.placement.assignmentOf('#0').epoch + 1
  const told = new Promise<number>((resolve) => router.once('topology', () => resolve(performance.now())))
  const sent = performance.now()
  await elsewhere.commit({
    assignments: [
      { segment: '#0', shard: 's1', epoch },
      { segment: `{${tagOf(7)}}`, shard: 's1', epoch: epoch + 1 },
    ],
  })
  const toldMs = (await told) - sent
  const before = performance.now()
  held.push(router.placement)
  const placementMs = performance.now() - before
  const bytesWithSecondPlacement = inUse()

  const keys = Array.from({ length: 200_000 }, (_, i) => `user:${String(i).padStart(10, '0')}:profile`)
  const carvedKeys = Array.from({ length: 200_000 }, (_, i) => `{${tagOf((i * 5) % TAGS)}}:${i}`)
  const table = Array.from({ length: BUCKETS }, (_, bucketId) => held[0]!.shardOf(`#${bucketId}`))
  const lookups = {
    bare: nsPerKey(keys, (key) => table[murmur3(key) % BUCKETS]),
    other: nsPerKey(keys, (key) => router.getShardLocation(key)),
    carved: nsPerKey(carvedKeys, (key) => router.getShardLocation(key)),
  }
  const measured = {
    bytes,
    loadMs,
    loadCpuMs,
    pauseMs: delay.max / 1e6,
    placementMs,
    bytesWithSecondPlacement,
    toldMs,
    reads: router.metrics().refreshes - reads,
    lookups,
  }
  process.stdout.write(JSON.stringify(measured))
  if (elsewhere !== topology) await elsewhere.close()
  await router.close()
  client?.disconnect()
  other?.disconnect()
}

/** Of the same incarnation every time, and of no weight: the topology alone is looked at. */
function stores(): Record<string, ShardStore> {
  const store = () => {
    const bare = memoryStore()
    return new Proxy(bare, {
      get: (target, name) => {
        if (name === 'open') return async () => ({ incarnation: 'bench' })
        if (name === 'found') return async () => {}
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return Object.fromEntries(SHARDS.map((id) => [id, store()]))
}

function inUse(): number {
  for (let i = 0; i < 4; i++) (globalThis as unknown as { gc(): void }).gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function nsPerKey(keys: readonly string[], lookup: (key: string) => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 9; round++) {
    const start = process.cpuUsage()
    for (const key of keys) lookup(key)
    const { user, system } = process.cpuUsage(start)
    best = Math.min(best, ((user + system) * 1000) / keys.length)
  }
  return best
}
