import type { Reply } from './connection'
import { BYTES_LUA, COUNTS_LUA } from './lua/scan'
import { Script } from './script'
import type { ShardServer } from './shard-server'

const COUNTS = new Script(COUNTS_LUA)
const BYTES = new Script(BYTES_LUA)

const BUCKETS_AT_ONCE = 200
/** Up to so many keys are looked at one by one; of more, so many. */
const LOOKED_AT = 500
const LOOKED_AT_IN_A_BUCKET = 50

/** Keys are counted by their index; their bytes, and how many have expired, are judged by a sample where there are many. */
export async function estimateSize(
  server: ShardServer,
  buckets: number,
): Promise<{ keys: number; bytes: number }> {
  const filled: { bucketId: number; count: number }[] = []
  for (let from = 0; from < buckets; from += BUCKETS_AT_ONCE) {
    const ids = Array.from({ length: Math.min(BUCKETS_AT_ONCE, buckets - from) }, (_, i) => from + i)
    const counts = (await server.run(
      COUNTS,
      ids.map((id) => server.bucketKey(id)),
      [],
    )) as number[]
    for (const [i, count] of counts.entries()) if (count > 0) filled.push({ bucketId: ids[i]!, count })
  }
  const total = filled.reduce((sum, { count }) => sum + count, 0)
  const all = total <= LOOKED_AT
  const stride = all ? 1 : Math.max(1, filled.length / (LOOKED_AT / LOOKED_AT_IN_A_BUCKET))
  let [looked, keys, bytes] = [0, 0, 0]
  for (let i = 0; i < filled.length; i += stride) {
    const { bucketId, count } = filled[Math.floor(i)]!
    const want = all ? count : LOOKED_AT_IN_A_BUCKET
    const args = [server.time, String(want)]
    const reply = (await server.run(BYTES, [server.bucketKey(bucketId)], args)) as Reply[]
    const [seen, there, found] = reply.map(Number) as [number, number, number]
    if (seen === 0) continue
    looked += count
    keys += (there * count) / seen
    bytes += (found * count) / seen
  }
  if (looked === 0) return { keys: 0, bytes: 0 }
  return { keys: Math.round((keys * total) / looked), bytes: Math.round((bytes * total) / looked) }
}
