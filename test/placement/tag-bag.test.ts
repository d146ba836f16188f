import { describe, expect, it } from 'vitest'
import {
  addTag,
  entriesOf,
  findTag,
  haveSame,
  type TagBag,
  tagAt,
  withoutTag,
} from '../../src/placement/tag-bag'

describe('a bag of tags', () => {
  it('tells tags of one hash apart by every character, one and two bytes wide', () => {
    const tags = [
      'abcd',
      'ab',
      'abc',
      'abcde',
      '\u6261bcd',
      '\u6261',
      'a\u0162cd',
      '\u00e9',
      '\u0141x',
      '\u0141',
      'e\u0301x',
    ]
    let bag: TagBag | undefined
    for (const [i, tag] of tags.entries()) {
      if (bag) for (const later of tags.slice(i)) expect(findTag(bag, 5, later)).toBe(0)
      bag = addTag(bag, 5, tag, i, i + 1)
    }
    for (const tag of tags) expect(tagAt(bag!, findTag(bag!, 5, tag))).toBe(tag)
    expect([...entriesOf(bag!)].map((at) => tagAt(bag!, at))).toEqual(tags)
  })

  it('loses the one that is taken out, and none beside it in its slots', () => {
    let bag: TagBag | undefined
    for (let i = 0; i < 40; i++) bag = addTag(bag, i % 3, `t${i}`, 0, 1)
    for (let i = 0; i < 40; i++) {
      const before = bag!
      bag = withoutTag(before, findTag(before, i % 3, `t${i}`))
      expect(haveSame(before, bag)).toBe(false)
      for (let j = 0; j < 40; j++) expect(bag ? findTag(bag, j % 3, `t${j}`) > 0 : false).toBe(j > i)
    }
    expect(bag).toBeUndefined()
  })
})
