import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { HashRing } from '../../src/placement/ring'
import { bucketSegment } from '../../src/placement/segment'
import { bucketsToTake, spread } from '../../src/router/spreading'

const shards = (...ids: string[]) => ids.map((id) => ({ id, weight: 1 }))
const count = (owners: readonly string[], id: string) => owners.filter((owner) => owner === id).length

describe('the buckets that a joining shard takes', () => {
  it('are those that a founding ring would have given it, where nothing has been moved', () => {
    const ring = new HashRing(shards('a', 'b', 'c'), { buckets: 512 })
    const owners = Array.from(ring.assignment(), (i) => ring.shards[i]!.id)
    const taken = bucketsToTake(owners, shards('a', 'b', 'c'), { id: 'd', weight: 1 })
    expect(taken).toEqual([...ring.add('d')].sort((a, b) => a - b))
  })

  it('are its share to within one, from those that have more than theirs, however uneven the start', () => {
    const random = seededRandom(3)
    for (let round = 0; round < 20; round++) {
      const owners = Array.from({ length: 300 }, () => 'abc'[Math.floor(3 * random() ** (1 + round / 5))]!)
      const weight = 1 + (round % 3)
      const taken = bucketsToTake(owners, shards('a', 'b', 'c'), { id: 'd', weight })
      expect(new Set(taken).size).toBe(taken.length)
      expect(taken.length).toBe(Math.round((300 * weight) / (3 + weight)))
      const after = owners.map((owner, bucket) => (taken.includes(bucket) ? 'd' : owner))
      const ideal = 300 / (3 + weight)
      for (const id of ['a', 'b', 'c'])
        if (count(after, id) < count(owners, id))
          expect(count(after, id)).toBeGreaterThanOrEqual(Math.floor(ideal) - 1)
    }
  })

  it('are none of a shard that takes no part', () => {
    const owners = Array.from({ length: 100 }, (_, i) => (i % 2 ? 'a' : 'draining'))
    const taken = bucketsToTake(owners, shards('a'), { id: 'd', weight: 1 })
    expect(taken.every((bucket) => owners[bucket] === 'a')).toBe(true)
  })
})

describe('the segments of a shard that is drained', () => {
  it('go one by one to whoever has fewest for its weight', () => {
    const segments = Array.from({ length: 60 }, (_, i) => bucketSegment(i))
    const others = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 2 },
    ]
    const held = new Map([
      ['a', 30],
      ['b', 30],
    ])
    const targets = [...spread(segments, others, held).values()]
    expect(30 + count(targets, 'a')).toBe(40)
    expect(30 + count(targets, 'b')).toBe(80)
  })
})
