import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HashRing, naturalOrder } from '../../src/placement/ring'

const names = (n: number) => Array.from({ length: n }, (_, i) => `s${i}`)

function countBy(ring: HashRing): number[] {
  const counts = new Array<number>(ring.shards.length).fill(0)
  for (const owner of ring.assignment()) counts[owner]!++
  return counts
}

describe('the ring', () => {
  it('spreads buckets evenly: max/mean at most 1.01 from 1 to 64 shards', () => {
    for (const n of [1, 2, 3, 5, 8, 13, 31, 64]) {
      const counts = countBy(new HashRing(names(n)))
      expect(Math.max(...counts) / (16384 / n)).toBeLessThanOrEqual(1.01)
    }
  })

  it('respects weights to within one bucket', () => {
    const weights = [1, 2, 5, 0.5]
    const ring = new HashRing(weights.map((weight, i) => ({ id: `s${i}`, weight })))
    const total = weights.reduce((a, b) => a + b)
    countBy(ring).forEach((count, i) => {
      expect(Math.abs(count - (16384 * weights[i]!) / total)).toBeLessThanOrEqual(1.5)
    })
  })

  it('gives a joining shard 1/(n+1) of the buckets, and moves none between old shards', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.string({ minLength: 1, maxLength: 8 }), (n, suffix) => {
        const ring = new HashRing(names(n))
        const before = ring.assignment()
        const id = `new-${suffix.replace(/[^a-z0-9]/gi, '_')}`
        const taken = ring.add(id)
        const after = ring.assignment()
        let moved = 0
        for (let b = 0; b < before.length; b++) {
          if (before[b] === after[b]) continue
          moved++
          expect(ring.shards[after[b]!]!.id).toBe(id)
        }
        expect(moved).toBe(taken.length)
        expect(Math.abs(moved / 16384 - 1 / (n + 1))).toBeLessThan(0.0005)
      }),
      { numRuns: 40, seed: 5 },
    )
  })

  it('is the same whatever the order in which shards are named', () => {
    const ids = names(12)
    const a = new HashRing(ids)
    const b = new HashRing([...ids].reverse())
    expect(b.shards).toEqual(a.shards)
    expect(b.assignment()).toEqual(a.assignment())
  })

  it('grows from n named shards to n+1 named shards as by joining', () => {
    const grown = new HashRing(names(10))
    grown.add('s10')
    expect(new HashRing(names(11)).assignment()).toEqual(grown.assignment())
  })

  it('is the same in every process: a sample of the assignment is pinned', () => {
    const ring = new HashRing(['a', 'b', 'c', 'd'], { buckets: 32 })
    expect(
      Array.from({ length: 32 }, (_, bucket) => ring.shardOfBucket(bucket)).join(''),
    ).toMatchInlineSnapshot(`"bcabaaabcddcdbdcaabbbbcdddcccaad"`)
  })

  it('works with more shards than buckets', () => {
    const counts = countBy(new HashRing(names(20), { buckets: 16 }))
    expect(Math.max(...counts)).toBe(1)
  })

  it.each([
    [() => new HashRing(['a', 'a']), 'shards[1]'],
    [() => new HashRing(['']), 'shards[0]'],
    [() => new HashRing(['__proto__']), 'shards[0]'],
    [() => new HashRing([{ id: 'a', weight: 0 }]), 'shards[0].weight'],
    [() => new HashRing([{ id: 'a', weight: Number.NaN }]), 'shards[0].weight'],
    [() => new HashRing(['a'], { buckets: 1.5 }), 'buckets'],
    [() => new HashRing().shardOf('x'), 'shards'],
  ])('refuses what makes no ring, naming the field: %s', (make, field) => {
    expect(make).toThrow(expect.objectContaining({ field }))
  })
})

describe('natural order', () => {
  it('compares the numbers inside names as numbers', () => {
    expect(['s10', 's9', 's1', 'r2', 's01'].sort(naturalOrder)).toEqual(['r2', 's01', 's1', 's9', 's10'])
  })
})
