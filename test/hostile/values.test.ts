import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import type { CodecOption } from '../../src/router/codec'
import { ShardRouter } from '../../src/router/router'
import { PLACES } from './places'
import { expectRefused, refusalOf, stateOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

const cyclic: Record<string, unknown> = {}
cyclic.self = cyclic
let deep: unknown = 1
for (let i = 0; i < 100_000; i++) deep = [deep]
const huge = 'x'.repeat(10_000_000)

let shards: Record<string, ReturnType<typeof memoryStore>>
let router: ShardRouter
beforeEach(async () => {
  shards = { a: memoryStore(), b: memoryStore() }
  router = await ShardRouter.open({ shards, buckets: 8 })
})
afterEach(() => router.close())

const opened = (codec: CodecOption, more: object = {}) =>
  ShardRouter.open({ shards: { a: memoryStore() }, buckets: 4, codec, ...more })

describe('a value', () => {
  it.each([
    ['undefined', undefined],
    ['a BigInt', 1n],
    ['a BigInt inside', { n: [1n] }],
    ['a cycle', cyclic],
    ['a function', () => 1],
    ['a symbol', Symbol('v')],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a hundred thousand arrays in each other', deep],
    ['something whose toJSON throws', { toJSON: () => fail(huge) }],
    [
      'something whose getter throws',
      Object.defineProperty({}, 'x', { enumerable: true, get: () => fail(huge) }),
    ],
  ])('that JSON cannot spell is refused, and nothing has changed: %s', async (_name, value) => {
    await router.set('k', 'before')
    const before = await stateOf(router, shards)
    await expectRefused(() => router.set('k', value), 'INVALID_VALUE', 'value')
    await expectRefused(
      () =>
        router.setMany([
          ['j', 1],
          ['k', value],
        ]),
      'INVALID_VALUE',
      'entries[1]',
    )
    expect(await stateOf(router, shards)).toEqual(before)
    await expectRefused(() => router.update('k', () => value), 'INVALID_VALUE', 'value')
    expect(await router.getMany(['j', 'k'])).toEqual(new Map([['k', 'before']]))
  })

  it('is exact, whatever JSON can spell, and pollutes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ noUnicodeString: false }), async (value) => {
        await router.set('k', value)
        expect(await router.get('k')).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
    await router.set(
      'k',
      JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
    )
    const back = await router.get<object>('k')
    expect(Object.keys(back!)).toEqual(['__proto__', 'constructor'])
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('of any kind is kept or refused by its code', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.anything({ withBigInt: true, withMap: true, withNullPrototype: true }),
        async (value) => {
          const refusal = await refusalOf(() => router.set('any', value))
          if (refusal) expect(refusal.code).toBe('INVALID_VALUE')
          else expect(JSON.stringify(await router.get('any'))).toBe(JSON.stringify(value))
        },
      ),
    )
  })

  it('of no bytes is there, and is not the same as none', async () => {
    for (const { missing, open } of PLACES.slice(0, 3)) {
      if (missing) continue
      const place = await open()
      const { a, b } = place.shards
      const bytes = await ShardRouter.open({
        shards: { a, b },
        topology: place.topology,
        buckets: 8,
        codec: 'bytes',
      })
      await bytes.set('empty', new Uint8Array())
      expect(await bytes.get('empty')).toEqual(new Uint8Array())
      expect(await bytes.has('empty')).toBe(true)
      const { segment, shard } = bytes.locate('empty')
      const moved = await bytes.requestResharding(1, new Map([[segment, shard === 'a' ? 'b' : 'a']]))
      expect(moved.accepted && (await moved.done).outcome).toBe('done')
      expect(await bytes.get('empty')).toEqual(new Uint8Array())
      expect(await bytes.get('none')).toBeUndefined()
      await bytes.close()
      await place.end()
    }
  })

  it('of 64 MiB is kept, or refused before it is sent where a store keeps less', async () => {
    const large = new Uint8Array(64 * 1024 * 1024).fill(7)
    for (const { name, missing, open } of PLACES.slice(0, 3)) {
      if (missing) continue
      const place = await open()
      const { a, b } = place.shards
      const bytes = await ShardRouter.open({
        shards: { a, b },
        topology: place.topology,
        buckets: 4,
        codec: 'bytes',
      })
      if (a.supports.maxValueBytes < large.byteLength) {
        const before = await stateOf(bytes, { a, b })
        await expectRefused(() => bytes.set('k', large), 'INVALID_VALUE', 'value')
        expect(await stateOf(bytes, { a, b }), name).toEqual(before)
      } else {
        await bytes.set('k', large)
        expect(Buffer.compare((await bytes.get<Uint8Array>('k'))!, large), name).toBe(0)
      }
      await bytes.close()
      await place.end()
    }
  })
})

