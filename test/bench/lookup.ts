/** getShardLocation against a bare hash and table: what the names, tags and epochs around a lookup cost. */
import { memoryStore, ShardRouter } from 'foreshard'
import { murmur3 } from '../../src/placement/hash'

const KEYS = 200_000
const keys = Array.from({ length: KEYS }, (_, i) => `user:${String(i).padStart(10, '0')}:profile`)

function nsPerKey(lookup: (key: string) => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 7; round++) {
    const start = process.cpuUsage()
    for (const key of keys) lookup(key)
    const { user, system } = process.cpuUsage(start)
    best = Math.min(best, ((user + system) * 1000) / KEYS)
  }
  return best
}

console.log('shards  hash and table  getShardLocation  ratio  with 10,000 carved tags   (ns of CPU a lookup)')
for (const shards of [8, 64]) {
  const names = Array.from({ length: shards }, (_, i) => `s${i}`)
  const router = await ShardRouter.open({
    shards: Object.fromEntries(names.map((name) => [name, memoryStore()])),
  })
  const table = Array.from({ length: 16_384 }, (_, bucket) => router.placement.shardOf(`#${bucket}`))
  const bare = nsPerKey((key) => table[murmur3(key) % 16_384])
  const ours = nsPerKey((key) => router.getShardLocation(key))
  const carved = new Map(
    Array.from({ length: 10_000 }, (_, i) => [`{tag:${i}}` as const, names[i % shards]!]),
  )
  const resharding = await router.requestResharding(1, carved, {
    retainMs: 0,
    verify: false,
    concurrency: 16,
  })
  if (resharding.accepted) await resharding.done
  const withTags = nsPerKey((key) => router.getShardLocation(key))
  console.log(
    `${String(shards).padStart(6)}  ${bare.toFixed(0).padStart(14)}  ${ours.toFixed(0).padStart(16)}  ${(ours / bare).toFixed(2).padStart(5)}  ${withTags.toFixed(0).padStart(23)}`,
  )
  await router.close()
}
