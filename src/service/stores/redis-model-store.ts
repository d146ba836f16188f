import { connectionOf } from '../../backends/redis/client'
import type { Reply } from '../../backends/redis/connection'
import { systemClock } from '../../clock'
import { ErrorCode, ForeshardError, invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import type { ModelStore } from '../model-store'

export interface RedisModelStoreOptions {
  /** Default 'foreshard:model'. */
  key?: string
}

const FIELDS: Fields<RedisModelStoreOptions> = { key: true }
/** How long a connection is waited for. */
const PATIENCE_MS = 10_000

/**
 * Under one key of a Redis server; `client` is a connected one of ioredis or node-redis, and stays the caller's. It survives what the
 * server's own persistence survives.
 */
export function redisModelStore(client: object, options: RedisModelStoreOptions = {}): ModelStore {
  checkFields(options, FIELDS, 'options')
  const { key = 'foreshard:model' } = options
  if (typeof key !== 'string' || key === '')
    throw invalid('options.key', `must be a non-empty string, not ${shown(key)}`)
  const connection = connectionOf(client)
  const send = async (args: (string | Buffer)[]): Promise<Reply> => {
    const over = new AbortController()
    const giveUp = systemClock.sleep(PATIENCE_MS, over.signal).then(
      () => {
        throw new ForeshardError(
          ErrorCode.SHARD_UNAVAILABLE,
          'the Redis server of the saved model does not answer',
        )
      },
      () => null,
    )
    const sent = (async () => {
      if (!connection.ready) await connection.whenReady(over.signal)
      return await connection.send(args)
    })()
    sent.catch(() => {})
    try {
      return await Promise.race([sent, giveUp])
    } finally {
      over.abort()
    }
  }
  return {
    load: async () => {
      const reply = await send(['GET', key])
      return Buffer.isBuffer(reply) ? reply : undefined
    },
    save: async (model) => {
      await send(['SET', key, Buffer.from(model.buffer, model.byteOffset, model.byteLength)])
    },
  }
}
