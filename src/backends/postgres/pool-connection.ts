import { systemClock } from '../../clock'
import { ForeshardError } from '../../errors'
import {
  type Admission,
  type Cell,
  NotSent,
  type PostgresConnection,
  Refused,
  type Row,
  type Statement,
} from './connection'

/** As much of a client of `pg` as is used. */
interface PgClient {
  query(config: object): Promise<{ rows: unknown[][] }>
  release(destroy?: boolean | Error): void
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
}

/** As much of a Pool of `pg` as is used. */
export interface PgPool {
  readonly options: { readonly max?: number }
  readonly totalCount: number
  connect(): Promise<PgClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  listenerCount(event: 'error'): number
}

export function isPool(client: object): client is PgPool {
  const { options, connect, totalCount, listenerCount } = client as Partial<PgPool>
  return (
    typeof options === 'object' &&
    typeof connect === 'function' &&
    typeof totalCount === 'number' &&
    typeof listenerCount === 'function'
  )
}

/** A migration may wait for another one, and rewrite tables. */
const SCRIPT_MS = 600_000
/** Cells as the server wrote them, whatever parsers the application has set. */
const AS_TEXT = { getTypeParser: () => (text: string) => text }

export class PoolConnection implements PostgresConnection {
  readonly embedded = false
  readonly #pool: PgPool

  constructor(pool: PgPool) {
    this.#pool = pool
    // A shard that goes down must not end a process that does not listen; every statement tells of it by itself.
    if (pool.listenerCount('error') === 0) pool.on('error', () => {})
  }

  get lanes(): number {
    return Math.max(1, this.#pool.options.max ?? 10)
  }

  run(statement: Statement, values: readonly Cell[], timeoutMs: number, admit?: Admission): Promise<Row[]> {
    return this.#with(timeoutMs, async (client) => {
      await admit?.(client, (first) =>
        // Whatever becomes of it, nothing that matters was sent.
        query(client, first, []).catch((error) => Promise.reject(new NotSent(error))),
      )
      return query(client, statement, values)
    })
  }

  async script(sql: string): Promise<void> {
    await this.#with(SCRIPT_MS, (client) => client.query({ text: sql }))
  }

  async #with<T>(timeoutMs: number, use: (client: PgClient) => Promise<T>): Promise<T> {
    let stop = () => {}
    const late = new Promise<never>((_, reject) => {
      stop = systemClock.every(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)))
    })
    late.catch(() => {})
    try {
      return await this.#within(late, use)
    } finally {
      stop()
    }
  }

  async #within<T>(late: Promise<never>, use: (client: PgClient) => Promise<T>): Promise<T> {
    const client = await this.#checkOut(late)
    let broken: Error | undefined
    // While it is checked out nobody else listens, and an 'error' without a listener ends the process.
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError)
    try {
      return await Promise.race([use(client), late])
    } catch (error) {
      // Its own word about a connection that it did not admit.
      if (error instanceof ForeshardError) throw error
      if (await Promise.race([isRefusal(client, error), late.catch(() => false)]))
        throw new Refused((error as { code: string }).code, error as Error)
      broken ??= error as Error
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  async #checkOut(late: Promise<never>): Promise<PgClient> {
    const connecting = this.#pool.connect()
    try {
      return await Promise.race([connecting, late])
    } catch (error) {
      connecting.then(
        (client) => client.release(),
        () => {},
      )
      throw new NotSent(error)
    }
  }

  /** On a connection of the pool that is kept for it: only where the pool has another. Made anew when it breaks. */
  async listen(
    channel: string,
    listener: (message?: string) => void,
  ): Promise<(() => Promise<void>) | undefined> {
    if (this.lanes < 2) return undefined
    const over = new AbortController()
    let release = () => {}
    const hear = (heard: { channel: string; payload?: string }) => {
      if (heard.channel === channel) listener(heard.payload)
    }
    const connect = async () => {
      const client = await this.#pool.connect()
      const lost = () => {
        release()
        if (!over.signal.aborted) void reconnect()
      }
      release = () => {
        release = () => {}
        client.off('error', lost)
        client.off('end', lost)
        client.off('notification', hear)
        // Whatever it listens to must not stay with a connection that others use.
        client.release(true)
      }
      client.on('error', lost)
      client.on('end', lost)
      client.on('notification', hear)
      try {
        await client.query({ text: `listen "${channel}"` })
      } catch (error) {
        release()
        throw error
      }
      if (over.signal.aborted) release()
    }
    const reconnect = async () => {
      for (let pauseMs = 100; !over.signal.aborted; pauseMs = Math.min(2 * pauseMs, 10_000))
        try {
          await systemClock.sleep(pauseMs, over.signal)
          await connect()
          // What was told meanwhile was not heard.
          return listener()
        } catch {}
    }
    await connect()
    return async () => {
      over.abort()
      release()
    }
  }
}

async function query(client: PgClient, { name, text }: Statement, values: readonly Cell[]): Promise<Row[]> {
  const { rows } = await client.query({ name, text, values, rowMode: 'array', types: AS_TEXT })
  return rows as Row[]
}

/**
 * Whether an error is an answer of the server that undid the transaction, and not the last word of a connection that may
 * have committed. Servers name the severity in their own language: one that goes on working after it has only refused.
 */
async function isRefusal(client: PgClient, error: unknown): Promise<boolean> {
  const { code, severity } = error as { code?: unknown; severity?: unknown }
  if (typeof code !== 'string' || typeof severity !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return false
  if (severity === 'ERROR') return true
  if (severity === 'FATAL' || severity === 'PANIC') return false
  return client.query({ text: 'select 1' }).then(
    () => true,
    () => false,
  )
}
