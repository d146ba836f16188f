import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../src/errors'
import { Placement } from '../../src/placement/assignment'
import type { SegmentId } from '../../src/placement/segment'

const shards = ['a', 'b', 'c']

describe('a placement', () => {
  const placement = Placement.initial({ shards })

  it('locates a key by its tag: keys with one tag share segment and shard', () => {
    const one = placement.locate('{user:42}:profile')
    expect(placement.locate('{user:42}:cart')).toEqual(one)
    expect(one.segment).toBe(`#${one.bucketId}`)
    expect(one.epoch).toBe(1)
    expect(placement.segmentOf('{user:42}:x')).toBe(one.segment)
    expect(placement.shardOf(one.segment)).toBe(one.shard)
  })

  it('has 16,384 buckets unless told otherwise', () => {
    expect(placement.buckets).toBe(16_384)
    expect(Placement.initial({ shards, buckets: 64 }).buckets).toBe(64)
  })

  it('spreads the same keys over other buckets with another seed', () => {
    const seeded = Placement.initial({ shards, seed: 99 })
    const same = Array.from({ length: 200 }, (_, i) => `k${i}`).filter(
      (key) => seeded.locate(key).bucketId === placement.locate(key).bucketId,
    )
    expect(same.length).toBeLessThan(5)
  })

  it('moves a bucket with its keys, one epoch on, and leaves the placement before untouched', () => {
    const { bucketId, shard } = placement.locate('k')
    const to = shards.find((s) => s !== shard)!
    const next = placement.with(new Map([[`#${bucketId}` as SegmentId, to]]))
    expect(next.locate('k')).toEqual({ shard: to, segment: `#${bucketId}`, bucketId, epoch: 2 })
    expect(placement.locate('k').shard).toBe(shard)
  })

  it('carves a tag out of its bucket, and moves it without the rest of the bucket', () => {
    const { bucketId, shard } = placement.locate('{hot}:1')
    const to = shards.find((s) => s !== shard)!
    const next = placement.with(new Map([['{hot}' as SegmentId, to]]))
    expect(next.locate('{hot}:1')).toEqual({ shard: to, segment: '{hot}', bucketId, epoch: 3 })
    expect(next.shardOf(`#${bucketId}`)).toBe(shard)
    expect(next.isCarved('hot')).toBe(true)
    expect([...next.segments()]).toHaveLength(16_385)
  })

  it('takes a bucket and its tags in one map', () => {
    const { bucketId } = placement.locate('{hot}:1')
    const next = placement.with(
      new Map<SegmentId, string>([
        [`#${bucketId}`, 'a'],
        ['{hot}', 'b'],
      ]),
    )
    expect(next.shardOf(`#${bucketId}`)).toBe('a')
    expect(next.locate('{hot}:1').shard).toBe('b')
  })

  it('says that a tag that is not carved out lives with its bucket', () => {
    expect(placement.shardOf('{cold}')).toBe(placement.locate('{cold}:1').shard)
  })

  it('keeps names of the prototype apart from its own members', () => {
    const next = placement.with(new Map<SegmentId, string>([['{__proto__}', 'a']]))
    expect(next.locate('{__proto__}').segment).toBe('{__proto__}')
    expect(next.locate('{constructor}').segment).toMatch(/^#/)
  })

  it.each([
    [new Map([['#1', 'nowhere']]), ErrorCode.UNKNOWN_SHARD],
    [new Map([['#16384', 'a']]), ErrorCode.UNKNOWN_SEGMENT],
    [new Map([['#01', 'a']]), ErrorCode.UNKNOWN_SEGMENT],
    [new Map([['{}', 'a']]), ErrorCode.UNKNOWN_SEGMENT],
    [new Map([['user:42', 'a']]), ErrorCode.UNKNOWN_SEGMENT],
    [new Map([['{a\ud800}', 'a']]), ErrorCode.UNKNOWN_SEGMENT],
    [{ '#1': 'a' }, ErrorCode.INVALID_ARGUMENT],
  ])('refuses a map that names what is not there: %s', (map, code) => {
    expect(() => placement.with(map as never)).toThrow(expect.objectContaining({ code }))
  })

  it('folds a carved tag back into its bucket, past the epochs of both', () => {
    const { bucketId, shard } = placement.locate('k')
    const to = shards.find((s) => s !== shard)!
    const carved = placement.with(new Map([['{k}' as SegmentId, to]]))
    const merged = carved.merged(['{k}', '{never carved}'])
    expect(merged.locate('k')).toMatchObject({ shard, segment: `#${bucketId}` })
    expect(merged.locate('k').epoch).toBeGreaterThan(carved.locate('k').epoch + 1)
    expect(carved.isCarved('k')).toBe(true)
    expect(() => carved.merged(['#1'])).toThrow(expect.objectContaining({ code: ErrorCode.UNKNOWN_SEGMENT }))
  })

  it.each([
    [{ shards: [] }, 'shards'],
    [{ shards, buckets: 0 }, 'buckets'],
    [{ shards, buckets: Number.NaN }, 'buckets'],
    [{ shards, seed: -1 }, 'seed'],
    [{ shards: 'abc' }, 'shards'],
    [undefined, 'options'],
    [null, 'options'],
  ])('refuses options that make none: %j', (options, field) => {
    expect(() => Placement.initial(options as never)).toThrow(expect.objectContaining({ field }))
    expect(() => new Placement(options as never)).toThrow(expect.objectContaining({ field }))
  })
})
