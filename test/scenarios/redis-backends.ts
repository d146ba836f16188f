import { Redis } from 'ioredis'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { redisStore } from '../../src/backends/redis/redis-store'
import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { externalStore } from '../../src/testing/external-store'
import { RedisServer } from '../servers/redis-server'
import type { Backend } from './backends'

/** One server for one deployment after another: each shard is a database of it, the topology is in memory. */
export class RedisBackends {
  readonly #server: RedisServer
  readonly #databases: Redis[] = []

  private constructor(server: RedisServer) {
    this.#server = server
  }

  static async start(): Promise<RedisBackends> {
    return new RedisBackends(await RedisServer.start())
  }

  /** An empty one. */
  async next(): Promise<Backend> {
    await this.#database(0).flushall()
    let shards = 0
    return {
      name: 'redis',
      store: (shard, time) => {
        const random = seededRandom(murmur3(shard))
        const store = redisStore(this.#database(shards++), { clock: time.clock, durable: true, random })
        return externalStore(store, time)
      },
      topology: ({ clock }) => memoryTopology({ clock, random: seededRandom(3) }),
      remove: () => {},
    }
  }

  async stop(): Promise<void> {
    for (const database of this.#databases) database.disconnect()
    await this.#server.stop()
  }

  #database(db: number): Redis {
    this.#databases[db] ??= new Redis(this.#server.port, '127.0.0.1', { db })
    return this.#databases[db]
  }
}
