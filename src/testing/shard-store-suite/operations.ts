import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { BINDING, bytes, text } from './shard-under-test'

const untilSequence: Promised['needs'] = (supports) =>
  supports.versions !== 'sequence' && 'versions are derived from values'

export const operationPromises: Promised[] = [
  {
    name: 'an absent key is answered as absent',
    run: async (shard) => {
      for (const kind of ['get', 'has'] as const) {
        const { value, version, applied, seq } = await shard.done('k', { kind })
        assert.deepEqual(
          { value, version, applied, seq },
          { value: undefined, version: 0, applied: false, seq: 0 },
        )
      }
    },
  },
  {
    name: 'what was written is read, with the version that the write answered',
    run: async (shard) => {
      const { version, applied } = await shard.set('k', 'one')
      assert.equal(applied, true)
      const read = await shard.done('k', { kind: 'get' })
      assert.equal(text(read.value!), 'one')
      assert.equal(read.version, version)
      const has = await shard.done('k', { kind: 'has' })
      assert.deepEqual([has.value, has.version, has.applied], [undefined, version, true])
    },
  },
  {
    name: 'every write counts the segment by one, and is the version of its key',
    needs: untilSequence,
    run: async (shard) => {
      assert.deepEqual(await versionAndSeq(shard.set('a', '1')), [1, 1])
      assert.deepEqual(await versionAndSeq(shard.set('b', '1')), [2, 2])
      assert.deepEqual(await versionAndSeq(shard.set('a', '2')), [3, 3])
      assert.deepEqual(await versionAndSeq(shard.delete('b')), [0, 4])
      assert.deepEqual(await versionAndSeq(shard.done('a', { kind: 'get' })), [3, 4])
      assert.equal((await shard.record()).seq, 4)
    },
  },
  {
    name: 'a write that has nothing to do does not count',
    run: async (shard) => {
      await shard.set('k', 'one')
      const before = await shard.record()
      assert.equal((await shard.delete('absent')).applied, false)
      assert.equal((await shard.set('k', 'two', { ifVersion: 0 })).applied, false)
      assert.equal((await shard.delete('k', { ifVersion: 0 })).applied, false)
      assert.deepEqual(await shard.record(), before)
      assert.equal(await shard.get('k'), 'one')
    },
  },
  {
    name: 'ifVersion 0 creates, and never replaces',
    run: async (shard) => {
      const first = await shard.set('k', 'one', { ifVersion: 0 })
      assert.equal(first.applied, true)
      const second = await shard.set('k', 'two', { ifVersion: 0 })
      assert.deepEqual([second.applied, second.version], [false, first.version])
      await shard.delete('k')
      assert.equal((await shard.set('k', 'three', { ifVersion: 0 })).applied, true)
    },
  },
  {
    name: 'ifVersion replaces and deletes only what it names',
    run: async (shard) => {
      const first = await shard.set('k', 'one')
      const second = await shard.set('k', 'two', { ifVersion: first.version })
      assert.equal(second.applied, true)
      const late = await shard.set('k', 'three', { ifVersion: first.version })
      assert.deepEqual([late.applied, late.version], [false, second.version])
      assert.equal((await shard.delete('k', { ifVersion: first.version })).applied, false)
      assert.equal(await shard.get('k'), 'two')
      const gone = await shard.delete('k', { ifVersion: second.version })
      assert.deepEqual([gone.applied, gone.version], [true, 0])
      assert.equal(await shard.get('k'), undefined)
    },
  },
  {
    name: 'a key that was deleted and written again has another version',
    needs: untilSequence,
    run: async (shard) => {
      const first = await shard.set('k', 'same')
      await shard.delete('k')
      const second = await shard.set('k', 'same')
      assert.ok(second.version > first.version)
    },
  },
  {
    name: 'calls are answered in their order, and see those before them',
    run: async (shard) => {
      const set = (value: string) => ({ kind: 'set', value: bytes(value), expiresAt: 0 }) as const
      const answers = await shard.store.execute([
        shard.call('k', { kind: 'get' }),
        shard.call('k', set('one')),
        shard.call('k', { kind: 'get' }),
        shard.call('k', { kind: 'get' }, { epoch: 9 }),
        shard.call('other', set('two')),
        shard.call('k', { kind: 'delete' }),
        shard.call('k', { kind: 'has' }),
      ])
      assert.deepEqual(
        answers.map((it) => (it.ok ? it.applied : it.reason)),
        [false, true, true, 'elsewhere', true, true, false],
      )
    },
  },
  {
    name: 'no calls, no answers',
    run: async (shard) => assert.deepEqual(await shard.store.execute([]), []),
  },
  {
    name: 'of many that create the same key at once, one succeeds',
    run: async (shard) => {
      const writers = Array.from({ length: 20 }, (_, i) => shard.set('k', `writer ${i}`, { ifVersion: 0 }))
      const applied = (await Promise.all(writers)).flatMap((it, i) => (it.applied ? [`writer ${i}`] : []))
      assert.equal(applied.length, 1)
      assert.equal(await shard.get('k'), applied[0])
      assert.equal((await shard.record()).seq, 1)
    },
  },
  {
    name: 'segments count for themselves',
    needs: untilSequence,
    run: async (shard) => {
      await shard.store.found([4])
      await shard.set('a', '1')
      await shard.set('a', '2')
      assert.equal((await shard.set('b', '1', { segment: '#4' })).seq, 1)
      assert.equal((await shard.record()).seq, 2)
    },
  },
  {
    name: 'the store keeps its own copy of a value',
    run: async (shard) => {
      const value = bytes('before')
      const write = shard.done('k', { kind: 'set', value, expiresAt: 0 })
      await write
      value.fill(0)
      assert.equal(await shard.get('k'), 'before')
    },
  },
  {
    name: 'values are bytes: empty ones, all 256, a megabyte',
    needs: (supports) => supports.maxValueBytes < 1_000_000 && 'values are limited to less',
    run: async (shard) => {
      const values = [
        new Uint8Array(0),
        Uint8Array.from({ length: 256 }, (_, i) => i),
        new Uint8Array(1_000_000).fill(7),
      ]
      for (const [i, value] of values.entries())
        await shard.done(`v${i}`, { kind: 'set', value, expiresAt: 0 })
      for (const [i, value] of values.entries()) {
        const read = await shard.done(`v${i}`, { kind: 'get' })
        assert.ok(Buffer.from(value).equals(read.value!), `value ${i} came back changed`)
        assert.equal(read.applied, true)
      }
    },
  },
  {
    name: 'size counts keys and the bytes of their values',
    run: async (shard) => {
      await shard.set('a', 'four')
      await shard.set('b', 'sixsix')
      await shard.set('b', 'six')
      await shard.set('c', 'gone')
      await shard.delete('c')
      assert.deepEqual(await shard.store.size(), { keys: 2, bytes: 7 })
    },
  },
  {
    name: 'a call outside of the topology is an error and changes nothing',
    run: async (shard) => {
      const set = { kind: 'set', value: bytes('x'), expiresAt: 0 } as const
      const outside = { ...shard.call('k', set), segment: '#64' as const, bucketId: BINDING.buckets }
      await assert.rejects(shard.store.execute([shard.call('k', set), outside]), { code: 'INVALID_ARGUMENT' })
      assert.equal(await shard.get('k'), undefined)
    },
  },
]

async function versionAndSeq(answer: Promise<{ version: number; seq: number }>): Promise<[number, number]> {
  const { version, seq } = await answer
  return [version, seq]
}
