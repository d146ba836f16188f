import type { Argument, RedisConnection, Reply } from './connection'

/** What is used of a node-redis client (5 and 6). */
export interface NodeRedisClient {
  readonly isOpen: boolean
  readonly isReady: boolean
  sendCommand(
    args: readonly Argument[],
    options: { typeMapping: Readonly<Record<number, unknown>> },
  ): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
  duplicate(): NodeRedisClient & {
    connect(): Promise<unknown>
    subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
    destroy(): void
  }
}

export function isNodeRedis(client: object): client is NodeRedisClient {
  const shape = client as Partial<NodeRedisClient>
  return (
    typeof shape.isReady === 'boolean' &&
    typeof shape.sendCommand === 'function' &&
    typeof shape.duplicate === 'function'
  )
}

/** RESP's type "bulk string", by the byte that announces it. */
const BLOB_STRING = 36
const AS_BYTES = { typeMapping: { [BLOB_STRING]: Buffer } } as const

/** node-redis rejects what was sent when the connection breaks, and repeats nothing. */
export class NodeRedisConnection implements RedisConnection {
  readonly #client: NodeRedisClient
  #lives = 0

  constructor(client: NodeRedisClient) {
    this.#client = client
    client.on('ready', () => this.#lives++)
  }

  get ready(): boolean {
    return this.#client.isReady
  }

  get lives(): number {
    return this.#lives
  }

  send(args: Argument[]): Promise<Reply> {
    return this.#client.sendCommand(args, AS_BYTES) as Promise<Reply>
  }

  whenReady(signal: AbortSignal): Promise<void> {
    if (this.ready) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown) => {
        this.#client.off('ready', onReady)
        this.#client.off('end', onEnd)
        signal.removeEventListener('abort', onAbort)
        if (error) reject(error)
        else resolve()
      }
      const onReady = () => settle()
      const onEnd = () => settle(new Error('the client was closed'))
      const onAbort = () => settle(signal.reason)
      if (signal.aborted) return reject(signal.reason)
      if (!this.#client.isOpen)
        return reject(new Error('the client is not connected; await client.connect()'))
      this.#client.on('ready', onReady)
      this.#client.on('end', onEnd)
      signal.addEventListener('abort', onAbort)
    })
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => void> {
    const own = this.#client.duplicate()
    // Errors are those of reconnecting, which it does by itself.
    own.on('error', () => {})
    try {
      await own.connect()
      await own.subscribe(channel, (message) => listener(message))
    } catch (error) {
      own.destroy()
      throw error
    }
    return () => own.destroy()
  }
}
