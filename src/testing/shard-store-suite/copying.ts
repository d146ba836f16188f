import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { arriving, text } from './shard-under-test'

const EXPORT = { step: 'export', epoch: 1, ticket: 5, peer: 'b' } as const
const TARGET = { role: 'target', ticket: 5 } as const

/** The data side of a handoff: change log, batches, sweeps and purges. */
export const copyPromises: Promised[] = [
  {
    name: 'changes come in the order of seq, one for a key, deletes included',
    run: async (shard) => {
      await shard.set('before', '1')
      await shard.takes('#3', EXPORT)
      await shard.set('a', '1')
      await shard.set('b', '1')
      await shard.set('a', '2')
      await shard.delete('before')
      await shard.set('c', '1', { ifVersion: 99 })
      const { changes, seq } = await shard.changes(5, 1)
      assert.deepEqual(
        changes.map((it) => [it.seq, it.key, it.entry && text(it.entry.value!)]),
        [
          [3, 'b', '1'],
          [4, 'a', '2'],
          [5, 'before', undefined],
        ],
      )
      assert.equal(seq, 5)
      assert.deepEqual(
        (await shard.changes(5, 3)).changes.map((it) => it.seq),
        [4, 5],
      )
      assert.deepEqual(
        (await shard.changes(5, 0, { limit: 2 })).changes.map((it) => it.seq),
        [3, 4],
      )
      assert.deepEqual((await shard.changes(5, 5)).changes, [])
    },
  },
  {
    name: 'a change comes with the entry as it is now, its version and expiry',
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      const expiresAt = shard.store.supports.ttl ? shard.clock.now() + 60_000 : 0
      const { version } = await shard.set('k', 'v', { tag: 't', expiresAt })
      const [change] = (await shard.changes(5, 0)).changes
      const { value, ...entry } = change!.entry!
      assert.deepEqual(entry, { key: 'k', tag: 't', version, expiresAt })
      assert.equal(text(value!), 'v')
    },
  },
  {
    name: 'changes can be paged while they go on: none is missed, the last of each key is seen',
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      for (let i = 0; i < 40; i++) await shard.set(`k${i % 15}`, `${i}`)
      const seen = new Map<string, string>()
      let after = 0
      for (let page = 0; ; page++) {
        const { changes, seq } = await shard.changes(5, after, { limit: 4 })
        if (changes.length === 0) {
          assert.ok(after <= seq)
          break
        }
        for (const change of changes) {
          assert.ok(change.seq > after, 'not in the order of seq')
          after = change.seq
          seen.set(change.key, text(change.entry!.value!))
        }
        if (page < 10) await shard.set(`k${page}`, `page ${page}`)
      }
      assert.deepEqual(Object.fromEntries(seen), await shard.contents())
    },
  },
  {
    name: 'another export starts an empty log; the old ticket reads nothing',
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      await shard.set('a', '1')
      await shard.takes('#3', { ...EXPORT, ticket: 6 })
      assert.deepEqual((await shard.changes(6, 0)).changes, [])
      await shard.set('b', '1')
      assert.deepEqual(
        (await shard.changes(6, 0)).changes.map((it) => it.key),
        ['b'],
      )
      assert.equal((await shard.store.changes({ ...shard.at(), ticket: 5, after: 0, limit: 9 })).ok, false)
      assert.equal((await shard.store.changes({ ...shard.at(), ticket: 0, after: 0, limit: 9 })).ok, false)
    },
  },
  {
    name: 'an owner that was activated keeps a trace: everything since its base, for the way back',
    run: async (shard) => {
      await shard.importing(5)
      await shard.ingest(5, 1, [arriving('a', '1')])
      await shard.takes('#5', { step: 'activate', proof: { shard: 'a', epoch: 2, ticket: 5, seq: 10 } })
      const named = { segment: '#5', epoch: 2 } as const
      await shard.set('b', '1', named)
      await shard.takes('#5', { step: 'export', epoch: 2, ticket: 6, peer: 'b' })
      await shard.takes('#5', { step: 'abort', epoch: 2, ticket: 6 })
      await shard.delete('a', named)
      const record = await shard.takes('#5', { step: 'export', epoch: 2, ticket: 7, peer: 'b' })
      assert.equal(record.base, 10)
      const { changes } = await shard.changes(7, record.base, { segment: '#5' })
      assert.deepEqual(
        changes.map((it) => [it.seq, it.key]),
        [
          [11, 'b'],
          [12, 'a'],
        ],
      )
    },
  },
  {
    name: 'batches are applied in their order, each once: a late duplicate undoes nothing',
    run: async (shard) => {
      await shard.importing(5)
      assert.equal((await shard.ingest(5, 2, [arriving('k', 'too early')])).ok, false)
      assert.equal(
        (await shard.ingest(5, 1, [arriving('k', '1', { version: 7 }), arriving('gone', '1')])).ok,
        true,
      )
      assert.equal(
        (await shard.ingest(5, 2, [arriving('k', '2', { version: 8 }), { key: 'gone', tag: 'gone' }])).ok,
        true,
      )
      assert.equal((await shard.ingest(5, 1, [arriving('k', '1'), arriving('gone', '1')])).ok, true)
      const entries = await shard.scan(TARGET, { segment: '#5' })
      assert.deepEqual(
        entries.map((it) => [it.key, text(it.value!), it.version]),
        [['k', '2', 8]],
      )
      assert.equal((await shard.record('#5')).nextBatch, 3)
    },
  },
  {
    name: 'the later change of a batch counts',
    run: async (shard) => {
      await shard.importing(5)
      await shard.ingest(5, 1, [
        arriving('k', '1'),
        { key: 'k', tag: 'k' },
        arriving('k', '2'),
        arriving('l', '1'),
        { key: 'l', tag: 'l' },
      ])
      assert.deepEqual(await shard.contents(TARGET, '#5'), { k: '2' })
    },
  },
  {
    name: 'batches of another ticket, another epoch, or before the sweep are refused',
    run: async (shard) => {
      await shard.takes('#5', { step: 'prepare', epoch: 1, ticket: 5 })
      assert.equal((await shard.ingest(5, 1, [arriving('k', 'unswept')])).ok, false)
      await shard.sweep('#5', 5)
      assert.equal((await shard.ingest(4, 1, [arriving('k', 'ticket')])).ok, false)
      const at = { ...shard.at('#5'), ticket: 5, batch: 1 }
      assert.equal(
        (await shard.store.ingest({ ...at, epoch: 2, changes: [arriving('k', 'epoch')] })).ok,
        false,
      )
      assert.equal((await shard.ingest(5, 1, [], '#3')).ok, false)
      assert.deepEqual(await shard.contents(TARGET, '#5'), {})
    },
  },
  {
    name: 'a batch with a key that cannot be kept changes nothing',
    run: async (shard) => {
      await shard.importing(5)
      const long = 'k'.repeat(shard.store.supports.maxKeyBytes + 1)
      await assert.rejects(shard.ingest(5, 1, [arriving('a', '1'), arriving(long, '1', { tag: 't' })]), {
        code: 'INVALID_KEY',
      })
      const digest = { key: 'b', tag: 'b', version: 1, expiresAt: 0, digest: 3 }
      await assert.rejects(shard.ingest(5, 1, [arriving('a', '1'), { key: 'b', tag: 'b', entry: digest }]), {
        code: 'INVALID_ARGUMENT',
      })
      assert.equal((await shard.record('#5')).nextBatch, 1)
      assert.deepEqual(await shard.contents(TARGET, '#5'), {})
    },
  },
  {
    name: 'what an import copied, and what it activated, is served with its versions',
    run: async (shard) => {
      await shard.importing(5)
      await shard.ingest(5, 1, [arriving('k', 'v', { version: 9 })])
      await shard.takes('#5', { step: 'activate', proof: { shard: 'a', epoch: 2, ticket: 5, seq: 30 } })
      const named = { segment: '#5', epoch: 2 } as const
      assert.equal((await shard.done('k', { kind: 'get' }, named)).version, 9)
      const { version, applied } = await shard.set('k', 'w', { ...named, ifVersion: 9 })
      assert.equal(applied, true)
      if (shard.store.supports.versions === 'sequence') assert.equal(version, 31)
    },
  },
  {
    name: 'a sweep deletes leftovers a few at a time, and only then batches are taken',
    run: async (shard) => {
      await shard.importing(5)
      await shard.ingest(
        5,
        1,
        Array.from({ length: 25 }, (_, i) => arriving(`k${i}`, 'leftover')),
      )
      await shard.takes('#5', { step: 'discard', ticket: 6 })
      await shard.takes('#5', { step: 'prepare', epoch: 1, ticket: 7 })
      const sweep = () => shard.store.erase({ ...shard.at('#5'), step: 'sweep', ticket: 7, limit: 10 })
      let deleted = 0
      for (let done = false; !done; ) {
        assert.equal((await shard.ingest(7, 1, [arriving('new', 'v')])).ok, false)
        const answer = await sweep()
        assert.ok(answer.ok && answer.deleted <= 10)
        deleted += answer.deleted
        done = answer.done
        assert.equal(answer.record.loading, done)
      }
      assert.equal(deleted, 25)
      assert.equal((await shard.ingest(7, 1, [arriving('new', 'v')])).ok, true)
      const late = await sweep()
      assert.deepEqual([late.ok && late.deleted, late.ok && late.done], [0, true])
      assert.equal(
        (await shard.store.erase({ ...shard.at('#5'), step: 'sweep', ticket: 5, limit: 10 })).ok,
        false,
      )
      assert.deepEqual(await shard.contents({ role: 'target', ticket: 7 }, '#5'), { new: 'v' })
    },
  },
  {
    name: 'a purge deletes what moved away, at its epoch only, and the record stays',
    run: async (shard) => {
      for (let i = 0; i < 12; i++) await shard.set(`k${i}`, 'v')
      const purge = (epoch: number) => shard.store.erase({ ...shard.at(), step: 'purge', epoch, limit: 5 })
      assert.equal((await purge(1)).ok, false)
      await shard.takes('#3', EXPORT)
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: 12 })
      assert.equal((await purge(1)).ok, false)
      assert.equal((await shard.record()).intact, true)
      const first = await purge(2)
      assert.ok(first.ok && first.deleted === 5 && !first.done && !first.record.intact)
      assert.equal(await shard.purge('#3', 2), 7)
      const { state, epoch, ticket, seq } = await shard.record()
      assert.deepEqual([state, epoch, ticket, seq], ['moved', 2, 5, 12])
      assert.equal((await shard.store.size()).keys, 0)
    },
  },
  {
    name: 'a purge of a bucket spares the tag that stayed behind',
    run: async (shard) => {
      await shard.set('x1', 'in x', { tag: 'x' })
      await shard.set('y1', 'in y', { tag: 'y' })
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      await shard.takes('#3', { step: 'export', epoch: 2, ticket: 3, peer: 'b' })
      await shard.takes('#3', { step: 'cutover', epoch: 2, ticket: 3, seq: 2 })
      assert.equal(await shard.purge('#3', 3), 1)
      assert.equal(await shard.get('x1', { segment: '{x}', epoch: 2, tag: 'x' }), 'in x')
      // And the sweep of the bucket that returns.
      await shard.takes('#3', { step: 'prepare', epoch: 3, ticket: 4, carved: ['x'] })
      assert.equal(await shard.sweep('#3', 4), 0)
      assert.equal(await shard.get('x1', { segment: '{x}', epoch: 2, tag: 'x' }), 'in x')
    },
  },
  {
    name: 'a purge of a tag deletes the tag alone, and nothing that its bucket governs again',
    run: async (shard) => {
      await shard.set('x1', 'in x', { tag: 'x' })
      await shard.set('y1', 'in y', { tag: 'y' })
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      await shard.takes('{x}', { step: 'export', epoch: 2, ticket: 3, peer: 'b' })
      await shard.takes('{x}', { step: 'cutover', epoch: 2, ticket: 3, seq: 2 })
      assert.equal(await shard.purge('{x}', 3), 1)
      assert.deepEqual(await shard.contents({ role: 'owner', epoch: 2 }), { y1: 'in y' })
      // It comes back, is merged, and a purge that was late arrives.
      await shard.takes('{x}', { step: 'prepare', epoch: 3, ticket: 4 })
      await shard.sweep('{x}', 4)
      await shard.store.ingest({
        ...shard.at('{x}'),
        epoch: 3,
        ticket: 4,
        batch: 1,
        changes: [arriving('x1', 'back', { tag: 'x' })],
      })
      await shard.takes('{x}', { step: 'activate', proof: { shard: 'a', epoch: 4, ticket: 4, seq: 3 } })
      await shard.takes('{x}', { step: 'merge', epoch: 2, ticket: 5 })
      assert.equal(await shard.purge('{x}', 3), 0)
      assert.deepEqual(await shard.contents({ role: 'owner', epoch: 5 }), { x1: 'back', y1: 'in y' })
    },
  },
  {
    name: 'retained data is the base of the way back: only the changes are sent',
    run: async (shard) => {
      await shard.set('a', '1')
      await shard.set('b', '1')
      await shard.takes('#3', EXPORT)
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: 2 })
      const back = await shard.takes('#3', { step: 'prepare', epoch: 2, ticket: 6, base: 2 })
      assert.deepEqual([back.kept, back.loading], [true, true])
      const changes = [arriving('b', '2'), { key: 'a', tag: 'a' }]
      const batch = { ...shard.at(), epoch: 2, ticket: 6, batch: 1, changes }
      assert.equal((await shard.store.ingest(batch)).ok, true)
      await shard.takes('#3', { step: 'activate', proof: { shard: 'a', epoch: 3, ticket: 6, seq: 4 } })
      assert.deepEqual(await shard.contents({ role: 'owner', epoch: 3 }), { b: '2' })
    },
  },
  {
    name: 'retained data that was purged in part, or is of another time, is no base',
    run: async (shard) => {
      await shard.set('a', '1')
      await shard.takes('#3', EXPORT)
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: 1 })
      const older = await shard.takes('#3', { step: 'prepare', epoch: 2, ticket: 6, base: 7 })
      assert.deepEqual([older.kept, older.loading], [false, false])
      assert.equal(await shard.sweep('#3', 6), 1)
    },
  },
]
