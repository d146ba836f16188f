// One Redis server becomes three shards, and one server again. Run it with the port of an empty server.
import { adopt, memoryTopology, release, ShardRouter } from 'foreshard'
import { redisStore } from 'foreshard/redis'
import { Redis } from 'ioredis'

const [a, b, c] = [0, 1, 2].map((db) => new Redis(Number(process.argv[2]), '127.0.0.1', { db })) as [
  Redis,
  Redis,
  Redis,
]
for (let user = 0; user < 300; user++) {
  await a.set(`{user:${user}}:name`, `name ${user}`)
  await a.hset(`{user:${user}}:cart`, 'tea', user)
}

const topology = memoryTopology()
const shards = { a: redisStore(a), b: redisStore(b), c: redisStore(c) }
const plan = await adopt({ shards, topology, buckets: 64, dryRun: true })
console.log(`to adopt: ${plan.keys.a} keys of ${plan.tags} tags, ${plan.copied} to be copied`)
const { entered, brought } = await adopt({ shards, topology, buckets: 64 })
console.log(`adopted: ${entered} where they lay, ${brought} copied`)

const router = await ShardRouter.open({ shards, topology, codec: 'utf8' })
console.log('user 7:', await router.get('{user:7}:name'), 'on', router.getShardLocation('{user:7}:name'))

// From here on it is a deployment like any other: a third of the buckets move to each of the new servers.
const map = new Map(Array.from({ length: 64 }, (_, bucket) => [`#${bucket}` as const, 'abc'[bucket % 3]!]))
const resharding = await router.requestResharding(1, map)
if (!resharding.accepted) throw new Error(resharding.reason)
const { outcome } = await resharding.done
const names = await router.getMany(Array.from({ length: 300 }, (_, user) => `{user:${user}}:name`))
console.log(`${outcome}: ${names.size} names on three servers`)
await router.close()

// And back: every key where the old client looks for it, and no record of ours left.
await release({ shards, topology, shardOf: () => 'a' })
console.log(`released: ${await a.dbsize()} keys on a, ${(await b.dbsize()) + (await c.dbsize())} elsewhere`)
for (const client of [a, b, c]) client.disconnect()
