export type Argument = string | Buffer
/** Bulk strings are Buffers, as keys and values are bytes. */
export type Reply = Buffer | number | string | null | Reply[]

/** One connection to one Redis server, whatever library made it. */
export interface RedisConnection {
  /** Whether a command would be sent at once, instead of waiting for a connection. */
  readonly ready: boolean
  /** How often it has been ready: it grows with every reconnection. */
  readonly lives: number
  /** Sends a command once and never again, whatever becomes of the connection. */
  send(args: Argument[]): Promise<Reply>
  /** Resolves when it is ready, rejects when it will not be. */
  whenReady(signal: AbortSignal): Promise<void>
  /** Listens on a connection of its own; resolves with what ends it. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => void>
}

/** A command may have been carried out, but its answer is lost with the connection. */
export class ConnectionLost extends Error {
  constructor() {
    super('the connection was lost before Redis answered')
    this.name = 'ConnectionLost'
  }
}
