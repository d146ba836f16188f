import assert from 'node:assert/strict'
import { FOUNDING } from './founding'
import type { TopologyPromise } from './promise'

export const leasePromises: TopologyPromise[] = [
  {
    name: 'tickets grow, and no two callers draw the same',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const first = await topology.drawTicket()
      assert.ok(first >= 1)
      const drawn = await Promise.all(Array.from({ length: 30 }, () => topology.drawTicket()))
      assert.equal(new Set(drawn).size, 30)
      assert.ok(Math.min(...drawn) > first)
      assert.ok((await topology.drawTicket()) > Math.max(...drawn))
    },
  },
  {
    name: 'one holds the lease, and goes on holding it at the same term',
    run: async ({ topology, clock }) => {
      await topology.open(FOUNDING)
      const lease = (await topology.acquireLease('m1', 1000))!
      assert.equal(lease.holder, 'm1')
      assert.ok(lease.term >= 1)
      assert.equal(await topology.acquireLease('m2', 1000), undefined)
      assert.equal((await topology.acquireLease('m1', 1000))!.term, lease.term)
      await clock.advance(700)
      assert.equal(await topology.renewLease('m1', lease.term, 1000), true)
      await clock.advance(700)
      assert.equal(await topology.acquireLease('m2', 1000), undefined)
      assert.equal(await topology.renewLease('m2', lease.term, 1000), false)
      assert.equal(await topology.renewLease('m1', lease.term + 1, 1000), false)
    },
  },
  {
    name: 'an expired lease is lost, to another and to its holder: the term grows',
    run: async ({ topology, clock }) => {
      await topology.open(FOUNDING)
      const first = (await topology.acquireLease('m1', 1000))!
      await clock.advance(1000)
      assert.equal(await topology.renewLease('m1', first.term, 1000), false)
      const second = (await topology.acquireLease('m1', 1000))!
      assert.ok(second.term > first.term)
      await clock.advance(1000)
      const third = (await topology.acquireLease('m2', 1000))!
      assert.ok(third.term > second.term)
      assert.equal(await topology.renewLease('m1', second.term, 1000), false)
    },
  },
  {
    name: 'a released lease is free at once, and its term is never given again',
    run: async ({ topology }) => {
      await topology.open(FOUNDING)
      const first = (await topology.acquireLease('m1', 60_000))!
      await topology.releaseLease('m1', first.term + 1)
      await topology.releaseLease('m2', first.term)
      assert.equal(await topology.acquireLease('m2', 1000), undefined)
      await topology.releaseLease('m1', first.term)
      assert.equal(await topology.renewLease('m1', first.term, 1000), false)
      assert.ok((await topology.acquireLease('m1', 1000))!.term > first.term)
    },
  },
  {
    name: 'every holder has a higher term than all before, however the lease came free and whoever renewed meanwhile',
    run: async (made) => {
      await made.topology.open(FOUNDING)
      let last = 0
      for (let i = 0; i < 12; i++) {
        const { topology, clock } = made
        const lease = (await topology.acquireLease(`m${i % 3}`, 1000))!
        assert.ok(lease.term > last, `${lease.term} after ${last}`)
        assert.equal(await topology.renewLease(`m${i % 3}`, lease.term, 1000), true)
        last = lease.term
        if (i % 3 === 0) await topology.releaseLease(`m${i % 3}`, lease.term)
        else await clock.advance(1000)
        if (i % 3 === 1 && made.reopen) {
          await topology.close()
          made.topology = await made.reopen()
          await made.topology.open(FOUNDING)
        }
      }
    },
  },
  {
    name: 'a commit of an earlier term is not made',
    run: async ({ topology, clock }) => {
      await topology.open(FOUNDING)
      const first = (await topology.acquireLease('m1', 1000))!
      const assignments = [{ segment: '#0', shard: 'b', epoch: 2 }] as const
      assert.ok(await topology.commit({ expect: { term: first.term }, retain: [] }))
      await clock.advance(1000)
      const second = (await topology.acquireLease('m2', 1000))!
      assert.equal(await topology.commit({ expect: { term: first.term }, assignments }), undefined)
      assert.ok(await topology.commit({ expect: { term: second.term }, assignments }))
      await topology.releaseLease('m2', second.term)
      const late = [{ segment: '#0', shard: 'a', epoch: 3 }] as const
      assert.equal(await topology.commit({ expect: { term: second.term }, assignments: late }), undefined)
    },
  },
]
