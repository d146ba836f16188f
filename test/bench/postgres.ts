/**
 * `npx tsx test/bench/postgres.ts`: a router over one shard in Postgres beside plain statements of `pg` on the same server, both
 * with a pool of 10; keys moved a second between two servers; a topology of many carved tags. Medians of slices taken in turn.
 */
import { postgresStore } from '../../src/backends/postgres/postgres-store'
import { postgresTopology } from '../../src/backends/postgres/postgres-topology'
import type { SegmentId } from '../../src/placement/segment'
import { ShardRouter } from '../../src/router/router'
import { PostgresServer, postgresIsMissing } from '../servers/postgres-server'

if (postgresIsMissing) process.exit(0)

const KEYS = 20_000
const ABREAST = 64
const SLICES = 7
const SLICE_MS = 700
const MOVED_KEYS = 50_000
const TAGS = Number(process.env.FORESHARD_TAGS ?? 1_000_000)
const value = Buffer.alloc(100, 'v')
const settings = ['synchronous_commit=on', 'fsync=on', 'shared_buffers=256MB']
const server = await PostgresServer.start(...settings)
const options = { durable: true }

const router = await ShardRouter.open({
  shards: { a: postgresStore(server.pool(), options) },
  topology: postgresTopology(server.pool({ max: 3 }), options),
  buckets: 1024,
  codec: 'bytes',
})
const plain = server.pool()
await plain.query('create table plain (key text primary key, value bytea not null)')
const upsert = {
  name: 'upsert',
  text: 'insert into plain values ($1, $2) on conflict (key) do update set value = excluded.value',
}
const select = { name: 'select', text: 'select value from plain where key = $1' }
const keyOf = (i: number) => `key:${i % KEYS}`

const ways = {
  'plain upsert': (i: number) => plain.query({ ...upsert, values: [keyOf(i * 7919), value] }),
  'router set': (i: number) => router.set(keyOf(i * 7919), value),
  'plain select': (i: number) => plain.query({ ...select, values: [keyOf(i * 7919)] }),
  'router get': (i: number) => router.get(keyOf(i * 7919)),
}
for (let from = 0; from < KEYS; from += ABREAST)
  await Promise.all(
    Array.from({ length: ABREAST }, (_, j) => [
      plain.query({ ...upsert, values: [keyOf(from + j), value] }),
      router.set(keyOf(from + j), value),
    ]).flat(),
  )
await plain.query('vacuum analyze')

console.log(
  `operations a second, ${ABREAST} and 1 abreast, keys of 10 and values of 100 bytes; µs of this process`,
)
for (const abreast of [ABREAST, 1]) {
  const taken = new Map<string, { rate: number; cpu: number }[]>(Object.keys(ways).map((name) => [name, []]))
  for (let slice = 0; slice < SLICES; slice++)
    for (const [name, way] of Object.entries(ways)) taken.get(name)!.push(await measure(way, abreast))
  const median = (name: string, field: 'rate' | 'cpu') =>
    taken
      .get(name)!
      .map((it) => it[field])
      .sort((x, y) => x - y)[SLICES >> 1]!
  for (const [ours, theirs] of [
    ['router set', 'plain upsert'],
    ['router get', 'plain select'],
  ] as const)
    for (const name of [theirs, ours])
      console.log(
        `${String(abreast).padStart(3)}  ${name.padEnd(14)}${median(name, 'rate').toFixed(0).padStart(8)}` +
          `${median(name, 'cpu').toFixed(1).padStart(8)} µs  ${(median(name, 'rate') / median(theirs, 'rate')).toFixed(2)}`,
      )
}

async function measure(way: (i: number) => Promise<unknown>, abreast: number) {
  const from = performance.now()
  const before = process.cpuUsage()
  let i = Math.floor(from)
  let done = 0
  await Promise.all(
    Array.from({ length: abreast }, async () => {
      while (performance.now() - from < SLICE_MS) {
        await way(i++)
        done++
      }
    }),
  )
  const { user, system } = process.cpuUsage(before)
  return { rate: (done * 1000) / (performance.now() - from), cpu: (user + system) / done }
}
await router.close()

for (const [buckets, verify] of [
  [64, true],
  [64, false],
  [16_384, true],
] as const) {
  const pools = [server.pool(), server.pool(), server.pool({ max: 3 })]
  const table = `moved_${buckets}_${verify}`
  const mover = await ShardRouter.open({
    shards: {
      a: postgresStore(pools[0]!, { ...options, table: `${table}_a` }),
      b: postgresStore(pools[1]!, { ...options, table: `${table}_b` }),
    },
    topology: postgresTopology(pools[2]!, { ...options, table }),
    buckets,
    codec: 'bytes',
  })
  for (let from = 0; from < MOVED_KEYS; from += 1000)
    await mover.setMany(Array.from({ length: 1000 }, (_, i) => [`key:${from + i}`, value] as const))
  const map = new Map<SegmentId, string>()
  for (let bucketId = 0; bucketId < buckets && map.size < 2_000; bucketId++) map.set(`#${bucketId}`, 'b')
  let keys = 0
  for (let i = 0; i < MOVED_KEYS; i++) {
    const { segment, shard } = mover.locate(`key:${i}`)
    if (map.has(segment) && shard === 'a') keys++
  }
  const from = performance.now()
  const resharding = await mover.requestResharding(1, map, { verify, retainMs: 0 })
  if (!resharding.accepted) throw new Error(resharding.reason)
  await resharding.done
  const seconds = (performance.now() - from) / 1000
  console.log(
    `moved ${keys} keys of ${map.size} segments, ${verify ? 'verified' : 'not verified'}: ${Math.round(keys / seconds)} keys/s, ` +
      `${Math.round(map.size / 2 / seconds)} segments/s`,
  )
  await mover.close()
}

const topology = postgresTopology(server.pool(), { ...options, table: 'tags' })
const owners = new Int32Array(16_384)
await topology.open({ buckets: owners.length, seed: 1, shards: [{ id: 'a', weight: 1 }], owners })
await plain.query(
  `insert into tags_assignment select convert_to('{user:' || i || '}', 'UTF8'), 'a', 2 from generate_series(1, $1::int) i`,
  [TAGS],
)
let at = performance.now()
const { assignments } = await topology.read()
const read = performance.now() - at
at = performance.now()
let count = 0
for (const _ of assignments) count++
console.log(
  `a topology of ${TAGS} carved tags: read in ${(read / 1000).toFixed(1)} s, gone through in ${((performance.now() - at) / 1000).toFixed(1)} s (${count} assignments)`,
)
at = performance.now()
for (let i = 0; i < 200; i++)
  await topology.commit({ assignments: [{ segment: `{user:${i + 1}}`, shard: 'a', epoch: 3 }] })
console.log(`a change of one of them: ${((performance.now() - at) / 200).toFixed(2)} ms`)
await topology.close()
await server.stop()
