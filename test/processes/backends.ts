import { PostgresServer, postgresIsMissing } from '../servers/postgres-server'
import { RedisServer, redisIsMissing } from '../servers/redis-server'
import type { Places } from './places'

/** Servers of our own for the shards a, b and c and the topology. */
export interface Servers {
  readonly places: Places
  stop(): Promise<void>
}

export interface Backend {
  readonly name: Places['kind']
  readonly missing: boolean
  start(): Promise<Servers>
}

export class RedisServers implements Servers {
  readonly places: Places
  readonly shards: Readonly<Record<string, RedisServer>>
  readonly #topology: RedisServer

  private constructor(shards: Record<string, RedisServer>, topology: RedisServer, durable: boolean) {
    this.shards = shards
    this.#topology = topology
    const ports = Object.fromEntries(Object.entries(shards).map(([id, { port }]) => [id, port]))
    this.places = { kind: 'redis', shards: ports, topology: topology.port, durable }
  }

  static async start({ durable = true, ids = ['a', 'b', 'c'] } = {}): Promise<RedisServers> {
    const args = durable ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []
    const shards = await Promise.all(ids.map(async (id) => [id, await RedisServer.start(...args)] as const))
    return new RedisServers(Object.fromEntries(shards), await RedisServer.start(), durable)
  }

  async stop(): Promise<void> {
    for (const server of [...Object.values(this.shards), this.#topology]) await server.stop()
  }
}

const redis: Backend = { name: 'redis', missing: redisIsMissing, start: () => RedisServers.start() }

const postgres: Backend = {
  name: 'postgres',
  missing: postgresIsMissing,
  start: async () => {
    const server = await PostgresServer.start('fsync=on')
    const { port } = server
    const shards = { a: port, b: port, c: port }
    return { places: { kind: 'postgres', shards, topology: port, durable: false }, stop: () => server.stop() }
  },
}

export const BACKENDS: readonly Backend[] = [redis, postgres]