describe('a codec', () => {
  it.each<[string, CodecOption]>([
    ['throws at length', { encode: () => fail(huge), decode: () => fail(huge) }],
    ['gives a string', { encode: () => 'text' as never, decode: () => 1 }],
    ['gives a promise', { encode: async () => new Uint8Array(1) as never, decode: () => 1 } as never],
    ['gives nothing', { encode: () => undefined as never, decode: () => 1 }],
    ['gives an array', { encode: () => [1, 2] as never, decode: () => 1 }],
  ])('that %s has the write refused, and nothing sent', async (_name, codec) => {
    const strange = await opened(codec)
    await expectRefused(() => strange.set('k', 1), 'INVALID_VALUE', 'value')
    expect(strange.metrics().shards[0]).toMatchObject({ writes: 0, errors: 0 })
    await strange.close()
  })

  it('that cannot read what is stored says so, in few words, and leaves it there', async () => {
    const strange = await opened({ encode: () => Buffer.from('x'), decode: () => fail(huge) })
    await strange.set('k', 1)
    await expectRefused(() => strange.get('k'), 'INVALID_VALUE', 'value')
    await expectRefused(() => strange.update('k', () => 2), 'INVALID_VALUE', 'value')
    expect(await strange.has('k')).toBe(true)
    await strange.close()
  })
})

describe('what a write is asked for', () => {
  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1', null, {}, 1n, 1e300])(
    'is refused for a time to live of %s',
    async (ttlMs) => {
      const before = await stateOf(router, shards)
      const options = { ttlMs } as never
      await expectRefused(() => router.set('k', 1, options), 'INVALID_ARGUMENT', 'options.ttlMs')
      await expectRefused(() => router.setMany([['k', 1, options]]), 'INVALID_ARGUMENT', 'entries[0]')
      const never = () => expect.fail('called')
      await expectRefused(() => router.update('k', never, options), 'INVALID_ARGUMENT', 'options.ttlMs')
      expect(await stateOf(router, shards)).toEqual(before)
    },
  )

  it('is rounded down for a time to live of a fraction, to a ms from now at least', async () => {
    await router.set('k', 1, { ttlMs: 0.1 })
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await router.get('k')).toBeUndefined()
  })

  it.each([Number.NaN, -1, '0', {}, null, 1n])('is refused for a version of %s', async (ifVersion) => {
    const options = { ifVersion } as never
    await expectRefused(() => router.set('k', 1, options), 'INVALID_ARGUMENT', 'options.ifVersion')
    await expectRefused(() => router.delete('k', options), 'INVALID_ARGUMENT', 'options.ifVersion')
    expect(await router.has('k')).toBe(false)
  })

  it('is refused where an update has no function, or one that gives nothing; what it throws is its own', async () => {
    await router.set('k', 1)
    for (const fn of [undefined, null, 5, 'f', {}])
      await expectRefused(() => router.update('k', fn as never), 'INVALID_ARGUMENT', 'fn')
    await expectRefused(() => router.update('k', () => undefined), 'INVALID_VALUE', 'value')
    await expectRefused(() => router.update('k', async () => undefined), 'INVALID_VALUE', 'value')
    const mine = new Error('mine')
    const thrower = () => {
      throw mine
    }
    await expect(router.update('k', thrower)).rejects.toBe(mine)
    await expect(router.update('k', () => Promise.reject(mine))).rejects.toBe(mine)
    expect(await router.get('k')).toBe(1)
    expect((await router.update('k', async (n) => Number(n) + 1)).value).toBe(2)
  })

  it('is refused for many keys that are no iterable of keys, or that never end', async () => {
    function* endless() {
      for (let i = 0; ; i++) yield `k${i % 10}`
    }
    function* entries() {
      for (let i = 0; ; i++) yield [`k${i % 10}`, 1] as const
    }
    for (const keys of [undefined, null, 7, 'abc', {}, () => []])
      await expectRefused(() => router.getMany(keys as never), 'INVALID_ARGUMENT', 'keys')
    for (const many of [undefined, null, 7, 'abc', {}])
      await expectRefused(() => router.setMany(many as never), 'INVALID_ARGUMENT', 'entries')
    for (const entry of [7, 'ab', null, {}])
      await expectRefused(() => router.setMany([entry] as never), 'INVALID_ARGUMENT', 'entries[0]')
    await expectRefused(() => router.getMany(endless()), 'INVALID_ARGUMENT', 'keys')
    await expectRefused(() => router.setMany(entries()), 'INVALID_ARGUMENT', 'entries')
    expect(router.metrics().shards.map(({ reads, writes }) => reads + writes)).toEqual([0, 0])
  })

  it('is carried out for a million keys, and for the same key many times the last one counts', async () => {
    await router.setMany([
      ['k', 1],
      ['j', 1],
      ['k', 2],
      ['k', 3],
    ])
    const keys = Array.from({ length: 1_000_000 }, (_, i) => (i % 100_000 === 0 ? 'k' : `m${i % 50_000}`))
    expect(await router.getMany(keys)).toEqual(new Map([['k', 3]]))
    expect((await router.getMany(['k', 'k', 'j'])).size).toBe(2)
  })
})

function fail(message: string): never {
  throw new Error(message)
}
