import assert from 'node:assert/strict'
import type { AssignmentEntry, Founding, PlanEntry, Topology } from '../../topology-store'
import type { TopologyPromise } from './promise'

export const FOUNDING: Founding = {
  buckets: 8,
  seed: 7,
  shards: [
    { id: 'a', weight: 1 },
    { id: 'b', weight: 2 },
  ],
  owners: Int32Array.of(0, 1, 0, 1, 0, 1, 0, 1),
}

export function entriesOf({ assignments }: Topology): AssignmentEntry[] {
  return [...assignments]
}

/** A topology with its assignments written out, to be compared. */
function inFull(topology: Topology): object {
  return { ...topology, assignments: entriesOf(topology) }
}

export function plan(id: string): PlanEntry {
  return {
    id,
    moves: [
      { segment: '#0', to: 'b', from: 'a' },
      { segment: '{x}', to: 'b', from: '' },
    ],
    merges: ['{y}'],
    confidence: 0.75,
    reason: 'a "reason" with \u00e9, \u0000 and \n',
    startedAt: 1_700_000_000_000,
    retainMs: 60_000,
    verify: true,
    maxKeysPerSecond: Number.MAX_SAFE_INTEGER,
    maxBytesPerSecond: Number.POSITIVE_INFINITY,
    concurrency: 4,
    cancelled: false,
  }
}

