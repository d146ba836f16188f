import { describe, expect, it } from 'vitest'
import { checkKey, isWellFormed } from '../../src/placement/key'

const rules = { maxBytes: 1978, nul: false, reserved: ['~foreshard:'] }
const refusal = (key: unknown): string => {
  try {
    checkKey(key, rules)
    return 'accepted'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('a key', () => {
  it.each([
    'a',
    '__proto__',
    'constructor',
    'é',
    'e\u0301',
    '😀',
    '{}',
    "'; drop table x; --",
    '*?[',
    'a\nb',
    'x'.repeat(1978),
  ])('may be any well-formed text that every store can spell: %j', (key) =>
    expect(refusal(key)).toBe('accepted'),
  )

  it.each([
    '',
    'a\ud800',
    '\udc00b',
    '\ud800\ud800',
    'a\0b',
    'x'.repeat(1979),
    'é'.repeat(990),
    '~foreshard:fence',
    'y'.repeat(65_536),
  ])('is refused with its reason when a store could not keep it: %j', (key) =>
    expect(refusal(key)).toBe('INVALID_KEY'),
  )

  it.each([undefined, null, 1, {}, Symbol('x')])('is a string, not %s', (key) =>
    expect(refusal(key)).toBe('INVALID_KEY'),
  )

  it('counts bytes, not characters: 659 characters of three bytes fit, 660 do not', () => {
    expect(refusal('€'.repeat(659))).toBe('accepted')
    expect(refusal('€'.repeat(660))).toBe('INVALID_KEY')
  })
})

describe('well-formed text', () => {
  it('pairs every surrogate', () => {
    expect(isWellFormed('a😀b')).toBe(true)
    expect(isWellFormed('a\ud83d')).toBe(false)
    expect(isWellFormed('\ude00a')).toBe(false)
    expect(isWellFormed('\ud83d\ud83d\ude00')).toBe(false)
  })
})
