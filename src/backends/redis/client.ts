import { invalid } from '../../errors'
import type { RedisConnection } from './connection'
import { IoredisConnection, isIoredis } from './ioredis-connection'
import { isNodeRedis, NodeRedisConnection } from './node-redis-connection'

const connections = new WeakMap<object, RedisConnection>()

/** The connection of a client: a shape that ioredis or node-redis has, told by what it can do. The same one each time. */
export function connectionOf(client: unknown): RedisConnection {
  if (client === null || typeof client !== 'object')
    throw invalid('client', 'must be a connected client of ioredis or node-redis (the package "redis")')
  let connection = connections.get(client)
  if (!connection) {
    connection = adapt(client)
    connections.set(client, connection)
  }
  return connection
}

function adapt(client: object): RedisConnection {
  if (isIoredis(client)) return new IoredisConnection(client)
  if (isNodeRedis(client)) return new NodeRedisConnection(client)
  throw invalid(
    'client',
    'has the shape of neither an ioredis nor a node-redis client for one server; a cluster client cannot be a shard, since a shard is one server',
  )
}
