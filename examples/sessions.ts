// Sessions of Express on two Redis shards, through Keyv. Run it with the port of an empty server.
import type { AddressInfo } from 'node:net'
import express from 'express'
import session, { type SessionData, Store } from 'express-session'
import { memoryTopology, ShardRouter } from 'foreshard'
import { KeyvForeshard } from 'foreshard/keyv'
import { redisStore } from 'foreshard/redis'
import { Redis } from 'ioredis'
import Keyv from 'keyv'

declare module 'express-session' {
  interface SessionData {
    views?: number
  }
}

/** Whatever a Keyv keeps can be a store of sessions. */
class KeyvSessions extends Store {
  readonly #keyv: Keyv<SessionData>

  constructor(keyv: Keyv<SessionData>) {
    super()
    this.#keyv = keyv
  }

  get(id: string, done: (error: unknown, data?: SessionData | null) => void): void {
    this.#keyv.get(id).then((data) => done(null, data), done)
  }

  set(id: string, data: SessionData, done?: (error?: unknown) => void): void {
    this.#keyv.set(id, data, data.cookie.originalMaxAge ?? 86_400_000).then(() => done?.(), done)
  }

  destroy(id: string, done?: (error?: unknown) => void): void {
    this.#keyv.delete(id).then(() => done?.(), done)
  }
}

const clients = [0, 1].map((db) => new Redis(Number(process.argv[2]), '127.0.0.1', { db })) as [Redis, Redis]
const router = await ShardRouter.open({
  shards: { a: redisStore(clients[0]), b: redisStore(clients[1]) },
  topology: memoryTopology(),
  buckets: 16,
})
const keyv = new Keyv<SessionData>({
  store: KeyvForeshard(router),
  namespace: 'session',
  useKeyPrefix: false,
  throwOnErrors: true,
})

const app = express()
app.use(
  session({ store: new KeyvSessions(keyv), secret: 'example', resave: false, saveUninitialized: false }),
)
app.get('/', (request, response) => {
  request.session.views = (request.session.views ?? 0) + 1
  response.json(request.session.views)
})
const server = app.listen(0)
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

const visitors = await Promise.all(
  Array.from({ length: 20 }, async () => (await fetch(url)).headers.get('set-cookie')!.split(';')[0]!),
)
const visit = async (cookie: string) => (await fetch(url, { headers: { cookie } })).json()
const everyone = async () => [...new Set(await Promise.all(visitors.map(visit)))].join()

console.log('views of each visitor:', await everyone())
// Every session moves to the other shard while its visitor comes again.
const map = new Map(
  Array.from({ length: 16 }, (_, bucket) => {
    const segment = `#${bucket}` as const
    return [segment, router.placement.shardOf(segment) === 'a' ? 'b' : 'a'] as const
  }),
)
const resharding = await router.requestResharding(1, map)
console.log('while they move:', await everyone())
if (!resharding.accepted) throw new Error(resharding.reason)
console.log('moved:', (await resharding.done).outcome)
console.log('then:', await everyone())

server.close()
await router.close()
for (const client of clients) client.disconnect()
