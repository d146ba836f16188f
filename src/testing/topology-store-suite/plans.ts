import assert from 'node:assert/strict'
import type { HistoryEntry } from '../../topology-store'
import { FOUNDING, plan } from './founding'
import type { TopologyPromise } from './promise'

const finished = (id: string): HistoryEntry => ({
  id,
  at: 1_700_000_000_000,
  confidence: 0.5,
  reason: 'why',
  before: [['#0', 'a']],
  carved: ['{x}'],
  merged: [['{y}', 'b']],
})

export const planPromises: TopologyPromise[] = [
  {
    name: 'a plan is kept in full, replaced, and ended',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      await topology.commit({ plan: plan('p') })
      assert.deepEqual((await topology.read()).plan, plan('p'))
      await topology.commit({ expect: { plan: 'p' }, plan: { ...plan('p'), cancelled: true } })
      assert.equal((await topology.read()).plan?.cancelled, true)
      await topology.commit({ expect: { plan: 'p' }, plan: null, history: [finished('p')] })
      const { plan: ended, history } = await topology.read()
      assert.equal(ended, undefined)
      assert.deepEqual(history, [finished('p')])
    },
  },
  {
    name: 'the end of a plan is told as null',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const revision = (await topology.commit({ plan: plan('p') }))!
      await topology.commit({ plan: null })
      assert.deepEqual(await topology.changesSince(revision), [{ revision: revision + 1, plan: null }])
    },
  },
  {
    name: 'history is kept oldest first, and bounded',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      for (let i = 0; i < 100; i++) await topology.commit({ history: [finished(`p${i}`)] })
      const { history } = await topology.read()
      assert.ok(history.length >= 10 && history.length < 100, `${history.length} are kept`)
      assert.deepEqual(
        history.map((it) => it.id),
        Array.from({ length: history.length }, (_, i) => `p${100 - history.length + i}`),
      )
    },
  },
  {
    name: 'what is retained is listed until it is released',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const first = { segment: '#0', shard: 'a', epoch: 2, until: 5000 } as const
      const second = { segment: '#0', shard: 'b', epoch: 3, until: 6000 } as const
      await topology.commit({ retain: [first] })
      await topology.commit({ retain: [second] })
      await topology.commit({ retain: [{ ...first, until: 7000 }] })
      assert.deepEqual((await topology.read()).retained.map((it) => [it.shard, it.until]).sort(), [
        ['a', 7000],
        ['b', 6000],
      ])
      await topology.commit({ release: [{ segment: '#0', shard: 'b', epoch: 2 }] })
      assert.equal((await topology.read()).retained.length, 2)
      await topology.commit({ release: [{ segment: '#0', shard: 'b', epoch: 3 }] })
      assert.deepEqual((await topology.read()).retained, [{ ...first, until: 7000 }])
    },
  },
  {
    name: 'a plan of thousands of moves is kept, ended and remembered in full, and so is what it leaves behind',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const tags = Array.from({ length: 4000 }, (_, i) => `{user:${i}}` as const)
      const large = { ...plan('p'), moves: tags.map((segment) => ({ segment, to: 'b', from: 'a' })) }
      await topology.commit({ plan: large })
      assert.deepEqual((await topology.read()).plan, large)
      const retain = tags.map((segment, i) => ({ segment, shard: 'a', epoch: 2, until: i }))
      for (let i = 0; i < retain.length; i += 1000)
        await topology.commit({ expect: { plan: 'p' }, retain: retain.slice(i, i + 1000) })
      const entry = { ...finished('p'), before: tags.map((segment) => [segment, 'a'] as const) }
      await topology.commit({ expect: { plan: 'p' }, plan: null, history: [entry] })
      const after = await topology.read()
      assert.deepEqual([after.plan, after.history], [undefined, [entry]])
      assert.deepEqual(
        after.retained.toSorted((a, b) => a.until - b.until),
        retain,
      )
      await topology.commit({ release: retain.slice(0, 2000) })
      const left = (await topology.read()).retained
      assert.deepEqual([left.length, left.every((it) => it.until >= 2000)], [2000, true])
    },
  },
  {
    name: 'shards join, drain and leave',
    run: async ({ topology }) => {
      const { shards } = await topology.open(FOUNDING)
      const joined = { id: 'c', weight: 0.5, state: 'active', incarnation: 'run 1' } as const
      const draining = { ...shards[0]!, state: 'draining' } as const
      await topology.commit({ shards: [draining, shards[1]!, joined] })
      assert.deepEqual((await topology.read()).shards, [draining, shards[1], joined])
      await topology.commit({ assignments: [{ segment: '#0', shard: 'c', epoch: 2 }] })
      await topology.commit({ shards: [shards[1]!, joined] })
      assert.deepEqual((await topology.read()).shards, [shards[1], joined])
    },
  },
  {
    name: "what was committed is the store's own: a caller may go on using what it gave",
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const moves = [{ segment: '#0', to: 'b', from: 'a' }] as const
      const given = { ...plan('p'), moves: [...moves] }
      await topology.commit({ plan: given })
      given.moves.length = 0
      assert.deepEqual((await topology.read()).plan?.moves, moves)
    },
  },
]
