import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { lmdbStore } from '../../../src/backends/lmdb'
import { memoryStore } from '../../../src/backends/memory/memory-store'
import { redisStore } from '../../../src/backends/redis'
import { ErrorCode } from '../../../src/errors'
import { bucketSegment } from '../../../src/placement/segment'
import { ShardRouter } from '../../../src/router/router'
import type { ShardStore } from '../../../src/shard-store'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'

export interface Kind {
  readonly name: string
  readonly missing: boolean
  /** Two empty shards, and what ends them. */
  shards(): Promise<{ shards: Record<string, ShardStore>; end(): Promise<void> }>
}

export const KINDS: readonly Kind[] = [
  {
    name: 'memory',
    missing: false,
    shards: async () => ({ shards: { a: memoryStore(), b: memoryStore() }, end: async () => {} }),
  },
  {
    name: 'LMDB',
    missing: false,
    shards: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'foreshard-keyv-'))
      const store = (name: string) => lmdbStore({ path: join(folder, name), durability: 'process' })
      return {
        shards: { a: store('a'), b: store('b') },
        end: async () => rmSync(folder, { recursive: true }),
      }
    },
  },
  {
    name: 'Redis',
    missing: redisIsMissing,
    shards: async () => {
      const server = await RedisServer.start()
      const clients = [0, 1].map((db) => new Redis(server.port, '127.0.0.1', { db }))
      const [a, b] = clients.map((client) => redisStore(client))
      const end = async () => {
        for (const client of clients) client.disconnect()
        await server.stop()
      }
      return { shards: { a: a!, b: b! }, end }
    },
  },
]

const BUCKETS = 8

/** A router over two shards, whose buckets are moved to and fro for as long as it is open, if that is asked for. */
export async function deploy(
  kind: Kind,
  moving: boolean,
): Promise<{ router: ShardRouter; moves(): number; end(): Promise<void> }> {
  const { shards, end } = await kind.shards()
  const router = await ShardRouter.open({ shards, buckets: BUCKETS })
  let moves = 0
  let ended = false
  const mover = async () => {
    for (let bucket = 0; !ended; bucket = (bucket + 1) % BUCKETS) {
      const segment = bucketSegment(bucket)
      const to = router.placement.shardOf(segment) === 'a' ? 'b' : 'a'
      const resharding = await router.requestResharding(1, new Map([[segment, to]]))
      if (resharding.accepted && (await resharding.done).outcome === 'done') moves++
    }
  }
  const closed = (error: { code?: string }) => {
    if (error.code !== ErrorCode.CLOSED) throw error
  }
  const moved = moving ? mover().catch(closed) : Promise.resolve()
  return {
    router,
    moves: () => moves,
    end: async () => {
      ended = true
      await moved
      await router.close()
      await end()
    },
  }
}
