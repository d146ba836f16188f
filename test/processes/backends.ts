import type { ShardId } from '../../src/placement/segment'
import { PostgresServer, postgresIsMissing } from '../servers/postgres-server'
import { RedisServer, redisIsMissing } from '../servers/redis-server'
import type { Places } from './places'

/** A server that can be killed, and started again with what it had written. */
interface Server {
  readonly port: number
  kill(): Promise<void>
  run(): Promise<void>
}

/** Servers of our own for the shards a, b and c and the topology. */
export interface Servers {
  readonly places: Places
  /** Of each shard. */
  readonly shards: Readonly<Record<ShardId, Server>>
  /** Where one more shard finds room. */
  join(): Promise<number>
  stop(): Promise<void>
}

export interface Backend {
  readonly name: Places['kind']
  readonly missing: boolean
  /** `apart`: a server for every shard and one for the topology, also where one would do for all of them. */
  start(options?: { apart?: boolean }): Promise<Servers>
}

const SHARDS = ['a', 'b', 'c'] as const

export async function startRedis({ durable = true } = {}): Promise<Servers> {
  const args = durable ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []
  const topology = await RedisServer.start()
  const started = await Promise.all(SHARDS.map(() => RedisServer.start(...args)))
  return {
    ...placed('redis', started, topology.port, durable),
    join: async () => {
      const joining = await RedisServer.start(...args)
      started.push(joining)
      return joining.port
    },
    stop: async () => {
      for (const server of [...started, topology]) await server.stop()
    },
  }
}

async function startPostgres({ apart = false } = {}): Promise<Servers> {
  const [topology, ...others] = await PostgresServer.startAll(apart ? SHARDS.length + 1 : 1, 'fsync=on')
  const started = apart ? others : SHARDS.map(() => topology!)
  return {
    ...placed('postgres', started, topology!.port, false),
    join: async () => topology!.port,
    stop: async () => {
      for (const server of [...others, topology!]) await server.stop()
    },
  }
}

function placed(kind: Places['kind'], servers: readonly Server[], topology: number, durable: boolean) {
  const shards = Object.fromEntries(SHARDS.map((id, i) => [id, servers[i]!]))
  const ports = Object.fromEntries(SHARDS.map((id, i) => [id, servers[i]!.port]))
  return { shards, places: { kind, shards: ports, topology, durable } }
}

export const BACKENDS: readonly Backend[] = [
  { name: 'redis', missing: redisIsMissing, start: () => startRedis() },
  { name: 'postgres', missing: postgresIsMissing, start: startPostgres },
]
