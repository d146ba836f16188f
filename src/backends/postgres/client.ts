import { invalid } from '../../errors'
import type { PostgresConnection } from './connection'
import { isPglite, PgliteConnection } from './pglite-connection'
import { isPool, PoolConnection } from './pool-connection'

const connections = new WeakMap<object, PostgresConnection>()

/** The connection of a client: a shape that a Pool of `pg` or a PGlite has, told by what it can do. The same one each time. */
export function connectionOf(client: unknown): PostgresConnection {
  if (client === null || typeof client !== 'object')
    throw invalid('pool', 'must be a Pool of the package "pg", or a PGlite')
  let connection = connections.get(client)
  if (!connection) {
    connection = adapt(client)
    connections.set(client, connection)
  }
  return connection
}

function adapt(client: object): PostgresConnection {
  if (isPool(client)) return new PoolConnection(client)
  if (isPglite(client)) return new PgliteConnection(client)
  throw invalid(
    'pool',
    'has the shape of neither a Pool of the package "pg" nor a PGlite; give a Pool, of one connection if need be, in ' +
      'place of a Client',
  )
}
