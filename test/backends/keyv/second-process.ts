import { EventEmitter } from 'node:events'
import { Redis } from 'ioredis'
import Keyv from 'keyv'
import { keyvStore } from '../../../src/backends/keyv'
import { systemClock } from '../../../src/clock'
import { isForeshardError } from '../../../src/errors'

/** A Keyv that keeps its texts in a Redis server. */
export function openKeyv(port: number): { keyv: Keyv; end(): void } {
  const redis = new Redis(port, '127.0.0.1')
  const store = Object.assign(new EventEmitter(), {
    opts: { url: '' },
    get: async (key: string) => (await redis.get(key)) ?? undefined,
    set: async (key: string, value: string) => (await redis.set(key, value)) === 'OK',
    delete: async (key: string) => (await redis.del(key)) > 0,
    clear: async () => {},
  })
  return { keyv: new Keyv({ store }), end: () => redis.disconnect() }
}

if (process.argv[1] === import.meta.filename) {
  const { keyv, end } = openKeyv(Number(process.argv[2]))
  const store = keyvStore(keyv)
  try {
    await store.open({ topologyId: 't', shard: 'a', buckets: 8, clock: systemClock })
    console.log('opened')
    await store.close()
  } catch (error) {
    console.log(isForeshardError(error) ? error.code : error)
  }
  end()
}
