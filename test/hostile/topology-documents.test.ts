import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { open } from 'lmdb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lmdbStore, lmdbTopology } from '../../src/backends/lmdb'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { redisStore, redisTopology } from '../../src/backends/redis'
import { seededRandom } from '../../src/clock'
import type { ErrorCode } from '../../src/errors'
import { ShardRouter } from '../../src/router/router'
import type { ShardStore } from '../../src/shard-store'
import type { TopologyStore } from '../../src/topology-store'
import { RedisServer, redisIsMissing } from '../servers/redis-server'
import { expectRefused, refusalOf } from './refusal'

/** Where a topology's bytes can be got at behind its back. */
interface Vault {
  topology(): TopologyStore
  /** Every record that the topology keeps, under a name of its own. */
  records(): Promise<Map<string, Buffer>>
  write(name: string, bytes: Buffer): Promise<void>
  end(): Promise<void>
}

async function lmdbVault(): Promise<Vault> {
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-hostile-'))
  const root = open({
    path: folder,
    keyEncoding: 'binary',
    encoding: 'binary',
    maxDbs: 4,
    eventTurnBatching: false,
  })
  const records = () =>
    root.openDB<Buffer, Buffer>({ name: 'foreshard:topology', keyEncoding: 'binary', encoding: 'binary' })
  return {
    topology: () => lmdbTopology({ database: root, durability: 'process' }),
    records: async () =>
      new Map([...records().getRange({})].map(({ key, value }) => [key.toString('hex'), Buffer.from(value)])),
    write: async (name, bytes) => {
      await records().put(Buffer.from(name, 'hex'), bytes)
    },
    end: async () => {
      await root.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function redisVault(): Promise<Vault> {
  const server = await RedisServer.start()
  const client = new Redis(server.port, '127.0.0.1')
  const admin = new Redis(server.port, '127.0.0.1')
  return {
    topology: () => redisTopology(client),
    records: async () => {
      const found = new Map<string, Buffer>()
      for (const key of ['~foreshard:t', '~foreshard:t:a', '~foreshard:t:r'])
        for (const [field, value] of Object.entries(await admin.hgetallBuffer(key)))
          found.set(`${key} ${field}`, value)
      for (const key of ['~foreshard:t:d', '~foreshard:t:h'])
        for (const [i, value] of (await admin.lrangeBuffer(key, 0, -1)).entries())
          found.set(`${key} ${i}`, value)
      return found
    },
    write: async (name, bytes) => {
      const [key, field] = name.split(/ (.*)/s) as [string, string]
      if (/:[dh]$/.test(key)) await admin.lset(key, Number(field), bytes)
      else await admin.hset(key, field, bytes)
    },
    end: async () => {
      client.disconnect()
      admin.disconnect()
      await server.stop()
    },
  }
}

const VAULTS = [
  { name: 'LMDB', missing: false, make: lmdbVault },
  { name: 'Redis', missing: redisIsMissing, make: redisVault },
]
const CODES: ErrorCode[] = [
  'TOPOLOGY_CORRUPT',
  'TOPOLOGY_MISMATCH',
  'SHARD_MISMATCH',
  'SHARD_UNAVAILABLE',
  'TOO_MANY_REFUSALS',
]
const KEYS = Array.from({ length: 40 }, (_, i) => (i % 4 ? `k${i}` : `{tag}:${i}`))

describe.each(VAULTS)('a topology in $name that was tampered with', ({ missing, make }) => {
  describe.skipIf(missing)('', () => {
    let vault: Vault
    let stores: Record<string, ShardStore>
    let whole: Map<string, Buffer>
    beforeAll(async () => {
      vault = await make()
      stores = { a: memoryStore(), b: memoryStore() }
      const router = await ShardRouter.open({
        shards: stores,
        topology: vault.topology(),
        buckets: 8,
        seed: 7,
      })
      for (const key of KEYS) await router.set(key, key)
      for (const map of [
        { '#1': 'b', '#2': 'a', '#3': 'b', '{tag}': 'b' },
        { '#1': 'a', '{tag}': 'a' },
      ]) {
        const resharding = await router.requestResharding(1, new Map(Object.entries(map)) as never, {
          retainMs: 1e9,
        })
        if (resharding.accepted) expect((await resharding.done).outcome).toBe('done')
      }
      whole = await vault.records()
      // Kept open, so that the stores of this process keep what they hold.
      for (const store of Object.values(stores)) await keepOpen(store, router)
      await router.close()
    })
    afterAll(() => vault.end())

    async function keepOpen(store: ShardStore, router: ShardRouter): Promise<void> {
      const { id } = (await topologyOf(router)) as { id: string }
      const shard = store === stores.a ? 'a' : 'b'
      await store.open({ topologyId: id, shard, buckets: 8, clock: { now: Date.now } as never })
    }

    async function topologyOf(_: ShardRouter) {
      const topology = vault.topology()
      const found = await topology.open({} as never)
      await topology.close()
      return found
    }

    async function putBack(): Promise<void> {
      for (const [name, bytes] of whole) await vault.write(name, bytes)
    }

    /** It opens and serves every key as before, or says by a code why not; and no fence is lower than it was. */
    async function survives(what: string): Promise<'served' | 'refused'> {
      const before = await fences()
      const refusal = await refusalOf(async () => {
        const router = await ShardRouter.open({
          shards: stores,
          topology: vault.topology(),
          migrator: false,
          tries: 3,
        })
        // An owner or epoch that never was is found out by the shards, which answer for what they hold.
        const failed = await refusalOf(async () => {
          const values = await router.getMany(KEYS)
          for (const key of KEYS) expect(values.get(key), `${what}: ${key}`).toBe(key)
        }).finally(() => router.close())
        if (failed) throw failed
      })
      if (refusal) expect(CODES, `${what}: ${refusal.message}`).toContain(refusal.code)
      for (const [segment, epoch] of await fences())
        expect(epoch, `${what}: ${segment}`).toBeGreaterThanOrEqual(before.get(segment) ?? 0)
      return refusal ? 'refused' : 'served'
    }

    async function fences(): Promise<Map<string, number>> {
      const found = new Map<string, number>()
      for (const [shard, store] of Object.entries(stores))
        for (const { segment, record } of await store.fences()) found.set(`${shard} ${segment}`, record.epoch)
      return found
    }

    it('by cutting a record anywhere is served rightly or refused by code, and loses nothing', async () => {
      const random = seededRandom(5)
      const counts = { served: 0, refused: 0 }
      for (const [name, bytes] of whole)
        for (const length of new Set([bytes.length - 1, Math.floor(random() * bytes.length)])) {
          if (length < 0) continue
          await vault.write(name, bytes.subarray(0, length))
          counts[await survives(`${name} cut to ${length}`)]++
          await vault.write(name, bytes)
        }
      expect(counts.refused).toBeGreaterThan(5)
      expect(await survives('as it was')).toBe('served')
    })

    it('by changing one byte is served rightly or refused by code, and loses nothing', async () => {
      const random = seededRandom(11)
      const counts = { served: 0, refused: 0 }
      const records = [...whole].filter(([, bytes]) => bytes.length > 0)
      for (let i = 0; i < 60; i++) {
        const [name, bytes] = records[Math.floor(random() * records.length)]!
        const at = Math.floor(random() * bytes.length)
        const changed = Buffer.from(bytes)
        changed[at] =
          random() < 0.5 ? changed[at]! ^ (1 << Math.floor(random() * 7)) : 48 + Math.floor(random() * 10)
        await vault.write(name, changed)
        try {
          counts[await survives(`${name}: ${bytes} -> ${changed}`)]++
        } finally {
          await vault.write(name, bytes)
        }
      }
      expect(Math.min(counts.served, counts.refused)).toBeGreaterThan(5)
      await putBack()
      expect(await survives('as it was')).toBe('served')
    })

    it('whose seed is another one is refused: every key would be looked for elsewhere, and not be there', async () => {
      const [name, bytes] = [...whole].find(([key, value]) =>
        key.endsWith(' seed') ? true : value.toString().includes('"seed":7'),
      )!
      await vault.write(
        name,
        Buffer.from(bytes.toString().replace(/"seed":7|^7$/, (it) => it.replace('7', '8'))),
      )
      expect(await survives('another seed')).toBe('refused')
      await vault.write(name, bytes)
    })

    it('that comes from a newer version is refused, and says what to do', async () => {
      const [name, bytes] = [...whole].find(([key, value]) =>
        key.endsWith(' format') ? true : value.toString().includes('"format":'),
      )!
      await vault.write(
        name,
        Buffer.from(bytes.toString().replace(/"format":\d+|^\d+$/, (it) => it.replace(/\d+/, '99'))),
      )
      const { message } = await expectRefused(
        () => ShardRouter.open({ shards: stores, topology: vault.topology() }),
        'TOPOLOGY_CORRUPT',
      )
      expect(message).toMatch(/99.*update it/)
      await vault.write(name, bytes)
      expect(await survives('as it was')).toBe('served')
    })
  })
})

describe('a shard of a newer version', () => {
  it('is refused in an LMDB file, and says what to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'foreshard-hostile-'))
    const root = open({
      path: folder,
      keyEncoding: 'binary',
      encoding: 'binary',
      maxDbs: 4,
      eventTurnBatching: false,
    })
    const records = root.openDB<Buffer, Buffer>({
      name: 'foreshard:shard',
      keyEncoding: 'binary',
      encoding: 'binary',
    })
    const first = await ShardRouter.open({ shards: { a: lmdbStore({ database: root }) }, buckets: 4 })
    await first.close()
    const name = Buffer.from('\0identity')
    await records.put(
      name,
      Buffer.from(records.getBinary(name)!.toString().replace('"format":1', '"format":99')),
    )
    const again = () => ShardRouter.open({ shards: { a: lmdbStore({ database: root }) }, buckets: 4 })
    expect((await expectRefused(again, 'SHARD_MISMATCH')).message).toMatch(/99.*update it/)
    await records.put(name, Buffer.from('{"format":1,"topol'))
    await expectRefused(again, 'SHARD_MISMATCH')
    await root.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it.skipIf(redisIsMissing)('is refused in Redis, and says what to do', async () => {
    const server = await RedisServer.start()
    const client = new Redis(server.port, '127.0.0.1')
    const first = await ShardRouter.open({
      shards: { a: redisStore(client) },
      topology: redisTopology(client),
      buckets: 4,
    })
    await first.close()
    await client.hset('~foreshard:shard', 'format', '99')
    const again = () =>
      ShardRouter.open({ shards: { a: redisStore(client) }, topology: redisTopology(client) })
    expect((await expectRefused(again, 'SHARD_MISMATCH')).message).toMatch(/99.*update it/)
    client.disconnect()
    await server.stop()
  })
})
