import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ManualClock } from 'foreshard'
import { createService, PredictorClient } from 'foreshard/service'

const HOUR = 3_600_000
const now = 96 * HOUR
const token = 'make-it-long-and-random'

// One process serves the predictor,
const service = createService({
  predictor: { shards: ['a', 'b', 'c'], buckets: 64, clock: new ManualClock(now) },
  token,
})
const server = createServer(service.listener).listen(0, '127.0.0.1')
await Promise.all([service.ready(), once(server, 'listening')])
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

// others use it as if it were here: a Rebalancer takes this client in the place of a Predictor.
const client = new PredictorClient(url, { token })
for (let at = 0; at < now; at += HOUR / 4)
  for (let user = 0; user < 20; user++) {
    const share = user < 5 && (at / HOUR + user) % 24 < 12 ? 30 : 1
    client.record({ timestamp: at, key: `user:${user}`, operation: 'read', count: share })
  }
const { shardAssignmentMap, confidence, expected } = await client.predict({ now, budget: { maxMoves: 3 } })
console.log(shardAssignmentMap, `confidence ${confidence.toFixed(2)}`)
console.log(`imbalance ${expected.imbalance.before.toFixed(2)} -> ${expected.imbalance.after.toFixed(2)}`)

// Anything that speaks HTTP can ask, too. What is refused is refused in one shape.
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' }
const lines =
  '{"timestamp":1,"key":"user:1","operation":"read"}\n{"timestamp":1,"key":"","operation":"read"}\n'
const taken = await fetch(`${url}/v1/access-log`, { method: 'POST', headers, body: lines })
console.log(await taken.json())
console.log(await (await fetch(`${url}/v1/prediction`)).json())

await client.close()
await service.close()
server.close()
