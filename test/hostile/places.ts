import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import { lmdbStore, lmdbTopology } from '../../src/backends/lmdb'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { postgresStore } from '../../src/backends/postgres/postgres-store'
import { redisStore, redisTopology } from '../../src/backends/redis'
import type { ShardStore } from '../../src/shard-store'
import type { TopologyStore } from '../../src/topology-store'
import { RedisServer, redisIsMissing } from '../servers/redis-server'

/** Empty stores for three shards and a topology, and what ends them. */
export interface Place {
  shards: Record<'a' | 'b' | 'c', ShardStore>
  topology: TopologyStore
  end(): Promise<void>
}

/** Every kind of store that there is: what is hostile is treated alike by all of them. */
export const PLACES: readonly { name: string; missing: boolean; open(): Promise<Place> }[] = [
  {
    name: 'memory',
    missing: false,
    open: async () => ({
      shards: { a: memoryStore(), b: memoryStore(), c: memoryStore() },
      topology: memoryTopology(),
      end: async () => {},
    }),
  },
  {
    name: 'LMDB',
    missing: false,
    open: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'foreshard-hostile-'))
      const at = (name: string) => ({ path: join(folder, `${name}.mdb`), durability: 'process' as const })
      return {
        shards: { a: lmdbStore(at('a')), b: lmdbStore(at('b')), c: lmdbStore(at('c')) },
        topology: lmdbTopology(at('topology')),
        end: async () => rmSync(folder, { recursive: true, force: true }),
      }
    },
  },
  {
    name: 'Redis',
    missing: redisIsMissing,
    open: async () => {
      const server = await RedisServer.start()
      const clients = [0, 1, 2, 3].map((db) => new Redis(server.port, '127.0.0.1', { db }))
      const [a, b, c, topology] = clients as [Redis, Redis, Redis, Redis]
      return {
        shards: { a: redisStore(a), b: redisStore(b), c: redisStore(c) },
        topology: redisTopology(topology),
        end: async () => {
          for (const client of clients) client.disconnect()
          await server.stop()
        },
      }
    },
  },
  {
    name: 'PGlite',
    missing: false,
    open: async () => {
      const pglite = new PGlite()
      const store = (table: string) => postgresStore(pglite, { table })
      return {
        shards: { a: store('a'), b: store('b'), c: store('c') },
        topology: memoryTopology(),
        end: () => pglite.close(),
      }
    },
  },
]
