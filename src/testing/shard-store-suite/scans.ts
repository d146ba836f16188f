import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { bytes } from './shard-under-test'

const OWNER = { role: 'owner', epoch: 1 } as const

export const scanPromises: Promised[] = [
  {
    name: 'pages together show every key once, whatever their size',
    run: async (shard) => {
      const keys = Array.from({ length: 37 }, (_, i) => `key ${i}`)
      for (const key of keys) await shard.set(key, key)
      for (const limit of [1, 2, 10, 36, 37, 38, 1000]) {
        const entries = await shard.scan(OWNER, { limit })
        assert.deepEqual(entries.map((it) => it.key).sort(), [...keys].sort())
      }
    },
  },
  {
    name: 'a key that stays is shown exactly once, any other at most once, while keys come and go',
    run: async (shard) => {
      const stays = Array.from({ length: 60 }, (_, i) => `stays ${i}`)
      for (const [i, key] of stays.entries()) {
        await shard.set(key, 'v')
        if (i % 2) await shard.set(`goes ${i}`, 'v')
        if (i % 5 === 0) await shard.set(`flickers ${i}`, 'v')
      }
      const shown: string[] = []
      let cursor: string | undefined
      let page = 0
      do {
        const answer = await shard.store.scan({ ...shard.at(), as: OWNER, want: 'values', limit: 3, cursor })
        assert.ok(answer.ok)
        shown.push(...answer.entries.map((it) => it.key))
        cursor = answer.next
        for (let i = 0; i < 4; i++) await shard.delete(`goes ${(page * 7 + i * 13) % 60}`)
        // More than a page shows: a scan that followed them would never end.
        for (let i = 0; i < 4; i++) await shard.set(`comes ${page} ${i}`, 'v')
        await shard.set(stays[(page * 11) % 60]!, `changed at ${page}`)
        await shard.delete(`flickers ${(page % 12) * 5}`)
        await shard.set(`flickers ${(page % 12) * 5}`, 'again')
        assert.ok(++page < 1000, 'the scan does not end while keys are added')
      } while (cursor !== undefined)
      assert.deepEqual(shown.filter((key) => key.startsWith('stays')).sort(), [...stays].sort())
      assert.equal(new Set(shown).size, shown.length, 'a key was shown twice')
    },
  },
  {
    name: 'a page ends early at maxBytes, and still goes on',
    run: async (shard) => {
      for (let i = 0; i < 6; i++)
        await shard.done(`k${i}`, { kind: 'set', value: new Uint8Array(100), expiresAt: 0 })
      let cursor: string | undefined
      let keys = 0
      do {
        const page = await shard.store.scan({
          ...shard.at(),
          as: OWNER,
          want: 'values',
          limit: 100,
          maxBytes: 150,
          cursor,
        })
        assert.ok(page.ok && page.entries.length <= 2)
        keys += page.entries.length
        cursor = page.next
      } while (cursor !== undefined)
      assert.equal(keys, 6)
    },
  },
  {
    name: 'an entry larger than maxBytes makes a page of its own',
    run: async (shard) => {
      await shard.done('k', { kind: 'set', value: new Uint8Array(1000), expiresAt: 0 })
      const page = await shard.store.scan({
        ...shard.at(),
        as: OWNER,
        want: 'values',
        limit: 100,
        maxBytes: 1,
      })
      assert.ok(page.ok)
      assert.equal(page.entries.length, 1)
    },
  },
  {
    name: 'a bucket is scanned without the tags carved out of it, a tag alone',
    run: async (shard) => {
      for (const tag of ['x', 'y', 'z'])
        for (let i = 0; i < 5; i++) await shard.set(`${tag}${i}`, tag, { tag })
      await shard.store.found([4])
      await shard.set('x of another bucket', 'v', { segment: '#4', tag: 'x' })
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      await shard.takes('{y}', { step: 'split', epoch: 2, ticket: 3 })
      const keysOf = async (epoch: number, segment?: '{x}' | '{y}') =>
        (await shard.scan({ role: 'owner', epoch }, { segment, limit: 2 })).map((it) => it.key).sort()
      assert.deepEqual(await keysOf(3), ['z0', 'z1', 'z2', 'z3', 'z4'])
      assert.deepEqual(await keysOf(2, '{x}'), ['x0', 'x1', 'x2', 'x3', 'x4'])
      assert.deepEqual(await keysOf(3, '{y}'), ['y0', 'y1', 'y2', 'y3', 'y4'])
    },
  },
  {
    name: 'named keys come in one page: those that are there and belong to the segment',
    run: async (shard) => {
      await shard.set('a', '1')
      await shard.set('b', '1')
      await shard.set('x1', '1', { tag: 'x' })
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      const keys = ['b', 'absent', 'a'].map((key) => ({ key, tag: key }))
      const request = { ...shard.at(), as: { role: 'owner', epoch: 2 }, want: 'values', limit: 1 } as const
      const page = await shard.store.scan({ ...request, keys: [...keys, { key: 'x1', tag: 'x' }] })
      assert.ok(page.ok)
      assert.deepEqual(page.entries.map((it) => it.key).sort(), ['a', 'b'])
      assert.equal(page.next, undefined)
    },
  },
  {
    name: 'a digest tells entries apart by key, value, version and expiry, the same way on every store',
    run: async (shard) => {
      await shard.importing(5)
      const entry = (key: string, value: string, version: number, expiresAt = 0) => ({
        key,
        tag: 't',
        entry: { key, tag: 't', version, expiresAt, value: bytes(value) },
      })
      const later = shard.store.supports.ttl ? 4_102_444_800_000 : 0
      const digests = async (batch: number, ...changes: ReturnType<typeof entry>[]) => {
        await shard.ingest(5, batch, changes)
        const found = await shard.scan({ role: 'target', ticket: 5 }, { segment: '#5', want: 'digests' })
        for (const it of found) assert.equal(it.value, undefined)
        return found.map((it) => it.digest)
      }
      assert.deepEqual(await digests(1, entry('k', 'v', 1)), [353824507])
      const seen = new Set<number | undefined>([353824507])
      seen.add((await digests(2, entry('k', 'w', 1)))[0])
      seen.add((await digests(3, entry('k', 'v', 2)))[0])
      seen.add((await digests(4, entry('k', 'v', 2 ** 40 + 2)))[0])
      seen.add((await digests(5, entry('k', 'v', 1, later)))[0])
      assert.deepEqual(await digests(6, entry('k', 'v', 1)), [353824507])
      const [other] = await digests(7, { key: 'k', tag: 't' } as ReturnType<typeof entry>, entry('l', 'v', 1))
      seen.add(other)
      assert.equal(seen.size, shard.store.supports.ttl ? 6 : 5)
    },
  },
  {
    name: 'a page is read in the name of the owner at its epoch, of the exporter or importer with its ticket',
    run: async (shard) => {
      await shard.set('k', 'v')
      await shard.importing(6)
      const nobody = await shard.store.scan({
        ...shard.at(),
        as: { role: 'source', ticket: 0 },
        want: 'values',
        limit: 1,
      })
      assert.equal(nobody.ok, false)
      await shard.takes('#3', { step: 'export', epoch: 1, ticket: 5, peer: 'b' })
      const allowed = async (segment: '#3' | '#5', as: Parameters<typeof shard.scan>[0]) => {
        const page = await shard.store.scan({ ...shard.at(segment), as, want: 'values', limit: 1 })
        if (!page.ok) assert.deepEqual(page.record, await shard.record(segment))
        return page.ok
      }
      assert.equal(await allowed('#3', OWNER), true)
      assert.equal(await allowed('#3', { role: 'owner', epoch: 2 }), false)
      assert.equal(await allowed('#3', { role: 'source', ticket: 5 }), true)
      assert.equal(await allowed('#3', { role: 'source', ticket: 4 }), false)
      assert.equal(await allowed('#3', { role: 'target', ticket: 5 }), false)
      assert.equal(await allowed('#5', { role: 'target', ticket: 6 }), true)
      assert.equal(await allowed('#5', { role: 'target', ticket: 5 }), false)
      assert.equal(await allowed('#5', { role: 'owner', epoch: 2 }), false)
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: 1 })
      assert.equal(await allowed('#3', OWNER), false)
      assert.equal(await allowed('#3', { role: 'source', ticket: 5 }), false)
    },
  },
  {
    name: 'a page tells the sequence number that it was read at',
    run: async (shard) => {
      await shard.set('k', 'v')
      await shard.set('k', 'w')
      const page = await shard.store.scan({ ...shard.at(), as: OWNER, want: 'digests', limit: 1 })
      assert.equal(page.ok && page.seq, 2)
    },
  },
  {
    name: 'a cursor that the store did not give is an error',
    run: async (shard) => {
      await shard.set('k', 'v')
      const request = {
        ...shard.at(),
        as: OWNER,
        want: 'values',
        limit: 1,
        cursor: 'not \u0000 a cursor',
      } as const
      await assert.rejects(shard.store.scan(request), { code: 'INVALID_ARGUMENT' })
    },
  },
]
