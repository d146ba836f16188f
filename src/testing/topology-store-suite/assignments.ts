import assert from 'node:assert/strict'
import type { AssignmentEntry, TopologyDelta, TopologyStore } from '../../topology-store'
import { entriesOf, FOUNDING, plan } from './founding'
import type { TopologyPromise } from './promise'

async function assigned(topology: TopologyStore): Promise<Record<string, string>> {
  return Object.fromEntries(
    entriesOf(await topology.read()).map((it) => [it.segment, `${it.shard} @ ${it.epoch}`]),
  )
}

const entry = (
  segment: AssignmentEntry['segment'],
  shard: string | undefined,
  epoch: number,
): AssignmentEntry => ({
  segment,
  shard,
  epoch,
})

export const assignmentPromises: TopologyPromise[] = [
  {
    name: 'a commit answers its revision, and its delta tells exactly what changed',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      assert.deepEqual(await topology.changesSince(revision), [])
      const assignments = [entry('#0', 'b', 2)]
      assert.equal(await topology.commit({ assignments }), revision + 1)
      assert.equal(await topology.commit({ founded: true, plan: plan('p') }), revision + 2)
      assert.deepEqual(await topology.changesSince(revision), [
        { revision: revision + 1, assignments },
        { revision: revision + 2, founded: true, plan: plan('p') },
      ])
      assert.equal((await topology.changesSince(revision + 1))?.length, 1)
    },
  },
  {
    name: 'a revision that nobody can know of is answered by undefined',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      assert.equal(await topology.changesSince(revision + 5), undefined)
      assert.equal(await topology.changesSince(-100), undefined)
    },
  },
  {
    name: 'whoever fell far behind reads it in full again; the others read deltas without a gap',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      let last = revision
      for (let epoch = 2; epoch < 400; epoch++)
        last = (await topology.commit({ assignments: [entry('#1', epoch % 2 ? 'a' : 'b', epoch)] }))!
      const deltas = await topology.changesSince(last - 50)
      assert.deepEqual(
        deltas?.map((it) => it.revision),
        Array.from({ length: 50 }, (_, i) => last - 49 + i),
      )
      const all = await topology.changesSince(revision)
      if (all) assert.deepEqual([all[0]!.revision, all.length], [revision + 1, last - revision])
    },
  },
  {
    name: 'a late publication has no effect, and is not told',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      await topology.commit({ assignments: [entry('#0', 'b', 3)] })
      await topology.commit({ assignments: [entry('#0', 'a', 2), entry('#2', 'b', 2), entry('#0', 'a', 3)] })
      assert.equal((await assigned(topology))['#0'], 'b @ 3')
      assert.equal((await assigned(topology))['#2'], 'b @ 2')
      const deltas = await topology.changesSince(revision + 1)
      assert.deepEqual(
        deltas?.flatMap((it) => it.assignments),
        [entry('#2', 'b', 2)],
      )
    },
  },
  {
    name: 'a tag is carved out, moved, and merged back; what comes late from its first life stays late',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      await topology.commit({ assignments: [entry('#0', 'a', 2), entry('{x}', 'a', 2)] })
      await topology.commit({ assignments: [entry('{x}', 'b', 3)] })
      await topology.commit({ assignments: [entry('{x}', 'a', 4)] })
      assert.equal((await assigned(topology))['{x}'], 'a @ 4')
      await topology.commit({ assignments: [entry('#0', 'a', 5), entry('{x}', undefined, 5)] })
      const buckets = await assigned(topology)
      assert.equal(buckets['{x}'], undefined)
      assert.equal(buckets['#0'], 'a @ 5')
      for (const epoch of [2, 3, 4, 5]) await topology.commit({ assignments: [entry('{x}', 'b', epoch)] })
      assert.deepEqual(await assigned(topology), buckets)
      // Its second life begins above.
      await topology.commit({ assignments: [entry('#0', 'a', 6), entry('{x}', 'a', 6)] })
      assert.equal((await assigned(topology))['{x}'], 'a @ 6')
      // A merge that comes late ends nothing.
      await topology.commit({ assignments: [entry('{x}', undefined, 5)] })
      assert.equal((await assigned(topology))['{x}'], 'a @ 6')
    },
  },
  {
    name: 'a carving that is published after its bucket went on is not lost',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      await topology.commit({ assignments: [entry('#0', 'b', 3)] })
      await topology.commit({ assignments: [entry('#0', 'a', 2), entry('{x}', 'a', 2)] })
      const now = await assigned(topology)
      assert.deepEqual([now['#0'], now['{x}']], ['b @ 3', 'a @ 2'])
    },
  },
  {
    name: 'tags are kept as given, buckets come before them',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const tags = [
        '__proto__',
        'constructor',
        'caf\u00e9',
        'cafe\u0301',
        '#1',
        'a}b{',
        '"',
        ' ',
        '\u{1f4a5}',
        't'.repeat(2000),
      ]
      await topology.commit({ assignments: tags.map((tag) => entry(`{${tag}}`, 'a', 2)) })
      const assignments = entriesOf(await topology.read())
      assert.deepEqual(
        assignments.slice(0, 8).map((it) => it.segment),
        [0, 1, 2, 3, 4, 5, 6, 7].map((bucketId) => `#${bucketId}`),
      )
      assert.deepEqual(
        assignments
          .slice(8)
          .map((it) => it.segment)
          .sort(),
        tags.map((tag) => `{${tag}}`).sort(),
      )
    },
  },
  {
    name: 'a change that expects what is not so is not made',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      const assignments = [entry('#0', 'b', 2)]
      assert.equal(await topology.commit({ expect: { revision: revision + 1 }, assignments }), undefined)
      assert.equal(await topology.commit({ expect: { plan: 'p' }, assignments }), undefined)
      assert.equal(await topology.commit({ expect: { term: 1 }, assignments }), undefined)
      assert.deepEqual(await topology.changesSince(revision), [])
      assert.equal(await topology.commit({ expect: { revision, plan: null }, plan: plan('p') }), revision + 1)
      assert.equal(await topology.commit({ expect: { plan: null }, plan: plan('q') }), undefined)
      assert.equal(await topology.commit({ expect: { plan: 'p' }, assignments }), revision + 2)
    },
  },
  {
    name: 'of many that expect the same revision, one succeeds',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      const commits = Array.from({ length: 8 }, (_, i) =>
        topology.commit({ expect: { revision }, plan: plan(`p${i}`) }),
      )
      const made = (await Promise.all(commits)).flatMap((it, i) => (it === undefined ? [] : [`p${i}`]))
      assert.equal(made.length, 1)
      assert.equal((await topology.read()).plan?.id, made[0])
    },
  },
  {
    name: 'a change that no reader could follow is an error, and nothing of it is made',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      const good = entry('#0', 'b', 2)
      for (const [code, bad] of [
        ['INVALID_ARGUMENT', entry('#8', 'b', 2)],
        ['INVALID_ARGUMENT', entry('bucket' as '#1', 'b', 2)],
        ['INVALID_ARGUMENT', entry('#1', 'b', 1.5)],
        ['INVALID_ARGUMENT', entry('#1', undefined, 2)],
        ['UNKNOWN_SHARD', entry('#1', 'nobody', 2)],
      ] as const)
        await assert.rejects(topology.commit({ assignments: [good, bad] }), { code })
      assert.equal((await topology.read()).revision, revision)
      assert.equal((await assigned(topology))['#0'], 'a @ 1')
    },
  },
  {
    name: 'a change that a watcher is told is the one that was committed, and one message is enough for it',
    run: async ({ topology, clock }) => {
      const { revision } = await topology.open(FOUNDING)
      const told: (TopologyDelta | undefined)[] = []
      const stop = topology.watch((delta) => told.push(delta))
      // A watcher's connection may take a moment to stand.
      await clock.advance(2000)
      await topology.commit({ assignments: [entry('#0', 'b', 2), entry('{x}', 'b', 2)] })
      await topology.commit({ assignments: [entry('#0', 'b', 3), entry('{x}', undefined, 3)] })
      await topology.commit({ assignments: [entry('#0', 'a', 1), entry('#2', 'b', 2)], plan: plan('p') })
      await clock.advance(2000)
      stop()
      const committed = new Map((await topology.changesSince(revision))!.map((it) => [it.revision, it]))
      assert.ok(told.length > 0 && told.length <= committed.size, `was told ${told.length} times`)
      for (const delta of told) if (delta) assert.deepEqual(delta, committed.get(delta.revision))
    },
  },
  {
    name: 'a change of thousands of assignments is one change, taken as a whole',
    run: async ({ topology }) => {
      const { revision } = await topology.open(FOUNDING)
      const tags = Array.from({ length: 3000 }, (_, i) => entry(`{user:${i}}`, i % 2 ? 'a' : 'b', 2))
      assert.equal(await topology.commit({ assignments: tags }), revision + 1)
      const read = entriesOf(await topology.read())
      assert.equal(read.length, FOUNDING.buckets + tags.length)
      const known = new Map(read.map((it) => [it.segment, it]))
      for (const tag of tags) assert.deepEqual(known.get(tag.segment), tag)
      assert.deepEqual(await topology.changesSince(revision), [{ revision: revision + 1, assignments: tags }])
    },
  },
  {
    name: 'whoever reads while others commit reads what stood at one revision',
    run: async ({ topology, clock }) => {
      await topology.open(FOUNDING)
      const tags = Array.from({ length: 2500 }, (_, i) => entry(`{t${i}}`, 'a', 2))
      await topology.commit({ assignments: tags })
      // All of them move together, then half of them are merged and the others move back: no reader sees a part.
      let done = false
      const writing = (async () => {
        for (let epoch = 3; epoch < 12; epoch++)
          await topology.commit({
            assignments: tags.map((it) => ({ ...it, shard: 'ab'[epoch % 2]!, epoch })),
          })
        await topology.commit({
          assignments: tags.map((it, i) => ({ ...it, shard: i % 2 ? undefined : 'b', epoch: 12 })),
        })
        done = true
      })()
      for (let last = false; !last; ) {
        last = done
        await clock.advance(1)
        const carved = entriesOf(await topology.read()).slice(FOUNDING.buckets)
        assert.equal(new Set(carved.map((it) => `${it.shard} @ ${it.epoch}`)).size, 1)
        assert.equal(carved.length, carved[0]!.epoch === 12 ? tags.length / 2 : tags.length)
      }
      await writing
    },
  },
  {
    name: 'whoever watches is told after a change, until it no longer watches',
    run: async ({ topology, clock }) => {
      await topology.open(FOUNDING)
      let told = 0
      const stop = topology.watch(() => told++)
      await topology.commit({ assignments: [entry('#0', 'b', 2)] })
      await clock.advance(2000)
      assert.ok(told > 0)
      stop()
      const before = told
      await topology.commit({ assignments: [entry('#0', 'a', 3)] })
      await clock.advance(2000)
      assert.equal(told, before)
    },
  },
]
