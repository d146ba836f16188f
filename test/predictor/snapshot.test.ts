import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { Predictor } from '../../src/predictor/predictor'
import { daily, generatedLog, HOUR } from './generated-log'

const clock = () => new ManualClock(1e12)
const entries = (hours: number, start = 0) =>
  generatedLog({
    keys: 50,
    hours,
    start,
    seed: 2,
    rate: (key, hour) => (key % 9 ? 5 : 50) * daily(hour, key % 24),
  }).map((entry, k) => ({ ...entry, bytes: 100 + (k % 7), transactionId: `t${k >> 1}` }))

async function used(): Promise<Predictor> {
  const predictor = new Predictor({ shards: ['a', 'b', 'c'], buckets: 128, clock: clock() })
  await predictor.ingest(entries(96))
  await predictor.predict({ now: 96 * HOUR })
  return predictor
}

const json = <T>(value: T): T => JSON.parse(JSON.stringify(value))

describe('a predictor restored from a snapshot', () => {
  test('goes on as if it had never stopped', async () => {
    const first = await used()
    const second = Predictor.restore(json(first.snapshot()), { clock: clock() })
    expect(second.metrics).toEqual(first.metrics)
    for (const predictor of [first, second]) await predictor.ingest(entries(30, 96))
    const [a, b] = [await first.predict({ now: 126 * HOUR }), await second.predict({ now: 126 * HOUR })]
    expect(b).toEqual(a)
    expect(second.snapshot()).toEqual(first.snapshot())
  })

  test('may have been empty', async () => {
    const empty = new Predictor({ shards: ['a', 'b'], clock: clock() })
    const restored = Predictor.restore(json(empty.snapshot()), { clock: clock() })
    expect((await restored.predict({ now: HOUR })).shardAssignmentMap.size).toBe(0)
  })

  test('keeps keys that are strange', async () => {
    const first = new Predictor({ shards: ['a', 'b'], clock: clock() })
    for (const key of ['__proto__', 'naïve', '\u0000', 'a😀', '{x}'])
      first.record({ timestamp: HOUR, key, operation: 'read', transactionId: 'constructor' })
    const second = Predictor.restore(json(first.snapshot()), { clock: clock() })
    expect(second.snapshot()).toEqual(first.snapshot())
  })
})

describe('a snapshot is refused', () => {
  const refused = (snapshot: unknown) =>
    expect(() => Predictor.restore(snapshot as never)).toThrow(
      expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }),
    )

  test.each([undefined, null, 7, 'text', {}, [], { version: 2 }, { version: 2, checksum: 0, state: {} }])(
    'when it is %j',
    (snapshot) => refused(snapshot),
  )

  test('when it is of a newer version', async () => refused({ ...(await used()).snapshot(), version: 3 }))

  test('when it was altered anywhere', async () => {
    const snapshot = (await used()).snapshot()
    const text = JSON.stringify(snapshot.state)
    for (let at = 100; at < text.length; at += Math.floor(text.length / 12)) {
      const digit = text.slice(at).search(/[0-9]/) + at
      const other = text[digit] === '7' ? '8' : '7'
      refused({ ...snapshot, state: JSON.parse(text.slice(0, digit) + other + text.slice(digit + 1)) })
    }
  })

  test('when it names slots, shards or loads that cannot be, even with the right checksum', async () => {
    const forged = async (alter: (state: ReturnType<typeof JSON.parse>) => void) => {
      const snapshot = json((await used()).snapshot())
      alter(snapshot.state as never)
      refused({ ...snapshot, checksum: murmur3(JSON.stringify(snapshot.state)) })
    }
    await forged((state) => (state.series.slots = 1e9))
    await forged((state) => (state.series.newest = -7))
    await forged((state) => state.series.rows.pop())
    await forged((state) => (state.slotOf = 'i:128:AAAA'))
    await forged((state) => (state.hot[0].slot = 99_999))
    await forged((state) => (state.hot[0].load = -1))
    await forged((state) => (state.perMove = [{ raw: 7, held: true }]))
    await forged((state) => (state.transactions.sample[0].tags = ['x']))
    await forged((state) => (state.pending[0].plans[0].moves[0].to = 55))
    await forged((state) => (state.options.shards = []))
    await forged((state) => delete state.totals)
  })
})
