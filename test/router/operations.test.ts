import { describe, expect, it } from 'vitest'
import { accessScore } from '../../src/tracking/access-score'
import { carryOut, errorOf, inVirtualTime, keyIn, wrap } from './harness'

describe('a router', () => {
  it(
    'keeps values, versions and what is not there apart',
    inVirtualTime(async (h) => {
      const router = await h.open()
      expect(await router.get('k')).toBeUndefined()
      expect(await router.has('k')).toBe(false)
      expect(await router.getWithVersion('k')).toBeUndefined()
      const { version } = await router.set('k', { a: [1, null] })
      expect(await router.get('k')).toEqual({ a: [1, null] })
      expect(await router.getWithVersion('k')).toEqual({ value: { a: [1, null] }, version })
      expect(await router.has('k')).toBe(true)
      await router.set('nil', null)
      expect(await router.get('nil')).toBeNull()
      expect(await router.has('nil')).toBe(true)
      expect((await router.delete('k')).deleted).toBe(true)
      expect((await router.delete('k')).deleted).toBe(false)
      expect(await router.get('k')).toBeUndefined()
    }),
  )

  it(
    'writes only what has not changed, where a version is named',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const { version } = await router.set('k', 1, { ifVersion: 0 })
      expect(await errorOf(router.set('k', 2, { ifVersion: 0 }))).toMatchObject({ code: 'VERSION_CONFLICT' })
      const second = await router.set('k', 2, { ifVersion: version })
      expect(await errorOf(router.set('k', 3, { ifVersion: version }))).toMatchObject({
        code: 'VERSION_CONFLICT',
      })
      expect(await errorOf(router.delete('k', { ifVersion: version }))).toMatchObject({
        code: 'VERSION_CONFLICT',
      })
      expect(await router.get('k')).toBe(2)
      expect((await router.delete('k', { ifVersion: second.version })).deleted).toBe(true)
      expect(await errorOf(router.delete('k', { ifVersion: second.version }))).toMatchObject({
        code: 'VERSION_CONFLICT',
      })
      expect((await router.delete('k', { ifVersion: 0 })).deleted).toBe(false)
    }),
  )

  it(
    'lets keys expire at the time that was meant when they were written',
    inVirtualTime(async (h) => {
      const router = await h.open()
      await router.set('k', 1, { ttlMs: 100 })
      await router.set('short', 1, { ttlMs: 0.1 })
      await h.clock.sleep(99)
      expect(await router.get('k')).toBe(1)
      expect(await router.has('short')).toBe(false)
      await h.clock.sleep(1)
      expect(await router.get('k')).toBeUndefined()
    }),
  )

  it(
    'never loses an increment to another router: update repeats what lost a race',
    inVirtualTime(async (h) => {
      const routers = [await h.open(), await h.open(), await h.open()]
      await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          routers[i % 3]!.update<number>('n', (n = 0) => n + 1, { attempts: 100 }),
        ),
      )
      expect(await routers[0]!.get('n')).toBe(30)
      const { value, version } = await routers[1]!.update<number>('n', async (n) => n! * 2)
      expect({ value, version }).toEqual(await routers[2]!.getWithVersion('n'))
    }),
  )

  it(
    'keeps the expiry of what it updates, also over a move, unless a new time to live is given',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const other = await h.open()
      const start = h.clock.now()
      await router.set('k', 1, { ttlMs: 10_000 })
      await h.clock.sleep(400)
      await router.update<number>('k', async (n) => {
        await h.clock.sleep(100)
        return n! + 1
      })
      const { segment, shard } = router.locate('k')
      const moved = await router.requestResharding(1, new Map([[segment, shard === 'a' ? 'b' : 'a']]))
      expect(moved.accepted && (await moved.done).outcome).toBe('done')
      await other.update<number>('k', (n) => n! + 1)
      const left = start + 10_000 - h.clock.now()
      expect(left).toBeGreaterThan(100)
      await h.clock.sleep(left - 1)
      expect(await router.get('k')).toBe(3)
      await h.clock.sleep(1)
      expect(await router.get('k')).toBeUndefined()
      await router.update('k', () => 'new')
      await router.update('k', (now) => `${now}er`, { ttlMs: 50 })
      await h.clock.sleep(49)
      expect(await router.get('k')).toBe('newer')
      await h.clock.sleep(1)
      expect(await router.get('k')).toBeUndefined()
    }),
  )

  it(
    'begins an update again from nothing where what it read has expired meanwhile',
    inVirtualTime(async (h) => {
      const router = await h.open()
      await router.set('k', 'old', { ttlMs: 100 })
      const seen: unknown[] = []
      await router.update('k', async (value) => {
        seen.push(value)
        await h.clock.sleep(200)
        return 'new'
      })
      expect(seen).toEqual(['old', undefined])
      await h.clock.sleep(100_000)
      expect(await router.get('k')).toBe('new')
    }),
  )

  it(
    'gives up an update that loses every race it is allowed, and says so',
    inVirtualTime(async (h) => {
      const router = await h.open()
      await router.set('n', 0)
      let calls = 0
      const rude = async (n: unknown) => {
        calls++
        await router.set('n', -1)
        return n
      }
      expect(await errorOf(router.update('n', rude, { attempts: 3 }))).toMatchObject({
        code: 'VERSION_CONFLICT',
        message: expect.stringContaining('lost 3 races'),
      })
      expect(calls).toBe(3)
      expect(await errorOf(router.update('n', () => undefined))).toMatchObject({ code: 'INVALID_VALUE' })
      expect(
        await errorOf(
          router.update('n', () => {
            throw new Error('mine')
          }),
        ),
      ).toMatchObject({ message: 'mine' })
    }),
  )

  it(
    'keeps keys that look alike, or like something else, apart',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const keys = [
        '__proto__',
        'constructor',
        'a\0b',
        'a',
        '{}',
        '{',
        '}{',
        '{}{a}',
        '{{a}}',
        'é',
        'e\u0301',
        '#3',
      ]
      keys.push('{x', '*', "'; drop table", '\n', '😀', 'x'.repeat(60_000))
      await router.setMany(keys.map((key, i) => [key, i] as const))
      for (const [i, key] of keys.entries()) expect(await router.get(key)).toBe(i)
      expect([...(await router.getMany(keys)).keys()]).toEqual(keys)
    }),
  )

  it(
    'refuses, naming the field, what could not be kept, and sends nothing',
    inVirtualTime(async (h) => {
      let sent = 0
      const a = wrap(h.stores.a!, {
        execute: (calls) => {
          sent += calls.length
          return h.stores.a!.execute(calls)
        },
      })
      const router = await h.open({ shards: { a }, maxValueBytes: 10, maxKeyBytes: 20, reservedPrefix: '~' })
      const cyclic: unknown[] = []
      cyclic.push(cyclic)
      const refused: [Promise<unknown>, string, string][] = [
        [router.get(''), 'INVALID_KEY', 'key'],
        [router.get(7 as never), 'INVALID_KEY', 'key'],
        [router.get('a\ud800'), 'INVALID_KEY', 'key'],
        [router.set('x'.repeat(21), 1), 'INVALID_KEY', 'key'],
        [router.has('~mine'), 'INVALID_KEY', 'key'],
        [router.delete(null as never), 'INVALID_KEY', 'key'],
        [router.update(undefined as never, () => 1), 'INVALID_KEY', 'key'],
        [router.getMany(['a', '']), 'INVALID_KEY', 'keys[1]'],
        [
          router.setMany([
            ['a', 1],
            ['\udc00', 1],
          ]),
          'INVALID_KEY',
          'entries[1][0]',
        ],
        [router.setMany([['a', undefined]]), 'INVALID_VALUE', 'entries[0]'],
        [router.setMany([['a', 1, { ttlMs: -1 }]]), 'INVALID_ARGUMENT', 'entries[0]'],
        [router.setMany('ab' as never), 'INVALID_ARGUMENT', 'entries'],
        [router.setMany([null as never]), 'INVALID_ARGUMENT', 'entries[0]'],
        [router.getMany(undefined as never), 'INVALID_ARGUMENT', 'keys'],
        [router.set('k', undefined), 'INVALID_VALUE', 'value'],
        [router.set('k', () => 1), 'INVALID_VALUE', 'value'],
        [router.set('k', 1n), 'INVALID_VALUE', 'value'],
        [router.set('k', cyclic), 'INVALID_VALUE', 'value'],
        [router.set('k', Number.NaN), 'INVALID_VALUE', 'value'],
        [router.set('k', 'x'.repeat(9)), 'INVALID_VALUE', 'value'],
        ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5', 1e300].map(
          (ttlMs) =>
            [router.set('k', 1, { ttlMs: ttlMs as number }), 'INVALID_ARGUMENT', 'options.ttlMs'] as [
              Promise<unknown>,
              string,
              string,
            ],
        ),
        [router.set('k', 1, { ifVersion: -1 }), 'INVALID_ARGUMENT', 'options.ifVersion'],
        [router.delete('k', { ifVersion: 'x' as never }), 'INVALID_ARGUMENT', 'options.ifVersion'],
        [router.set('k', 1, 5 as never), 'INVALID_ARGUMENT', 'options'],
        [router.update('k', 5 as never), 'INVALID_ARGUMENT', 'fn'],
        [router.update('k', () => 1, { attempts: 0 }), 'INVALID_ARGUMENT', 'options.attempts'],
      ]
      for (const [promise, code, field] of refused)
        expect(await errorOf(promise)).toMatchObject({ code, field })
      expect(() => router.getShardLocation('')).toThrow('key is empty')
      expect(() => router.locate('a\ud800')).toThrow('unpaired surrogate')
      expect(sent).toBe(0)
    }, 'a'),
  )

  it(
    'tells where a key is without asking anybody',
    inVirtualTime(async (h) => {
      const router = await h.open()
      for (let i = 0; i < 50; i++) {
        const location = router.locate(`k${i}`)
        expect(router.placement.locate(`k${i}`)).toEqual(location)
        expect(router.getShardLocation(`k${i}`)).toBe(location.shard)
        expect(router.placement.segmentOf(`k${i}`)).toBe(location.segment)
      }
    }),
  )
})

