import { invalid } from '../../errors'
import { type Argument, ConnectionLost, type RedisConnection, type Reply } from './connection'

/** What is used of an ioredis client (5 and 6). */
export interface IoredisClient {
  readonly status: string
  readonly options: { readonly keyPrefix?: unknown }
  /** Of its connection; none before the first. */
  readonly stream?: { cork(): void; uncork(): void }
  callBuffer(...args: Argument[]): unknown
  sendCommand(command: IoredisCommand): Promise<Reply>
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  off(event: string, listener: (...args: never[]) => void): unknown
  duplicate(): IoredisClient & {
    subscribe(channel: string): Promise<unknown>
    disconnect(): void
  }
}

interface IoredisCommand {
  name: string
  args: unknown[]
  reject(error: Error): void
}

/** `callBuffer` makes a command and hands it to the client's `sendCommand`: here to whoever made it. */
const HERE = { options: {}, sendCommand: (command: IoredisCommand) => command }

export function isIoredis(client: object): client is IoredisClient {
  const shape = client as Partial<IoredisClient>
  return (
    typeof shape.status === 'string' &&
    typeof shape.sendCommand === 'function' &&
    typeof shape.duplicate === 'function' &&
    typeof shape.callBuffer === 'function' &&
    // A cluster has neither one server nor one order of commands.
    (client as { isCluster?: boolean }).isCluster !== true
  )
}

export class IoredisConnection implements RedisConnection {
  readonly #client: IoredisClient
  readonly #underway = new Set<IoredisCommand>()
  #corked = false
  #lives = 0

  constructor(client: IoredisClient) {
    if (client.options.keyPrefix)
      throw invalid(
        'client.options.keyPrefix',
        "is set; Foreshard's keys are the application's keys: leave it out",
      )
    this.#client = client
    client.on('ready', () => this.#lives++)
    client.on('close', () => this.#abandon())
    client.on('end', () => this.#abandon())
  }

  get ready(): boolean {
    return this.#client.status === 'ready'
  }

  get lives(): number {
    return this.#lives
  }

  async send(args: Argument[]): Promise<Reply> {
    const command = this.#client.callBuffer.apply(HERE, args) as IoredisCommand
    this.#underway.add(command)
    this.#gather()
    try {
      return await this.#client.sendCommand(command)
    } finally {
      this.#underway.delete(command)
    }
  }

  /** What is sent in one tick is one write to the socket: ioredis would make one of every command. */
  #gather(): void {
    const { stream } = this.#client
    if (this.#corked || !stream) return
    this.#corked = true
    stream.cork()
    process.nextTick(() => {
      this.#corked = false
      stream.uncork()
    })
  }

  /**
   * By default ioredis sends again what was not answered when the connection broke. A write that is repeated may undo
   * a later one, so what it will repeat is turned into a PING, and the caller learns that the outcome is not known.
   */
  #abandon(): void {
    for (const command of this.#underway) {
      command.name = 'ping'
      command.args = []
      command.reject(new ConnectionLost())
    }
    this.#underway.clear()
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
      if (this.#client.status === 'end') return reject(new Error('the client is closed'))
      this.#client.on('ready', onReady)
      this.#client.on('end', onEnd)
      signal.addEventListener('abort', onAbort)
      // Of a client that connects when it is first used.
      if (this.#client.status === 'wait') this.#client.connect().catch(settle)
    })
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => void> {
    const own = this.#client.duplicate()
    // Errors are those of reconnecting, which it does by itself.
    own.on('error', () => {})
    own.on('message', (_channel: string, message: string) => listener(message))
    try {
      await own.subscribe(channel)
    } catch (error) {
      own.disconnect()
      throw error
    }
    return () => own.disconnect()
  }
}
