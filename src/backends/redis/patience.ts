import { systemClock } from '../../clock'
import type { RedisConnection } from './connection'

const CONNECT_MS = 5_000

/** Resolves when a command would be sent at once; rejects when that is not so within five seconds, or never will be. */
export async function connected(connection: RedisConnection): Promise<void> {
  if (connection.ready) return
  const patience = new AbortController()
  try {
    await Promise.race([
      connection.whenReady(patience.signal),
      systemClock.sleep(CONNECT_MS, patience.signal).then(() => {
        throw new Error(`no connection within ${CONNECT_MS} ms`)
      }),
    ])
  } finally {
    patience.abort()
  }
}
