// Three Redis servers behind a client-side hash ring are taken over without a copy. Run it with the port of an empty server.
import { adopt, memoryTopology, release, ShardRouter } from 'foreshard'
import { redisStore } from 'foreshard/redis'
import HashRing from 'hashring'
import { Redis } from 'ioredis'

const servers = Object.fromEntries(
  ['a', 'b', 'c'].map((name, db) => [name, new Redis(Number(process.argv[2]), '127.0.0.1', { db })]),
)
// The old client: each user's keys lie where the ring puts the user.
const ring = new HashRing(Object.keys(servers))
const shardOf = (key: string) => ring.get(key.split(':', 2).join(':'))
for (let user = 0; user < 300; user++)
  for (const field of ['name', 'city']) {
    const key = `user:${user}:${field}`
    await servers[shardOf(key)]!.set(key, `${field} ${user}`)
  }

const shards = Object.fromEntries(Object.entries(servers).map(([name, client]) => [name, redisStore(client)]))
const topology = memoryTopology()
// What the old client took for a user is a tag here.
const schema = { entities: [{ name: 'user', key: 'user:{id}:{field}', tag: 'id' }] }
const plan = await adopt({ shards, topology, buckets: 64, schema, dryRun: true })
const found = Object.values(plan.keys).reduce((sum, keys) => sum + keys)
console.log(
  `${found} keys of ${plan.tags} users: ${plan.carved} carved out of their buckets, ${plan.copied} keys copied`,
)
const { entered } = await adopt({ shards, topology, buckets: 64, schema })

const router = await ShardRouter.open({ shards, topology, schema, codec: 'utf8' })
let there = 0
for (let user = 0; user < 300; user++)
  if (router.getShardLocation(`user:${user}:name`) === shardOf(`user:${user}:name`)) there++
console.log(`${entered} keys entered, ${there} users where the ring had put them`)
console.log('user 7:', await router.get('user:7:city'))
await router.close()

await release({ shards, topology, schema, shardOf })
console.log('released:', await servers[shardOf('user:7:city')]!.get('user:7:city'))
for (const client of Object.values(servers)) client.disconnect()