describe('the tracking attributes of an update', () => {
  it(
    'count the writes of the segment, through whichever router and on whichever shard',
    inVirtualTime(async (h) => {
      const [one, two] = [await h.open(), await h.openDeaf()]
      const key = keyIn(one, 3)
      const { bucketId, segment, sequenceNumber } = await one.set(key, 1)
      expect({ bucketId, segment, sequenceNumber }).toEqual({ bucketId: 3, segment: '#3', sequenceNumber: 1 })
      expect((await two.set(key, 2)).sequenceNumber).toBe(2)
      expect((await two.delete(key)).sequenceNumber).toBe(3)
      const target = one.getShardLocation(key) === 'a' ? 'b' : 'a'
      await carryOut(one, { '#3': target })
      expect((await two.set(keyIn(one, 3, 1), 1)).sequenceNumber).toBe(4)
      await carryOut(one, { [`{${key}}`]: 'c' })
      const carved = await two.set(key, 3)
      expect(carved).toMatchObject({ sequenceNumber: 5, segment: `{${key}}`, bucketId: 3 })
      expect(two.getShardLocation(key)).toBe('c')
    }),
  )

  it(
    'carry the access score of the segment, as its definition says',
    inVirtualTime(async (h) => {
      const router = await h.open({ tracking: { halfLifeMs: 1000, writeWeight: 3 } })
      const [key, other] = [keyIn(router, 5), keyIn(router, 5, 1)]
      const log: { timestamp: number; operation: 'read' | 'write' }[] = []
      const note = (operation: 'read' | 'write') => log.push({ timestamp: h.clock.now(), operation })
      for (let i = 0; i < 40; i++) {
        await h.clock.sleep(i * 13)
        note('write')
        const { accessScore: score } = await router.set(i % 3 ? key : other, i)
        const exact = accessScore(log, h.clock.now(), { halfLifeMs: 1000, writeWeight: 3 })
        expect(score / exact).toBeCloseTo(1, 9)
        note('read')
        await router.get(key)
      }
      const exact = accessScore(log, h.clock.now(), { halfLifeMs: 1000, writeWeight: 3 })
      expect(router.accessScore('#5') / exact).toBeCloseTo(1, 9)
      expect(router.accessScore(key)).toBeLessThan(exact)
      expect(router.accessScore('never')).toBe(0)
      expect(router.metrics().hotSegments[0]).toMatchObject({ segment: '#5', reads: 40, writes: 40 })
    }),
  )
})

