import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ShardRouter } from '../../src/router/router'
import type { Call, ShardStore } from '../../src/shard-store'

/**
 * What a router costs over the store's own asynchronous calls, and over a Map behind `await`: `npm run bench -- overhead`. Both
 * take turns, slice by slice, on one key of a thousand a call and strings of 100 characters; medians of the slices.
 */
const KEYS = Array.from({ length: 1000 }, (_, i) => `user:${i}:profile`)
const TEXT = 'v'.repeat(100)
const SLICES = 9

async function perCall(n: number, abreast: number, run: (i: number) => unknown): Promise<number> {
  const from = performance.now()
  if (abreast === 1) for (let i = 0; i < n; i++) await run(i % KEYS.length)
  else
    for (let i = 0; i < n; i += abreast)
      await Promise.all(Array.from({ length: abreast }, (_, j) => run((i + j) % KEYS.length)))
  return ((performance.now() - from) * 1000) / n
}

const median = (times: number[]) => times.sort((a, b) => a - b)[times.length >> 1]!

async function compare(
  name: string,
  n: number,
  abreast: number,
  runs: ((i: number) => unknown)[],
): Promise<void> {
  const times: number[][] = runs.map(() => [])
  for (let slice = 0; slice <= SLICES; slice++)
    for (const [i, run] of runs.entries()) {
      const took = await perCall(n, abreast, run)
      // The first one warms up.
      if (slice > 0) times[i]!.push(took)
    }
  const medians = times.map(median)
  const cells = [
    name,
    String(abreast),
    ...medians.map((it) => it.toFixed(2)),
    `${(medians.at(-1)! / medians.at(-2)!).toFixed(2)} x`,
  ]
  console.log(cells.map((cell, i) => (i ? cell.padStart(12) : cell.padEnd(16))).join(''))
}

/** The calls that a router would send, made beforehand; the codec's work is part of what is compared. */
function callsOf(router: ShardRouter): Call[] {
  return KEYS.map((key) => {
    const { segment, bucketId, epoch } = router.locate(key)
    return { segment, bucketId, epoch, key, tag: router.placement.tagOf(key), operation: { kind: 'get' } }
  })
}

async function ofStore(name: string, store: ShardStore, gets: number, sets: [n: number, abreast: number][]) {
  const router = await ShardRouter.open({ shards: { a: store }, buckets: 1024, codec: 'utf8' })
  await router.setMany(KEYS.map((key) => [key, TEXT] as const))
  const calls = callsOf(router)
  const map = new Map<string, Buffer>(KEYS.map((key) => [key, Buffer.from(TEXT)]))
  const bare = {
    get: async (key: string) => map.get(key)!.toString(),
    set: async (key: string) => void map.set(key, Buffer.from(TEXT)),
  }
  const own = {
    get: async (i: number) => {
      const [answer] = await store.execute([calls[i]!])
      return answer!.ok ? Buffer.from(answer!.value!).toString() : undefined
    },
    set: (i: number) =>
      store.execute([{ ...calls[i]!, operation: { kind: 'set', value: Buffer.from(TEXT), expiresAt: 0 } }]),
  }
  for (const abreast of [1, 64])
    await compare(`${name} get`, gets, abreast, [
      (i) => bare.get(KEYS[i]!),
      own.get,
      (i) => router.get(KEYS[i]!),
    ])
  for (const [n, abreast] of sets)
    await compare(`${name} set`, n, abreast, [
      (i) => bare.set(KEYS[i]!),
      own.set,
      (i) => router.set(KEYS[i]!, TEXT),
    ])
  await router.close()
}

console.log(
  ['µs a call', 'abreast', 'Map', 'store', 'router', 'over store']
    .map((it, i) => (i ? it.padStart(12) : it.padEnd(16)))
    .join(''),
)
await ofStore('memory', memoryStore(), 40_000, [
  [40_000, 1],
  [40_000, 64],
])
const folder = mkdtempSync(join(tmpdir(), 'foreshard-overhead-'))
await ofStore('LMDB', lmdbStore({ path: join(folder, 'a'), durability: 'process' }), 6_400, [
  [300, 1],
  [6_400, 64],
])
rmSync(folder, { recursive: true })