export const foundingPromises: TopologyPromise[] = [
  {
    name: 'an empty store is founded, with what it was told',
    run: async ({ topology }) => {
      const found = await topology.open(FOUNDING)
      assert.deepEqual([found.buckets, found.seed, found.founded], [8, 7, false])
      assert.ok(found.id.length > 0)
      assert.deepEqual(found.shards, [
        { id: 'a', weight: 1, state: 'active', incarnation: '' },
        { id: 'b', weight: 2, state: 'active', incarnation: '' },
      ])
      assert.deepEqual(
        entriesOf(found).map((it) => [it.segment, it.shard, it.epoch]),
        [0, 1, 2, 3, 4, 5, 6, 7].map((bucketId) => [`#${bucketId}`, bucketId % 2 ? 'b' : 'a', 1]),
      )
      assert.deepEqual([found.plan, found.history, found.retained], [undefined, [], []])
      assert.equal(found.tagRule, undefined)
      // May be gone through again, and what is read is the same.
      assert.deepEqual(entriesOf(found), entriesOf(found))
      assert.deepEqual(inFull(await topology.read()), inFull(found))
    },
  },
  {
    name: 'who opens later is answered what stands, whatever it brings',
    run: async ({ topology }) => {
      const first = await topology.open(FOUNDING)
      await topology.commit({ founded: true, assignments: [{ segment: '#0', shard: 'b', epoch: 2 }] })
      const other = { buckets: 4, seed: 1, shards: [{ id: 'z', weight: 1 }], owners: new Int32Array(4) }
      const second = await topology.open(other)
      assert.deepEqual([second.id, second.buckets, second.seed, second.founded], [first.id, 8, 7, true])
      assert.deepEqual(entriesOf(second)[0], { segment: '#0', shard: 'b', epoch: 2 })
      assert.equal(second.revision, first.revision + 1)
      await topology.close()
    },
  },
  {
    name: 'a founding without owners founds nothing',
    run: async ({ topology }) => {
      const nothing = { buckets: 1, seed: 0, shards: [], owners: new Int32Array(1) }
      await assert.rejects(topology.open(nothing), { code: 'INVALID_ARGUMENT' })
      assert.equal((await topology.open(FOUNDING)).buckets, 8)
    },
  },
  {
    name: 'of many that found at once, one does',
    run: async ({ topology }) => {
      const all = await Promise.all(Array.from({ length: 6 }, () => topology.open(FOUNDING)))
      assert.equal(new Set(all.map((it) => it.id)).size, 1)
      assert.equal(new Set(all.map((it) => it.revision)).size, 1)
      for (const _ of all.slice(1)) await topology.close()
    },
  },
  {
    name: 'the rule by which keys get their tags is kept as it was told, at the founding or later',
    run: async ({ topology }) => {
      const tagRule = { fingerprint: 'f1', rules: ['cart:{u} -> user:{u}', 'a "quoted" {x} -> itself'] }
      const { revision } = await topology.open({ ...FOUNDING, tagRule })
      assert.deepEqual((await topology.read()).tagRule, tagRule)
      const later = { fingerprint: 'f2', rules: [] }
      await topology.commit({ tagRule: later })
      assert.deepEqual((await topology.read()).tagRule, later)
      assert.deepEqual(await topology.changesSince(revision), [{ revision: revision + 1, tagRule: later }])
    },
  },
  {
    name: 'what was read stays as it was, whatever is committed afterwards',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      await topology.commit({ assignments: [{ segment: '{x}', shard: 'a', epoch: 2 }] })
      const then = await topology.read()
      const before = inFull(then)
      await topology.commit({
        assignments: [
          { segment: '{x}', shard: 'b', epoch: 3 },
          { segment: '#1', shard: 'a', epoch: 2 },
          { segment: '{y}', shard: 'a', epoch: 2 },
        ],
        retain: [{ segment: '{x}', shard: 'a', epoch: 3, until: 5 }],
        plan: plan('p'),
      })
      assert.deepEqual(inFull(then), before)
    },
  },
  {
    name: 'several may open it, and each closes it for itself; then it says that it is closed',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      await topology.open(FOUNDING)
      await topology.close()
      assert.ok((await topology.drawTicket()) > 0)
      await topology.close()
      await topology.close()
      for (const attempt of [
        () => topology.read(),
        () => topology.drawTicket(),
        () => topology.commit({ founded: true }),
        () => topology.changesSince(1),
        () => topology.acquireLease('m', 1000),
      ])
        await assert.rejects(attempt, { code: 'CLOSED' })
    },
  },
  {
    name: 'everything survives a restart',
    needs: (supports) => !supports.durable && 'supports.durable is false',
    run: async (made) => {
      assert.ok(made.reopen, 'the factory of a durable topology gives reopen()')
      await made.topology.open(FOUNDING)
      const { revision } = await made.topology.read()
      await made.topology.commit({
        founded: true,
        assignments: [
          { segment: '#0', shard: 'a', epoch: 2 },
          { segment: '{x}', shard: 'b', epoch: 2 },
        ],
        plan: plan('p1'),
        retain: [{ segment: '#0', shard: 'a', epoch: 2, until: 5 }],
      })
      const ticket = await made.topology.drawTicket()
      const lease = await made.topology.acquireLease('m', 60_000)
      const before = inFull(await made.topology.read())
      const deltas = await made.topology.changesSince(revision)
      await made.topology.close()

      made.topology = await made.reopen()
      const after = await made.topology.open(FOUNDING)
      assert.deepEqual(inFull(after), before)
      assert.deepEqual(await made.topology.changesSince(revision), deltas)
      assert.ok((await made.topology.drawTicket()) > ticket)
      assert.equal(await made.topology.acquireLease('other', 1000), undefined)
      assert.equal(await made.topology.renewLease('m', lease!.term, 1000), true)
    },
  },
  {
    name: 'two processes see one topology, draw different tickets and share the lease',
    needs: (supports) => !supports.multiProcess && 'supports.multiProcess is false',
    run: async (made) => {
      assert.ok(made.beside, 'the factory of a topology for several processes gives beside()')
      const { id, revision } = await made.topology.open(FOUNDING)
      const other = await made.beside()
      assert.equal((await other.open(FOUNDING)).id, id)
      await made.topology.commit({ assignments: [{ segment: '#0', shard: 'b', epoch: 2 }] })
      assert.equal((await other.changesSince(revision))?.length, 1)
      const drawn = await Promise.all(
        [other, made.topology, other, made.topology].map((it) => it.drawTicket()),
      )
      assert.equal(new Set(drawn).size, 4)
      assert.ok(await other.acquireLease('other', 60_000))
      assert.equal(await made.topology.acquireLease('m', 60_000), undefined)
      await other.close()
    },
  },
]
