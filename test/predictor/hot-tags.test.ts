import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { HotTags } from '../../src/predictor/hot-tags'

function followed(capacity: number) {
  let slots = 0
  const cleared: number[] = []
  const hot = new HotTags(
    capacity,
    () => slots++,
    (slot) => cleared.push(slot),
  )
  return { hot, cleared, see: (tag: string, load = 1, at = 0) => hot.observe(tag, murmur3(tag), load, at) }
}

const names = (hot: HotTags) => hot.tags.map(({ tag }) => tag)

describe('the hot tags', () => {
  test('find the heavy hitters among endless cold keys, in a fixed number of places', () => {
    const { hot, see } = followed(16)
    const random = seededRandom(7)
    for (let k = 0; k < 60_000; k++) see(random() < 0.2 ? `hot:${Math.floor(random() * 8)}` : `cold:${k}`)
    expect(hot.tags).toHaveLength(16)
    const hottest = [...hot.tags].sort((a, b) => b.load - a.load).slice(0, 8)
    expect(hottest.map(({ tag }) => tag).sort()).toEqual(Array.from({ length: 8 }, (_, k) => `hot:${k}`))
  })

  test('a tag that the sketch never met is covered from its first access, one that comes back is not', () => {
    const { hot, see } = followed(1)
    see('a', 5, 3)
    expect(hot.find('a')?.since).toBe(0)
    see('b', 50, 4)
    see('a', 100, 9)
    expect(hot.find('a')?.since).toBe(10)
  })

  test('the coldest makes room and its slot is cleared', () => {
    const { hot, cleared, see } = followed(2)
    see('a', 10)
    see('b', 2)
    see('c', 20)
    expect(names(hot).sort()).toEqual(['a', 'c'])
    expect(cleared).toEqual([1])
  })

  test('a carved tag stays however cold it is, until it is carved no more', () => {
    const { hot, see } = followed(2)
    see('a', 1)
    see('b', 5)
    hot.pin(new Map([['a', murmur3('a')]]), 0)
    see('c', 50)
    see('d', 500)
    expect(names(hot).sort()).toEqual(['a', 'd'])
    hot.pin(new Map(), 0)
    see('e', 400)
    expect(names(hot).sort()).toEqual(['d', 'e'])
  })

  test('heat decays: what was hot yesterday makes room for what is hot today', () => {
    const { hot, see } = followed(1)
    see('yesterday', 100)
    hot.decay(1 / 1024)
    see('today', 10)
    expect(names(hot)).toEqual(['today'])
  })

  test('never takes a name of unbounded length', () => {
    const { hot, see } = followed(4)
    see('x'.repeat(10_000), 1_000)
    expect(hot.tags).toHaveLength(0)
  })
})
