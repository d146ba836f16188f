import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { systemClock } from '../../src/clock'
import type { Call, ShardStore } from '../../src/shard-store'

/**
 * What fence, sequence number and promise cost over the bare thing: `npx tsx test/bench/stores.ts`. One key of a
 * thousand per call, values of 100 bytes; the median of five rounds.
 */
const KEYS = Array.from({ length: 1000 }, (_, i) => `user:${i}:profile`)
const VALUE = Buffer.alloc(100, 'v')
const BUCKETS = 64
const ROUNDS = 5

const calls = (kind: 'get' | 'set'): Call[] =>
  KEYS.map((key, i) => {
    const operation = kind === 'get' ? ({ kind } as const) : ({ kind, value: VALUE, expiresAt: 0 } as const)
    return { segment: `#${i % BUCKETS}`, bucketId: i % BUCKETS, epoch: 1, key, tag: key, operation }
  })

async function opened(store: ShardStore): Promise<ShardStore> {
  await store.open({ topologyId: 'bench', shard: 'a', buckets: BUCKETS, clock: systemClock })
  await store.found(Array.from({ length: BUCKETS }, (_, i) => i))
  return store
}

/** Microseconds a call. `abreast` calls are under way at a time. */
async function measure(n: number, abreast: number, run: (i: number) => unknown): Promise<number> {
  const times: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const from = performance.now()
    if (abreast === 1) for (let i = 0; i < n; i++) await run(i % KEYS.length)
    else
      for (let i = 0; i < n; i += abreast)
        await Promise.all(Array.from({ length: abreast }, (_, j) => run((i + j) % KEYS.length)))
    times.push(((performance.now() - from) * 1000) / n)
  }
  // The first round warms up.
  return times.slice(1).sort((a, b) => a - b)[ROUNDS >> 1]!
}

async function compare(
  name: string,
  n: number,
  abreast: number,
  bare: (i: number) => unknown,
  own: (i: number) => unknown,
) {
  const base = await measure(n, abreast, bare)
  const ours = await measure(n, abreast, own)
  const cells = [
    name,
    `${abreast}`,
    base.toFixed(2),
    ours.toFixed(2),
    `${(ours / base).toFixed(1)} x`,
    (ours - base).toFixed(2),
  ]
  console.log(cells.map((cell, i) => (i ? cell.padStart(12) : cell.padEnd(34))).join(''))
}

const [gets, sets] = [calls('get').map((it) => [it]), calls('set').map((it) => [it])]
console.log(
  ['µs a call', 'abreast', 'bare', 'store', 'ratio', 'more']
    .map((it, i) => (i ? it.padStart(12) : it.padEnd(34)))
    .join(''),
)

const memory = await opened(memoryStore())
const map = new Map<string, Uint8Array>(KEYS.map((key) => [key, VALUE]))
const asyncMap = {
  get: async (key: string) => map.get(key),
  set: async (key: string) => void map.set(key, Buffer.from(VALUE)),
}
for (const call of sets) await memory.execute(call)
await compare(
  'memory get, to an async Map',
  200_000,
  1,
  (i) => asyncMap.get(KEYS[i]!),
  (i) => memory.execute(gets[i]!),
)
await compare(
  'memory set, to an async Map',
  200_000,
  1,
  (i) => asyncMap.set(KEYS[i]!),
  (i) => memory.execute(sets[i]!),
)
const batch = { get: gets.flat().slice(0, 100), set: sets.flat().slice(0, 100) }
await compare(
  'memory 100 gets in one execute',
  5_000,
  1,
  async () => batch.get.map((it) => map.get(it.key)),
  () => memory.execute(batch.get),
)
await compare(
  'memory 100 sets in one execute',
  5_000,
  1,
  async () => batch.set.map((it) => map.set(it.key, Buffer.from(VALUE))),
  () => memory.execute(batch.set),
)

for (const durability of ['machine', 'process'] as const) {
  const [folder, bareFolder] = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'foreshard-bench-'))) as [
    string,
    string,
  ]
  const bare = open<Buffer, string>({
    path: bareFolder,
    encoding: 'binary',
    overlappingSync: false,
    noSync: durability === 'process',
  })
  const store = await opened(lmdbStore({ path: folder, durability }))
  for (const key of KEYS) void bare.put(key, VALUE)
  await bare.committed
  await store.execute(calls('set'))
  const one = durability === 'machine' ? 200 : 2_000
  await compare(
    `lmdb get (${durability})`,
    50_000,
    1,
    async (i) => bare.get(KEYS[i]!),
    (i) => store.execute(gets[i]!),
  )
  await compare(
    `lmdb set (${durability})`,
    one,
    1,
    (i) => bare.put(KEYS[i]!, VALUE),
    (i) => store.execute(sets[i]!),
  )
  await compare(
    `lmdb set (${durability})`,
    20_000,
    100,
    (i) => bare.put(KEYS[i]!, VALUE),
    (i) => store.execute(sets[i]!),
  )
  await store.close()
  await bare.close()
  rmSync(folder, { recursive: true })
  rmSync(bareFolder, { recursive: true })
}
