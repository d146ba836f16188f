import { Redis } from 'ioredis'
import pg from 'pg'
import { postgresStore, postgresTopology } from '../../src/backends/postgres'
import { redisStore, redisTopology } from '../../src/backends/redis'
import type { ShardId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import type { TopologyStore } from '../../src/topology-store'

/** Where the stores of a deployment are: as much as a process has to be told. */
export interface Places {
  readonly kind: 'redis' | 'postgres'
  /** Ports of servers on this machine; for Postgres all the same. */
  readonly shards: Readonly<Record<ShardId, number>>
  readonly topology: number
  readonly durable: boolean
}

export interface Connected {
  readonly shards: Record<ShardId, ShardStore>
  readonly topology: TopologyStore
  end(): Promise<void>
}

/** Connections of one process. */
export async function connectTo({ kind, shards, topology, durable }: Places): Promise<Connected> {
  if (kind === 'postgres') {
    const pools: pg.Pool[] = []
    const pool = (port: number) => {
      const made = new pg.Pool({
        host: '127.0.0.1',
        port,
        user: 'postgres',
        max: 2,
        connectionTimeoutMillis: 2_000,
      })
      made.on('error', () => {})
      pools.push(made)
      return made
    }
    return {
      shards: Object.fromEntries(
        Object.entries(shards).map(([id, port]) => [id, postgresStore(pool(port), { table: `shard_${id}` })]),
      ),
      topology: postgresTopology(pool(topology)),
      end: async () => void (await Promise.allSettled(pools.map((it) => it.end()))),
    }
  }
  const clients: Redis[] = []
  const client = (port: number) => {
    const made = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: 0 })
    made.on('error', () => {})
    clients.push(made)
    return made
  }
  return {
    shards: Object.fromEntries(
      Object.entries(shards).map(([id, port]) => [id, redisStore(client(port), { durable })]),
    ),
    topology: redisTopology(client(topology)),
    end: async () => {
      for (const it of clients) it.disconnect()
    },
  }
}
