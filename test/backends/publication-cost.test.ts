import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { open, type RootDatabase } from 'lmdb'
import { describe, expect, it } from 'vitest'
import { lmdbTopology } from '../../src/backends/lmdb/lmdb-topology'
import { redisTopology } from '../../src/backends/redis/redis-topology'
import { FOUNDING, plan } from '../../src/testing/topology-store-suite/founding'
import type { TopologyStore } from '../../src/topology-store'
import { RedisServer, redisIsMissing } from '../servers/redis-server'

const LARGE = 16_384
/** Numbers have more digits in a large topology. */
const DIGITS_BYTES = 64

/** Bytes that three publications of a resharding cost where the plan, what is retained and the carved tags are so many. */
async function costs(
  topology: TopologyStore,
  many: number,
  bytesOf: (act: () => Promise<unknown>) => Promise<number>,
) {
  await topology.open(FOUNDING)
  const tags = Array.from({ length: many }, (_, i) => `{user:${i}}` as const)
  await topology.commit({
    plan: { ...plan('p'), moves: tags.map((segment) => ({ segment, to: 'b', from: 'a' })) },
  })
  for (let i = 0; i < many; i += 4096) {
    const some = tags.slice(i, i + 4096)
    await topology.commit({
      assignments: some.map((segment) => ({ segment, shard: 'a', epoch: 2 })),
      retain: some.map((segment) => ({ segment, shard: 'b', epoch: 2, until: 1 })),
    })
  }
  const before = tags.map((segment) => [segment, 'a'] as const)
  const entry = { id: 'o', at: 1, confidence: 1, reason: '', before, carved: [], merged: [] }
  await topology.commit({ history: [entry] })
  const segment = '{user:1}' as const
  const moved = { segment, shard: 'b', epoch: 3 }
  const kept = { segment, shard: 'a', epoch: 3 }
  const small = { ...entry, before: before.slice(0, 1) }
  return [
    await bytesOf(() =>
      topology.commit({ expect: { plan: 'p' }, assignments: [moved], retain: [{ ...kept, until: 9 }] }),
    ),
    await bytesOf(() => topology.commit({ release: [kept] })),
    await bytesOf(() => topology.commit({ expect: { plan: 'p' }, plan: null, history: [small] })),
  ]
}

function expectNoGrowth(few: readonly number[], many: readonly number[]): void {
  for (const [i, bytes] of many.entries()) {
    expect(few[i]).toBeGreaterThan(50)
    expect(bytes - few[i]!).toBeLessThan(DIGITS_BYTES)
  }
}

describe('what a publication writes does not grow with the plan, nor with what is retained, remembered and carved out', () => {
  it('in an LMDB file', async () => {
    const measured = async (many: number) => {
      const folder = mkdtempSync(join(tmpdir(), 'foreshard-lmdb-'))
      let written = 0
      const root = open({
        path: folder,
        keyEncoding: 'binary',
        encoding: 'binary',
        maxDbs: 4,
        eventTurnBatching: false,
      })
      const topology = lmdbTopology({
        database: counting(root, (bytes) => (written += bytes)),
        durability: 'process',
      })
      const result = await costs(topology, many, async (act) => {
        const start = written
        await act()
        return written - start
      })
      await topology.close()
      await root.close()
      rmSync(folder, { recursive: true })
      return result
    }
    expectNoGrowth(await measured(10), await measured(LARGE))
  })

  it.skipIf(redisIsMissing)('in Redis, and as little is sent to it', async () => {
    const server = await RedisServer.start()
    const client = new Redis(server.port)
    const inputBytes = async () => Number(/total_net_input_bytes:(\d+)/.exec(await client.info('stats'))![1])
    const measured = async (many: number) => {
      await client.flushall()
      const topology = redisTopology(client)
      const result = await costs(topology, many, async (act) => {
        const idle = await inputBytes()
        const start = await inputBytes()
        await act()
        return (await inputBytes()) - start - (start - idle)
      })
      await topology.close()
      return result
    }
    // Once before: a script is sent in full only the first time.
    await measured(10)
    expectNoGrowth(await measured(10), await measured(LARGE))
    client.disconnect()
    await server.stop()
  })
})

/** The database, telling of every byte that is put. */
function counting(root: RootDatabase, wrote: (bytes: number) => void): RootDatabase {
  const bound = (target: object, name: string | symbol) => {
    const value = Reflect.get(target, name, target) as unknown
    return typeof value === 'function' ? value.bind(target) : value
  }
  return new Proxy(root, {
    get: (target, name) =>
      name !== 'openDB'
        ? bound(target, name)
        : (options: never) =>
            new Proxy(target.openDB(options), {
              get: (records, method) =>
                method !== 'put'
                  ? bound(records, method)
                  : (key: Buffer, value: Buffer) => {
                      wrote(key.length + value.length)
                      return records.put(key as never, value as never)
                    },
            }),
  }) as RootDatabase
}
