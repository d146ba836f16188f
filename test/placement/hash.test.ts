import fc from 'fast-check'
import murmur from 'murmurhash3js-revisited'
import { describe, expect, it } from 'vitest'
import { murmur3, murmur3Bytes } from '../../src/placement/hash'

const reference = (text: string, seed: number): number =>
  murmur.x86.hash32(new TextEncoder().encode(text), seed)

describe('murmur3 x86 32', () => {
  it('gives the values that SMHasher publishes', () => {
    expect(murmur3('')).toBe(0)
    expect(murmur3('', 1)).toBe(0x514e28b7)
    expect(murmur3('Hello, world!', 0x9747b28c)).toBe(0x24884cba)
    expect(murmur3('The quick brown fox jumps over the lazy dog', 0x9747b28c)).toBe(0x2fa826cd)
  })

  it('equals the library on every string and seed, lone surrogates included', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        (text, seed) => {
          expect(murmur3(text, seed)).toBe(reference(text, seed))
        },
      ),
      { numRuns: 2000, seed: 1 },
    )
    for (const text of ['é', 'abcé', 'a\ud800', '\udc00', '😀abc', 'abcd\u0080', '\u007f\u0080', '\0'])
      expect(murmur3(text, 7)).toBe(reference(text, 7))
  })

  it('hashes bytes as it hashes the string they spell', () => {
    for (let length = 0; length < 70; length++) {
      const text = 'x'.repeat(length)
      expect(murmur3Bytes(new TextEncoder().encode(text), 3)).toBe(murmur3(text, 3))
    }
  })
})
