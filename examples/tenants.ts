// A service that keeps tenants apart in Postgres databases, and moves one of them while it is served.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { ShardRouter, tagSegment } from 'foreshard'
import { postgresStore, postgresTopology } from 'foreshard/postgres'

// A `pg` Pool stands in the same place.
const [north, south] = [new PGlite(), new PGlite()]
const router = await ShardRouter.open({
  shards: { north: postgresStore(north), south: postgresStore(south) },
  topology: postgresTopology(north, { table: 'topology' }),
  buckets: 64,
  // All that belongs to a tenant lies together.
  schema: { entities: [{ name: 'invoice', key: 'tenant:{id}:{what}', tag: 'id' }] },
})

/** GET /acme/invoices, and POST to add one. */
const server = createServer(async (request, response) => {
  const [, tenant, what] = request.url!.split('/')
  const key = `tenant:${tenant}:${what}`
  if (request.method === 'POST') {
    let body = ''
    for await (const chunk of request) body += chunk
    await router.update<unknown[]>(key, (list = []) => [...list, JSON.parse(body)])
    response.writeHead(201).end()
  } else response.end(JSON.stringify((await router.get(key)) ?? []))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/acme/invoices`
const add = async (number: number) =>
  (await fetch(url, { method: 'POST', body: JSON.stringify({ number }) })).status

for (let number = 1; number <= 5; number++) await add(number)
const key = 'tenant:acme:invoices'
const to = router.getShardLocation(key) === 'north' ? 'south' : 'north'
const tenant = tagSegment(router.placement.tagOf(key))
const resharding = await router.requestResharding(1, new Map([[tenant, to]]))
const during = Promise.all([6, 7, 8].map(add))
if (!resharding.accepted) throw new Error(resharding.reason)
console.log('moved:', (await resharding.done).outcome, '- requests meanwhile:', (await during).join(' '))
console.log(tenant, 'is on the other shard:', router.getShardLocation(key) === to)
console.log('invoices:', ((await (await fetch(url)).json()) as unknown[]).length)

server.close()
await router.close()
await Promise.all([north.close(), south.close()])
