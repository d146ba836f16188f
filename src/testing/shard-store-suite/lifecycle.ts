import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { arriving, BINDING, ShardUnderTest } from './shard-under-test'

export const lifecyclePromises: Promised[] = [
  {
    name: 'a store of another shard, topology or bucket count refuses, and names what differs',
    run: async (shard) => {
      const binding = { ...BINDING, clock: shard.bindingClock }
      const { incarnation } = await shard.store.open(binding)
      assert.ok(incarnation.length > 0)
      for (const [field, other] of [
        ['topologyId', { ...binding, topologyId: 'other' }],
        ['shard', { ...binding, shard: 'other' }],
        ['buckets', { ...binding, buckets: 128 }],
      ] as const)
        await assert.rejects(shard.store.open(other), (error: { code: string; message: string }) => {
          assert.equal(error.code, 'SHARD_MISMATCH')
          assert.ok(error.message.includes(field), error.message)
          return true
        })
      assert.deepEqual(await shard.store.open(binding), { incarnation })
      await shard.store.close()
      await shard.store.close()
      await shard.set('k', 'v')
    },
  },
  {
    name: 'several may open a store, and each closes it for itself alone',
    run: async (shard) => {
      await shard.store.open({ ...BINDING, clock: shard.bindingClock })
      await shard.set('k', 'v')
      await shard.store.close()
      assert.equal(await shard.get('k'), 'v')
    },
  },
  {
    name: 'a closed store says that it is closed; closing it again is nothing',
    run: async (shard) => {
      await shard.set('k', 'v')
      await shard.store.close()
      await shard.store.close()
      for (const attempt of [
        () => shard.get('k'),
        () => shard.set('k', 'w'),
        () => shard.record(),
        () => shard.scan({ role: 'owner', epoch: 1 }),
        () => shard.store.size(),
      ])
        await assert.rejects(attempt, { code: 'CLOSED' })
    },
  },
  {
    name: 'data, fences, tickets, logs and batches survive a restart, under the same incarnation',
    needs: (supports) => !supports.durable && 'supports.durable is false',
    run: async (shard, made) => {
      assert.ok(made.reopen, 'the factory of a durable store gives reopen()')
      const binding = { ...BINDING, clock: shard.bindingClock }
      const { incarnation } = await shard.store.open(binding)
      await shard.store.close()
      await shard.set('a', '1')
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      await shard.takes('#3', { step: 'export', epoch: 2, ticket: 3, peer: 'b' })
      await shard.set('b', '1', { epoch: 2 })
      await shard.delete('a', { epoch: 2 })
      await shard.importing(4)
      await shard.ingest(4, 1, [arriving('c', '1')])
      const fences = await shard.store.fences()
      const { changes } = await shard.changes(3, 0)
      await shard.store.close()

      const again = new ShardUnderTest(await made.reopen(), shard.clock)
      shard.store = again.store
      assert.deepEqual(await again.store.open(binding), { incarnation })
      assert.deepEqual(await again.store.fences(), fences)
      assert.deepEqual((await again.changes(3, 0)).changes, changes)
      assert.deepEqual(await again.contents({ role: 'owner', epoch: 2 }), { b: '1' })
      assert.equal((await again.ingest(4, 1, [arriving('c', 'late duplicate')])).ok, true)
      assert.deepEqual(await again.contents({ role: 'target', ticket: 4 }, '#5'), { c: '1' })
      await again.refuses('#3', { step: 'export', epoch: 2, ticket: 2, peer: 'b' })
      await assert.rejects(again.store.open({ ...binding, shard: 'other' }), { code: 'SHARD_MISMATCH' })
    },
  },
]
