import { Redis } from 'ioredis'
import { Redis as Redis6 } from 'ioredis6'
import { createClient } from 'redis'

/** A connected client of each library that is supported, and how its connections are ended. */
export interface ClientKind {
  readonly name: string
  connect(port: number): Promise<{ client: object; end(): Promise<void> }>
}

export const CLIENTS: readonly ClientKind[] = [
  {
    name: 'ioredis 5',
    connect: async (port) => {
      const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 20 })
      client.on('error', () => {})
      return { client, end: async () => client.disconnect() }
    },
  },
  {
    name: 'ioredis 6',
    connect: async (port) => {
      const client = new Redis6(port, '127.0.0.1', { retryStrategy: () => 20 })
      client.on('error', () => {})
      return { client, end: async () => client.disconnect() }
    },
  },
  {
    name: 'node-redis',
    connect: async (port) => {
      const client = createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: 20 } })
      client.on('error', () => {})
      await client.connect()
      return { client, end: async () => client.destroy() }
    },
  },
]