describe('whoever observes a router', () => {
  it(
    'sees every access, those of one call as one transaction, and cannot harm it',
    inVirtualTime(async (h) => {
      const router = await h.open()
      const seen: unknown[] = []
      const errors: unknown[] = []
      router.on('error', (error) => errors.push(error))
      const stop = router.observe((entry) => seen.push(entry))
      router.observe(() => {
        throw new Error('mine')
      })
      const timestamp = h.clock.now()
      await router.set('k', 'abc', { queryType: 'save', userProfile: 'admin' })
      await router.get('k', { transactionId: 'T' })
      await router.getMany(['k', 'absent'])
      await router.setMany(
        [
          ['k', 1],
          ['m', 2, { queryType: 'q' }],
        ],
        { transactionId: 'U' },
      )
      expect(seen.map((entry) => JSON.parse(JSON.stringify(entry)))).toEqual([
        { timestamp, key: 'k', operation: 'write', bytes: 5, queryType: 'save', userProfile: 'admin' },
        { timestamp, key: 'k', operation: 'read', bytes: 5, transactionId: 'T' },
        { timestamp, key: 'k', operation: 'read', bytes: 5, transactionId: expect.any(String) },
        { timestamp, key: 'absent', operation: 'read', bytes: 0, transactionId: expect.any(String) },
        { timestamp, key: 'k', operation: 'write', bytes: 1, transactionId: 'U' },
        { timestamp, key: 'm', operation: 'write', bytes: 1, transactionId: 'U', queryType: 'q' },
      ])
      const [a, b] = seen.slice(2) as { transactionId: string }[]
      expect(a!.transactionId).toBe(b!.transactionId)
      expect(errors.length).toBe(6)
      expect(router.metrics().listenerFailures).toBe(6)
      stop()
      await router.get('k')
      expect(seen.length).toBe(6)
      expect(() => router.observe(7 as never)).toThrow('listener')
    }),
  )
})
