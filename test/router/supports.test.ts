import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import Keyv from 'keyv'
import { describe, expect, it } from 'vitest'
import { keyvStore } from '../../src/backends/keyv'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { ErrorCode } from '../../src/errors'
import { murmur3 } from '../../src/placement/hash'
import { ShardRouter } from '../../src/router/router'
import type { Answer, ShardStore, ShardSupports } from '../../src/shard-store'
import { wrap } from './harness'

/** A store in memory that declares that it cannot do something. */
function lacking(supports: Partial<ShardSupports>): ShardStore {
  const store = memoryStore()
  return wrap(store, { supports: { ...store.supports, ...supports } })
}

const open = (a: ShardStore) => ShardRouter.open({ shards: { a }, buckets: 4 })

/** A row of the table in docs/stores.md. */
const ROWS: Record<string, () => Promise<void>> = {
  '`atomicExecute: false`': async () => {
    const map = new Map()
    const [one, other] = [1, 2].map(() => keyvStore(new Keyv({ store: map })))
    expect(one!.supports.atomicExecute).toBe(false)
    const router = await open(one!)
    await expect(open(other!)).rejects.toMatchObject({ code: ErrorCode.SHARD_IN_USE })
    await router.close()
  },
  '`multiProcess: false`': async () => {
    // Two of them are two shards, though they bear one name.
    const topology = memoryTopology()
    const one = await ShardRouter.open({ shards: { a: memoryStore() }, topology, buckets: 4 })
    await one.set('k', 'v')
    const other = await ShardRouter.open({ shards: { a: memoryStore() }, topology, buckets: 4 })
    expect(await other.get('k')).toBeUndefined()
    await Promise.all([one.close(), other.close()])
  },
  '`ttl: false`': async () => {
    const router = await ShardRouter.open({
      shards: { a: lacking({ ttl: false }), b: memoryStore() },
      buckets: 4,
    })
    await expect(router.set('k', 'v', { ttlMs: 1000 })).rejects.toMatchObject({
      code: ErrorCode.NOT_SUPPORTED,
      shard: 'a',
    })
    await router.close()
    const other = await open(memoryStore())
    await expect(other.addShard('b', lacking({ ttl: false }))).rejects.toMatchObject({ field: 'store' })
    await other.close()
  },
  '`durable: false`': async () => {
    const topology = memoryTopology()
    const before = await ShardRouter.open({ shards: { a: memoryStore() }, topology, buckets: 4 })
    await before.set('k', 'v')
    await before.close()
    const after = await ShardRouter.open({ shards: { a: memoryStore() }, topology, buckets: 4 })
    expect(await after.get('k')).toBeUndefined()
    await after.set('k', 'w')
    await after.close()
    const lost = await ShardRouter.open({
      shards: { a: lacking({ durable: true }) },
      topology,
      buckets: 4,
    }).catch((error) => error)
    const refused = lost instanceof ShardRouter ? await lost.get('k').catch((error) => error) : lost
    if (lost instanceof ShardRouter) await lost.close()
    expect(refused).toMatchObject({ retryable: expect.any(Boolean) })
  },
  "`versions: 'value'`": async () => {
    const router = await open(versionedByValue())
    const { version } = await router.set('k', 'first')
    await router.set('k', 'second')
    await router.set('k', 'first')
    await router.set('k', 'third', { ifVersion: version })
    expect(await router.get('k')).toBe('third')
    await router.close()
    const counting = await open(memoryStore())
    const first = await counting.set('k', 'first')
    await counting.set('k', 'first')
    await expect(counting.set('k', 'third', { ifVersion: first.version })).rejects.toMatchObject({
      code: ErrorCode.VERSION_CONFLICT,
    })
    await counting.close()
  },
  '`nulInKeys: false`': async () => {
    const router = await ShardRouter.open({
      shards: { a: lacking({ nulInKeys: false }), b: memoryStore() },
      buckets: 4,
    })
    await expect(router.get('a\0')).rejects.toMatchObject({ code: ErrorCode.INVALID_KEY })
    await router.close()
    const other = await open(memoryStore())
    await expect(other.addShard('b', lacking({ nulInKeys: false }))).rejects.toMatchObject({ field: 'store' })
    await other.close()
  },
  '`maxKeyBytes`, `maxValueBytes`': async () => {
    const strict = lacking({ maxKeyBytes: 8, maxValueBytes: 10 })
    const router = await ShardRouter.open({ shards: { a: strict, b: memoryStore() }, buckets: 4 })
    await expect(router.get('123456789')).rejects.toMatchObject({ code: ErrorCode.INVALID_KEY })
    await expect(router.set('k', '0123456789')).rejects.toMatchObject({ code: ErrorCode.INVALID_VALUE })
    for (const supports of [{ maxKeyBytes: 7 }, { maxValueBytes: 9 }])
      await expect(router.addShard('c', lacking(supports))).rejects.toMatchObject({ field: 'store' })
    await router.close()
  },
  '`reservedPrefixes`': async () => {
    const router = await ShardRouter.open({
      shards: { a: lacking({ reservedPrefixes: ['own:'] }), b: memoryStore() },
      buckets: 4,
    })
    await expect(router.get('own:k')).rejects.toMatchObject({ code: ErrorCode.INVALID_KEY })
    await router.close()
  },
}

/** As a store does that keeps native values and can only compare them. */
function versionedByValue(): ShardStore {
  const store = memoryStore()
  const sequences = new Map<string, number>()
  const versionOf = (value: Uint8Array) => 1 + murmur3(Buffer.from(value).toString('base64'))
  const versions = new Map<string, number>()
  return wrap(store, {
    supports: { ...store.supports, versions: 'value' },
    execute: async (calls) => {
      const answers: Answer[] = []
      for (const call of calls) {
        const { key, operation } = call
        const ifVersion = 'ifVersion' in operation ? operation.ifVersion : undefined
        const own =
          ifVersion === undefined
            ? undefined
            : ifVersion === (versions.get(key) ?? 0)
              ? (sequences.get(key) ?? 0)
              : -1
        const [answer] = await store.execute([
          own === undefined
            ? call
            : ({ ...call, operation: { ...operation, ifVersion: own } } as typeof call),
        ])
        if (answer!.ok && answer!.applied && operation.kind === 'set') {
          sequences.set(key, answer!.version)
          versions.set(key, versionOf(operation.value))
        }
        answers.push(answer!.ok ? { ...answer!, version: versions.get(key) ?? 0 } : answer!)
      }
      return answers
    },
  })
}

describe('what a store declares it cannot do', () => {
  it('is in the table of docs/stores.md, row by row', () => {
    const text = readFileSync(resolve(import.meta.dirname, '../../docs/stores.md'), 'utf8')
    const table = text.split('<!-- supports -->')[1]!.split('<!-- /supports -->')[0]!
    const rows = [...table.matchAll(/^\| (`.*?) \|/gm)].map((match) => match[1]!)
    expect(rows.filter((row) => row !== '`supports`')).toEqual(Object.keys(ROWS))
  })

  it.each(Object.keys(ROWS))('%s is refused or weaker as the table says', (row) => ROWS[row]!())
})
