import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisStore } from '../../../src/backends/redis/redis-store'
import { redisTopology } from '../../../src/backends/redis/redis-topology'
import { type Random, seededRandom, systemClock } from '../../../src/clock'
import type { SegmentId } from '../../../src/placement/segment'
import { ShardRouter } from '../../../src/router/router'
import { History } from '../../../src/testing/history'
import { checkLinearizable } from '../../../src/testing/linearizability'
import { SimulatedProcess } from '../../../src/testing/simulated-process'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'
import { CLIENTS } from './clients'

const SHARDS = ['a', 'b', 'c']
const BUCKETS = 8
const KEYS = Array.from({ length: 24 }, (_, i) => `{user:${i % 6}}:${i}`)
const ROUNDS = 8

/** Routers over real servers and both libraries; only that it goes well, over time that really passes. */
describe.skipIf(redisIsMissing)('routers over shards and a topology in Redis', () => {
  const servers: RedisServer[] = []
  const ends: (() => Promise<void>)[] = []
  beforeAll(async () => {
    for (let i = 0; i <= SHARDS.length; i++) servers.push(await RedisServer.start())
  })
  afterAll(async () => {
    for (const end of ends) await end()
    for (const server of servers) await server.stop()
  })

  async function router(index: number): Promise<ShardRouter> {
    const kind = CLIENTS[index % CLIENTS.length]!
    const clients = await Promise.all(servers.map((server) => kind.connect(server.port)))
    ends.push(...clients.map((it) => it.end))
    return ShardRouter.open({
      shards: Object.fromEntries(SHARDS.map((id, i) => [id, redisStore(clients[i]!.client)])),
      topology: redisTopology(clients.at(-1)!.client),
      buckets: BUCKETS,
    })
  }

  it('keep every key linearizable while segments move, split, are cancelled and rolled back', async () => {
    const routers = [await router(0), await router(1)]
    const history = new History(systemClock)
    const random = seededRandom(11)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
    let over = false
    const writers = routers.flatMap((it, i) =>
      [0, 1, 2].map(async (strand) => {
        const process = new SimulatedProcess(`p${i}`, systemClock)
        const client = history.client(`p${i}.${strand}`, it, process)
        const own = seededRandom(100 + 10 * i + strand)
        for (let n = 0; !over; n++) await operate(client, own, `${i}.${strand}.${n}`)
      }),
    )
    const outcomes: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const map = new Map<SegmentId, string>()
      for (let i = 0; i < 3; i++) map.set(`#${Math.floor(random() * BUCKETS)}`, pick(SHARDS))
      map.set(`{user:${round % 6}}`, pick(SHARDS))
      const resharding = await pick(routers).requestResharding(1, map)
      if (!resharding.accepted) continue
      if (round % 4 === 3) await resharding.cancel()
      const report = await resharding.done.catch((error) => error)
      outcomes.push(report instanceof Error ? report.message : 'done')
      if (round % 4 === 2) await pick(routers).rollback()
    }
    over = true
    await Promise.all(writers)
    expect(history.unexpected).toEqual([])
    expect(outcomes.filter((it) => it === 'done').length).toBeGreaterThan(2)
    expect(history.operations.length).toBeGreaterThan(1000)
    expect(checkLinearizable(history.operations)).toMatchObject({ ok: true })

    // What is read at the end, through either router, is what the servers hold natively.
    const contents = await Promise.all(routers.map(contentsOf))
    expect(contents[0]).toEqual(contents[1])
    const natives = servers.slice(0, -1).map((server) => new Redis(server.port))
    for (const [key, value] of contents[0]!) {
      const shard = natives[SHARDS.indexOf(routers[0]!.getShardLocation(key))]!
      expect(JSON.parse((await shard.get(key))!)).toEqual(value)
    }
    for (const native of natives) native.disconnect()
    for (const it of routers) await it.close()
  })

  async function contentsOf(it: ShardRouter): Promise<Map<string, unknown>> {
    const contents = new Map<string, unknown>()
    for await (const [key, value] of it.entries()) contents.set(key, value)
    return contents
  }

  function operate(client: ReturnType<History['client']>, own: Random, value: string): Promise<void> {
    const key = KEYS[Math.floor(own() * KEYS.length)]!
    const at = own()
    if (at < 0.4) return client.get(key)
    if (at < 0.75) return client.set(key, value)
    if (at < 0.85) return client.delete(key)
    return client.replace(key, value)
  }
})
