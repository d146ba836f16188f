import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { bytes } from './shard-under-test'

/** Keys that some store somewhere took for something else. */
const HOSTILE = [
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  'caf\u00e9',
  'cafe\u0301',
  '\u212b',
  '\u00c5',
  ' ',
  '  ',
  'line\nbreak',
  'tab\t',
  "it's",
  '"quoted"',
  '\\x00',
  '*',
  'a?[b-c]',
  '%s%n',
  '../../etc/passwd',
  '{',
  '}',
  '{}',
  '}{',
  '{{x}}',
  '#3',
  '#03',
  '3',
  '{x}',
  'fence',
  'foreshard:fence:#3',
  'seq',
  '\u{1f4a5}',
  '\uffff',
  '\u0001',
  '\u007f',
  'A',
  'a',
]

export const keyPromises: Promised[] = [
  {
    name: 'every key is kept as given, and apart from every other',
    run: async (shard) => {
      const keys = shard.store.supports.nulInKeys ? [...HOSTILE, '\0', 'a\0', 'a\0b', '\0\0'] : HOSTILE
      for (const [i, key] of keys.entries()) await shard.set(key, `value ${i}`)
      for (const [i, key] of keys.entries())
        assert.equal(await shard.get(key), `value ${i}`, JSON.stringify(key))
      const scanned = await shard.scan({ role: 'owner', epoch: 1 }, { limit: 7 })
      assert.deepEqual(scanned.map((it) => it.key).sort(), [...keys].sort())
      for (const entry of scanned) assert.equal(entry.tag, entry.key)
      for (const key of keys.slice(1)) await shard.delete(key)
      assert.deepEqual(
        (await shard.scan({ role: 'owner', epoch: 1 })).map((it) => it.key),
        [keys[0]],
      )
    },
  },
  {
    name: 'tags are kept as given, and apart from every other',
    run: async (shard) => {
      const tags = HOSTILE.filter((tag) => tag !== '3')
      for (const [i, tag] of tags.entries()) await shard.set(`key ${i}`, tag, { tag })
      let epoch = 1
      for (const tag of tags) await shard.takes(`{${tag}}`, { step: 'split', epoch, ticket: epoch++ })
      for (const [i, tag] of tags.entries()) {
        const { epoch: own } = await shard.record(`{${tag}}`)
        const entries = await shard.scan({ role: 'owner', epoch: own }, { segment: `{${tag}}` })
        assert.deepEqual(
          entries.map((it) => [it.key, it.tag]),
          [[`key ${i}`, tag]],
        )
      }
      assert.deepEqual(await shard.scan({ role: 'owner', epoch }), [])
    },
  },
  {
    name: 'a key of the largest size is kept, one byte more is INVALID_KEY before anything is changed',
    run: async (shard) => {
      const { maxKeyBytes } = shard.store.supports
      for (const unit of ['k', '\u00e9', '\u20ac', '\u{1f4a5}']) {
        const key = unit.repeat(Math.floor(maxKeyBytes / Buffer.byteLength(unit)))
        await shard.set(key, unit, { tag: 't' })
        assert.equal(await shard.get(key, { tag: 't' }), unit)
      }
      const set = { kind: 'set', value: bytes('x'), expiresAt: 0 } as const
      for (const key of ['k'.repeat(maxKeyBytes + 1), '\u00e9'.repeat(maxKeyBytes / 2 + 1), '']) {
        const calls = [shard.call('first', set), shard.call(key, set, { tag: 't' })]
        await assert.rejects(shard.store.execute(calls), { code: 'INVALID_KEY' })
      }
      assert.equal(await shard.get('first'), undefined)
    },
  },
  {
    name: 'an unpaired surrogate is INVALID_KEY: no store can spell it',
    run: async (shard) => {
      for (const key of ['a\ud800', '\udc00a', '\ud800\ud800']) {
        const set = { kind: 'set', value: bytes('x'), expiresAt: 0 } as const
        await assert.rejects(shard.answer(key, set, { tag: 't' }), { code: 'INVALID_KEY' })
      }
    },
  },
  {
    name: 'a NUL in a key is INVALID_KEY where the store cannot keep it',
    needs: (supports) => supports.nulInKeys && 'it can',
    run: async (shard) => {
      const set = { kind: 'set', value: bytes('x'), expiresAt: 0 } as const
      await assert.rejects(shard.answer('a\0b', set, { tag: 't' }), { code: 'INVALID_KEY' })
    },
  },
  {
    name: 'a value over the limit is INVALID_VALUE before anything is changed',
    needs: (supports) =>
      supports.maxValueBytes > 64 * 1024 * 1024 && 'values may be larger than a test should make',
    run: async (shard) => {
      const { maxValueBytes } = shard.store.supports
      const set = (size: number) => ({ kind: 'set', value: new Uint8Array(size), expiresAt: 0 }) as const
      await shard.done('k', set(maxValueBytes))
      const calls = [shard.call('first', set(1)), shard.call('k', set(maxValueBytes + 1))]
      await assert.rejects(shard.store.execute(calls), { code: 'INVALID_VALUE' })
      assert.equal(await shard.get('first'), undefined)
      assert.equal((await shard.done('k', { kind: 'get' })).value!.byteLength, maxValueBytes)
    },
  },
]
