import { describe, expect, it } from 'vitest'
import { codecOf } from '../../src/router/codec'
import { errorOf, inVirtualTime } from './harness'

const roundTrip = (codec: unknown, value: unknown) => {
  const it = codecOf(codec, 'options.codec')
  return it.decode(new Uint8Array(it.encode(value)))
}

describe('a codec', () => {
  it("'json' keeps what JSON can spell, and is the default", () => {
    for (const value of [0, '', null, false, [1, { a: 'é😀' }], { __proto__x: 1 }, 'a\ud800'])
      expect(roundTrip(undefined, value)).toEqual(value)
  })

  it("'json' refuses what it would change, and names the cure", () => {
    const { encode, decode } = codecOf('json', 'options.codec')
    expect(() => encode(undefined)).toThrow('use null, or delete the key')
    expect(() => encode(Symbol('x'))).toThrow('JSON cannot spell')
    expect(() => encode({ n: 1n })).toThrow('turn BigInt into strings')
    expect(() => encode(Number.POSITIVE_INFINITY)).toThrow('turns into null')
    expect(() => decode(Buffer.from('{'))).toThrow('the codec that wrote it')
  })

  it("'utf8' keeps strings, and refuses what UTF-8 would change", () => {
    expect(roundTrip('utf8', 'é\0😀')).toBe('é\0😀')
    const { encode } = codecOf('utf8', 'options.codec')
    expect(() => encode(1)).toThrow("the codec 'utf8' stores strings")
    expect(() => encode('a\ud800')).toThrow('unpaired surrogate')
  })

  it("'bytes' keeps bytes, and shares none of them with the application", () => {
    const { encode, decode } = codecOf('bytes', 'options.codec')
    const mine = Buffer.from([1, 2, 3])
    const stored = encode(mine)
    mine[0] = 9
    expect(stored).toEqual(new Uint8Array([1, 2, 3]))
    const theirs = decode(stored) as Uint8Array
    theirs[0] = 9
    expect(decode(stored)).toEqual(new Uint8Array([1, 2, 3]))
    expect(() => encode('abc')).toThrow("'bytes' stores Uint8Array")
  })

  it(
    "of the application's own is used, and its failures are values that cannot be stored",
    inVirtualTime(async (h) => {
      const codec = {
        encode: (value: unknown) => {
          if (value === 'bad') throw new Error('never')
          return value === 'odd' ? ('text' as never) : Buffer.from(String(value).toUpperCase())
        },
        decode: (bytes: Uint8Array) => `<${Buffer.from(bytes)}>`,
      }
      const router = await h.open({ codec })
      await router.set('k', 'abc')
      expect(await router.get('k')).toBe('<ABC>')
      expect(await errorOf(router.set('k', 'bad'))).toMatchObject({ code: 'INVALID_VALUE' })
      expect(await errorOf(router.set('k', 'odd'))).toMatchObject({ code: 'INVALID_VALUE' })
    }),
  )

  it('that is none is refused', () => {
    for (const codec of ['xml', 5, null, {}, { encode: () => new Uint8Array() }])
      expect(() => codecOf(codec, 'options.codec')).toThrow('options.codec')
  })
})
