import { describe, expect, it } from 'vitest'
import { Placement } from '../../src/placement/assignment'
import { FoundingMap, TaggedMap } from '../../src/placement/founding-map'
import type { SegmentId } from '../../src/placement/segment'
import { errorOf, inVirtualTime } from './harness'

const schema = {
  entities: [
    { name: 'user', key: 'user:{u}', tag: 'u' },
    { name: 'cart', key: 'cart:{u}:{i}', tag: 'u' },
  ],
}
const relationships = [{ from: 'cart', to: 'user', on: 'u' }]
const examples = new Map([['cart:1:2', 'user:1']])
const assignments = new TaggedMap([['{user:1}', 'b']], examples)

describe('a map that was made for a schema', () => {
  it(
    'is refused by a router that tags keys otherwise, with the cure, before anything is changed',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const error = await errorOf(router.requestResharding(1, assignments))
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'map' })
      expect(error.message).toContain('open a new topology with that schema')
      expect([...router.placement.carvedTags]).toEqual([])
      expect((await h.topology.read()).plan).toBeUndefined()
    }),
  )

  it(
    'is carried out by a router that was opened with it',
    inVirtualTime(async (h) => {
      const router = await h.open({ schema, relationships })
      await router.set('cart:1:2', 'milk')
      const resharding = await router.requestResharding(1, assignments)
      expect(resharding.accepted && (await resharding.done).outcome).toBe('done')
      expect(router.getShardLocation('cart:1:never-seen')).toBe('b')
      expect(await router.get('cart:1:2')).toBe('milk')
    }),
  )

  it(
    'is taken over by a plan for a new topology; to a running one it is the moves beside it',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const [segment, to] = ['#3' as SegmentId, router.placement.shardOf('#3') === 'b' ? 'c' : 'b']
      const map = new FoundingMap([[segment, to]], { schema, relationships, assignments })

      const plan = Placement.initial({ shards: ['a', 'b', 'c'], buckets: 8 }).with(map)
      expect(plan.locate('cart:1:2')).toMatchObject({ shard: 'b', segment: '{user:1}' })

      const resharding = await router.requestResharding(1, map)
      expect(resharding.accepted && (await resharding.done).outcome).toBe('done')
      expect(router.placement.shardOf(segment)).toBe(to)
      expect(router.placement.tagOf('cart:1:2')).toBe('cart:1:2')
      expect(() => router.placement.tagged(schema)).toThrow(/found a new topology/)
    }),
  )
})
