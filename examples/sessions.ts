// Sessions of Express on two Redis shards, by connect-redis as it is: only its client comes from elsewhere. Run it with the port of an empty server.
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { memoryTopology, ShardRouter } from 'foreshard'
import { redisStore, shardedRedis } from 'foreshard/redis'
import { Redis } from 'ioredis'

declare module 'express-session' {
  interface SessionData {
    views?: number
  }
}

const clients = [0, 1].map((db) => new Redis(Number(process.argv[2]), '127.0.0.1', { db })) as [Redis, Redis]
const router = await ShardRouter.open({
  shards: { a: redisStore(clients[0]), b: redisStore(clients[1]) },
  topology: memoryTopology(),
  buckets: 16,
})
const app = express()
app.use(
  session({
    store: new RedisStore({ client: shardedRedis(router) }),
    secret: 'example',
    resave: false,
    saveUninitialized: false,
  }),
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
