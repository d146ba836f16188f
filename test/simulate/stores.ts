import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/clock'
import type { ShardStore } from '../../src/shard-store'
import { externalStore } from '../../src/testing/external-store'
import type { SimulationOptions } from '../../src/testing/simulation'
import type { TopologyChange, TopologyStore } from '../../src/topology-store'

type Stores = Pick<SimulationOptions, 'store' | 'topology'>

/** Where simulations may run. A host is opened once in a worker and gives every simulation empty stores. */
export interface Host {
  run<T>(simulate: (stores: Stores) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export const STORES = { memory, lmdb, redis, postgres } as const satisfies Record<string, () => Promise<Host>>
export type StoreName = keyof typeof STORES

async function memory(): Promise<Host> {
  return { run: (simulate) => simulate({}), close: async () => {} }
}

/** Stores that do real work: virtual time waits for them. */
function real(
  store: (shard: string, clock: Clock) => ShardStore,
  topology: (clock: Clock) => TopologyStore,
): Stores {
  return {
    store: (shard, time) => externalStore(store(shard, time.clock), time),
    topology: (time) => toldOfCommits(externalStore(topology(time.clock), time)),
  }
}

/** A server's messages come when real time brings them; here who watches is told as soon as a commit is answered. */
function toldOfCommits(topology: TopologyStore): TopologyStore {
  const listeners = new Set<() => void>()
  return new Proxy(topology, {
    get(target, name) {
      if (name === 'watch')
        return (listener: () => void) => {
          const own = () => listener()
          listeners.add(own)
          return () => listeners.delete(own)
        }
      if (name === 'commit')
        return async (change: TopologyChange) => {
          const revision = await target.commit(change)
          if (revision !== undefined) for (const listener of listeners) listener()
          return revision
        }
      const member = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

async function lmdb(): Promise<Host> {
  const { lmdbStore, lmdbTopology } = await import('../../src/backends/lmdb')
  return {
    run: async (simulate) => {
      const folder = mkdtempSync(join(tmpdir(), 'foreshard-simulate-'))
      const at = (name: string) => ({ path: join(folder, `${name}.mdb`), durability: 'process' as const })
      try {
        return await simulate(
          real(
            (shard, clock) => lmdbStore({ ...at(shard), clock }),
            (clock) => lmdbTopology({ ...at('topology'), clock }),
          ),
        )
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    close: async () => {},
  }
}

/** One server of our own; every shard, and the topology, is a database of it. */
async function redis(): Promise<Host> {
  const { Redis } = await import('ioredis')
  const { redisStore, redisTopology } = await import('../../src/backends/redis')
  const { RedisServer } = await import('../servers/redis-server')
  const server = await RedisServer.start()
  const clients = new Map<string, InstanceType<typeof Redis>>()
  const client = (name: string) => {
    let it = clients.get(name)
    if (!it) {
      it = new Redis(server.port, '127.0.0.1', { db: clients.size })
      clients.set(name, it)
    }
    return it
  }
  return {
    run: async (simulate) => {
      await client('topology').flushall()
      return simulate(
        real(
          (shard, clock) => redisStore(client(shard), { clock }),
          (clock) => redisTopology(client('topology'), { clock }),
        ),
      )
    },
    close: async () => {
      for (const it of clients.values()) it.disconnect()
      await server.stop()
    },
  }
}

/** One server of our own; every shard, and the topology, has tables of its own names, emptied for every simulation. */
async function postgres(): Promise<Host> {
  const { postgresStore, postgresTopology } = await import('../../src/backends/postgres')
  const { emptied } = await import('../backends/postgres/places')
  const { PostgresServer } = await import('../servers/postgres-server')
  const server = await PostgresServer.start()
  const pool = server.pool()
  const tables = new Set<string>()
  const table = (name: string) => {
    tables.add(`simulated_${name}`)
    return `simulated_${name}`
  }
  return {
    run: async (simulate) => {
      for (const name of tables) await emptied((sql) => pool.query(sql), name)
      return simulate(
        real(
          (shard, clock) => postgresStore(pool, { table: table(shard), clock, durable: false }),
          (clock) => postgresTopology(pool, { table: table('topology'), clock, durable: false }),
        ),
      )
    },
    close: () => server.stop(),
  }
}
