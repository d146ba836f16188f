import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { bytes, type ShardUnderTest } from './shard-under-test'

const EXPORT = { step: 'export', epoch: 1, ticket: 5, peer: 'b' } as const
const set = (value: string) => ({ kind: 'set', value: bytes(value), expiresAt: 0 }) as const

/** Exports bucket 3 with ticket 5 and moves it to b. */
async function moveAway(shard: ShardUnderTest): Promise<void> {
  await shard.takes('#3', EXPORT)
  const { seq } = await shard.record()
  await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq })
}

/** What is said to clients, and what the steps do that clients feel. The rows themselves: random-walk.ts. */
export const fencePromises: Promised[] = [
  {
    name: 'a bucket is founded once, and never again when it has a history',
    run: async (shard) => {
      await shard.set('k', 'v')
      await shard.store.found([3, 4])
      assert.equal((await shard.record()).seq, 1)
      assert.equal((await shard.record('#4')).state, 'owned')
      await shard.takes('#6', { step: 'discard', ticket: 2 })
      await moveAway(shard)
      await shard.store.found([3, 6])
      assert.equal((await shard.record()).state, 'moved')
      assert.equal((await shard.record('#6')).state, 'none')
    },
  },
  {
    name: 'fences lists what has a record here, buckets and tags',
    run: async (shard) => {
      await shard.store.found([4])
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 9 })
      const listed = await shard.store.fences()
      assert.deepEqual(
        listed.map((it) => [it.segment, it.bucketId, it.record.state, it.bucketTicket]).sort(),
        [
          ['#3', 3, 'owned', 9],
          ['#4', 4, 'owned', 0],
          ['{x}', 3, 'owned', 9],
        ],
      )
      const [unknown] = await shard.store.fences([shard.at('#7')])
      assert.deepEqual([unknown!.record.state, unknown!.record.epoch, unknown!.bucketTicket], ['none', 0, 0])
    },
  },
  {
    name: 'a segment that was never here is refused',
    run: async (shard) => {
      const refusal = await shard.refused('k', { kind: 'get' }, { segment: '#7' })
      assert.deepEqual(
        [refusal.reason, refusal.governs, refusal.record.state, refusal.record.epoch],
        ['elsewhere', '#7', 'none', 0],
      )
    },
  },
  {
    name: "an epoch that is not exactly the record's is refused, and told the record's; nothing is written",
    run: async (shard) => {
      await shard.set('k', 'v')
      for (const epoch of [0, 2, 100]) {
        const refusal = await shard.refused('k', set('other'), { epoch })
        assert.deepEqual([refusal.reason, refusal.governs], ['elsewhere', '#3'])
        assert.deepEqual(refusal.record, await shard.record())
        await shard.refused('k', { kind: 'delete' }, { epoch })
      }
      assert.equal(await shard.get('k'), 'v')
    },
  },
  {
    name: 'what moved is refused with the proof of its commit, and kept',
    run: async (shard) => {
      await shard.set('k', 'v')
      await moveAway(shard)
      const { governs, record } = await shard.refused('k', { kind: 'get' })
      assert.equal(governs, '#3')
      assert.deepEqual(
        [record.state, record.epoch, record.peer, record.ticket, record.seq, record.intact],
        ['moved', 2, 'b', 5, 1, true],
      )
      await shard.refused('k', { kind: 'get' }, { epoch: 2 })
      assert.equal((await shard.store.size()).keys, 1)
    },
  },
  {
    name: 'the cutover asks for the sequence number, and a write in between lets it fail without a trace',
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      const { seq } = await shard.set('k', 'v')
      await shard.set('k', 'w')
      await shard.refuses('#3', { step: 'cutover', epoch: 1, ticket: 5, seq })
      await shard.set('k', 'x')
      await shard.takes('#3', { step: 'cutover', epoch: 1, ticket: 5, seq: seq + 2 })
    },
  },
  {
    name: 'a hold answers writes with the time to wait, serves reads, and ends by itself, once per export',
    run: async (shard) => {
      await shard.set('k', 'v')
      await shard.takes('#3', EXPORT)
      await shard.takes('#3', { step: 'hold', epoch: 1, ticket: 5, durationMs: 1000 })
      await shard.clock.advance(400)
      const refusal = await shard.refused('k', set('w'))
      assert.equal(refusal.reason, 'held')
      assert.equal(refusal.governs, '#3')
      assert.ok(refusal.retryAfterMs > 0 && refusal.retryAfterMs <= 600)
      assert.equal((await shard.refused('k', { kind: 'delete' })).reason, 'held')
      assert.equal(await shard.get('k'), 'v')
      await shard.clock.advance(600)
      assert.equal((await shard.set('k', 'w')).applied, true)
      // The repetition is answered, and does not hold again.
      await shard.takes('#3', { step: 'hold', epoch: 1, ticket: 5, durationMs: 1000 })
      assert.equal((await shard.set('k', 'x')).applied, true)
    },
  },
  {
    name: 'an abort ends hold and export; whatever comes later with the old ticket is refused',
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      await shard.takes('#3', { step: 'hold', epoch: 1, ticket: 5, durationMs: 60_000 })
      await shard.takes('#3', { step: 'abort', epoch: 1, ticket: 6 })
      const { seq } = await shard.set('k', 'v')
      await shard.refuses('#3', { step: 'cutover', epoch: 1, ticket: 5, seq })
      await shard.refuses('#3', { step: 'hold', epoch: 1, ticket: 5, durationMs: 60_000 })
      await shard.refuses('#3', EXPORT)
      const { ok } = await shard.store.changes({ ...shard.at(), ticket: 5, after: 0, limit: 10 })
      assert.equal(ok, false)
    },
  },
  {
    name: "a ticket counts for the whole bucket: a split ends the bucket's export",
    run: async (shard) => {
      await shard.takes('#3', EXPORT)
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 6 })
      await shard.refuses('#3', { step: 'cutover', epoch: 2, ticket: 5, seq: 0 })
      await shard.refuses('{x}', { step: 'export', epoch: 2, ticket: 6, peer: 'b' })
      await shard.takes('{x}', { step: 'export', epoch: 2, ticket: 7, peer: 'b' })
      await shard.refuses('#3', { step: 'export', epoch: 2, ticket: 7, peer: 'b' })
    },
  },
  {
    name: 'a ticket is not forgotten when the state returns to none',
    run: async (shard) => {
      await shard.importing(5)
      await shard.takes('#5', { step: 'discard', ticket: 6 })
      await shard.refuses('#5', { step: 'prepare', epoch: 1, ticket: 5 })
      await shard.refuses('#5', { step: 'prepare', epoch: 1, ticket: 6 })
      await shard.takes('#5', { step: 'prepare', epoch: 1, ticket: 7 })
    },
  },
  {
    name: 'a tag that is carved out takes its keys along and goes on counting',
    run: async (shard) => {
      await shard.set('x1', 'in x', { tag: 'x' })
      const { seq } = await shard.set('y1', 'in y', { tag: 'y' })
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      const x = { segment: '{x}', epoch: 2, tag: 'x' } as const
      assert.equal(await shard.get('x1', x), 'in x')
      assert.equal((await shard.set('x1', 'more', x)).seq, seq + 1)
      assert.equal(await shard.get('y1', { epoch: 2, tag: 'y' }), 'in y')
      for (const epoch of [1, 2]) {
        const refusal = await shard.refused('x1', set('late'), { epoch, tag: 'x' })
        assert.equal(refusal.governs, '{x}')
        assert.equal(refusal.record.epoch, 2)
      }
      assert.equal((await shard.refused('y1', set('late'), { tag: 'y' })).governs, '#3')
      assert.equal(await shard.get('x1', x), 'more')
    },
  },
  {
    name: 'a tag that is merged is served by its bucket again, above every number used before',
    run: async (shard) => {
      await shard.takes('{x}', { step: 'split', epoch: 1, ticket: 2 })
      const x = { segment: '{x}', epoch: 2, tag: 'x' } as const
      await shard.set('x1', '1', x)
      const { seq } = await shard.set('x1', '2', x)
      await shard.takes('{x}', { step: 'merge', epoch: 2, ticket: 3 })
      assert.equal((await shard.refused('x1', set('late'), x)).governs, '#3')
      assert.equal(await shard.get('x1', { epoch: 3, tag: 'x' }), '2')
      assert.equal((await shard.set('x1', '3', { epoch: 3, tag: 'x' })).seq, seq + 1)
    },
  },
  {
    name: 'a proof activates the import that it fits, and the call that carries it is served',
    run: async (shard) => {
      await shard.importing(5)
      const proof = { shard: 'a', epoch: 2, ticket: 5, seq: 41 }
      const named = { segment: '#5', epoch: 2 } as const
      assert.equal((await shard.refused('k', { kind: 'get' }, named)).record.state, 'importing')
      for (const wrong of [
        { ...proof, ticket: 4 },
        { ...proof, epoch: 3 },
      ])
        assert.equal(
          (await shard.refused('k', set('v'), { ...named, proof: wrong })).record.state,
          'importing',
        )
      assert.equal((await shard.done('k', { kind: 'get' }, { ...named, proof })).seq, 41)
      // Shown again it changes nothing.
      assert.equal((await shard.done('k', set('v'), { ...named, proof })).seq, 42)
      assert.equal((await shard.done('k', { kind: 'has' }, { ...named, proof })).seq, 42)
    },
  },
  {
    name: 'steps that carry or delete data are not taken by step',
    run: async (shard) => {
      for (const command of [
        { step: 'sweep', ticket: 1, empty: true },
        { step: 'purge', epoch: 1 },
        { step: 'ingest', epoch: 1, ticket: 1, batch: 1 },
      ] as const)
        await assert.rejects(shard.step('#3', command), { code: 'INVALID_ARGUMENT' })
    },
  },
]
