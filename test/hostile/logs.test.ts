import { Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogReader } from '../../src/cli/log-reader'
import { ManualClock } from '../../src/clock'
import { Predictor } from '../../src/predictor/predictor'
import { simulate } from '../../src/rebalancer/simulate'
import type { AccessLogEntry } from '../../src/tracking/access-log'
import { Tracker } from '../../src/tracking/tracker'
import { LOG_LINES } from './corpus'
import { expectRefused, refusalOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

const NOW = 1_601_600_000_000
const MIB = 1 << 20

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** What is held after everything that can be forgotten is. */
function heldBytes(): number {
  gc()
  gc()
  const { heapUsed, arrayBuffers, external } = process.memoryUsage()
  return heapUsed + Math.max(arrayBuffers, external)
}

async function readAll(chunks: Iterable<Buffer> | AsyncIterable<Buffer>) {
  const reader = new LogReader(Readable.from(chunks), { latest: NOW })
  let entries = 0
  for await (const _ of reader) entries++
  return {
    entries,
    refused: Object.fromEntries([...reader.refused].map(([why, { count }]) => [why, count])),
    reader,
  }
}

describe('a line of a log', () => {
  it('out of the corpus is used or refused and counted, and spoils no other', async () => {
    for (const [kind, { served, refused }] of Object.entries(LOG_LINES)) {
      const head = kind === 'csv' ? `${LOG_LINES.csv.header}\n` : ''
      // A good line between any two: each of them must come through.
      const good = served[0]!
      for (const [lines, each] of [
        [served, 1],
        [refused, 0],
      ] as const)
        for (const line of lines) {
          const { entries, refused: why } = await readAll([Buffer.from(`${head}${good}\n${line}\n${good}\n`)])
          expect(entries, line).toBe(2 + each)
          expect(
            Object.values(why).reduce((a, b) => a + b, 0),
            line,
          ).toBe(1 - each)
        }
    }
  })

  it('of any bytes ends in an entry or in a count, and two good ones after it are read', async () => {
    const bytes = fc
      .uint8Array({ maxLength: 200 })
      .map((it) => Buffer.from(it.filter((byte) => byte !== 10 && byte !== 34)))
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom('csv', 'ndjson'), async (line, kind) => {
        const lines = LOG_LINES[kind as 'csv' | 'ndjson']
        const head = kind === 'csv' ? `${LOG_LINES.csv.header}\n` : `${lines.served[0]}\n`
        const log = Buffer.concat([
          Buffer.from(head),
          line,
          Buffer.from(`\n${lines.served[0]}\n${lines.served[0]}\n`),
        ])
        const { entries } = await readAll([log])
        expect(entries).toBeGreaterThanOrEqual(2)
        expect(entries).toBeLessThanOrEqual(4)
      }),
    )
  })

  it('that is too long is counted and costs no memory: 10 MB, and a gigabyte without a newline', async () => {
    const good = `${LOG_LINES.ndjson.served[0]}\n`
    const short = await readAll([Buffer.from(good), Buffer.alloc(10_000_000, 'x'), Buffer.from(`\n${good}`)])
    expect(short).toMatchObject({ entries: 2, refused: { 'line too long': 1 } })
    let most = 0
    async function* endless() {
      yield Buffer.from(good)
      const before = heldBytes()
      for (let i = 0; i < 1024; i++) {
        yield Buffer.alloc(MIB, 'x')
        if (i % 256 === 255) most = Math.max(most, heldBytes() - before)
      }
      yield Buffer.from(`\n${good}`)
    }
    const long = await readAll(endless())
    expect(long).toMatchObject({ entries: 2, refused: { 'line too long': 1 } })
    expect(most).toBeLessThan(64 * MIB)
  })

  it('with a quote that is never closed does not swallow the log', async () => {
    const lines = Array.from({ length: 1_000 }, () => LOG_LINES.csv.served[0])
    const { entries, refused } = await readAll([
      Buffer.from(`${LOG_LINES.csv.header}\n1601510400000,"k,read,,,\n${lines.join('\n')}\n`),
    ])
    expect(entries).toBe(1_000)
    expect(refused).toEqual({ 'unreadable line': 1 })
  })
})

describe('a log', () => {
  it('that is cut in the middle of its gzip stream gives what came before, and then says so', async () => {
    const text = `${LOG_LINES.csv.header}\n${`${LOG_LINES.csv.served[0]}\n`.repeat(50_000)}`
    const packed = gzipSync(text)
    expect((await readAll([packed])).entries).toBe(50_000)
    const bomb = gzipSync(Buffer.alloc(256 * MIB))
    expect(bomb.length).toBeLessThan(MIB)
    for (const bytes of [
      packed.subarray(0, packed.length >> 1),
      packed.subarray(0, 12),
      Buffer.concat([packed.subarray(0, 500), Buffer.alloc(500)]),
    ])
      await expectRefused(() => readAll([bytes]), 'INVALID_ARGUMENT', 'log')
    const before = heldBytes()
    const { entries } = await readAll([gzipSync(`${LOG_LINES.ndjson.served[0]}\n`), bomb])
    expect(entries).toBe(1)
    expect(heldBytes() - before).toBeLessThan(64 * MIB)
  })

  it('with a byte order mark, invalid UTF-8 or no entry at all is read as far as it is one', async () => {
    const good = LOG_LINES.csv.served[0]
    const marked = Buffer.concat([
      Buffer.from([0xef, 0xbb, 0xbf]),
      Buffer.from(`${LOG_LINES.csv.header}\n${good}\n`),
    ])
    expect((await readAll([marked])).entries).toBe(1)
    const invalid = Buffer.concat([
      Buffer.from(`${LOG_LINES.csv.header}\n160151`),
      Buffer.from([0xff, 0xfe, 0xc3]),
      Buffer.from(`\n${good}\n`),
    ])
    expect(await readAll([invalid])).toMatchObject({ entries: 1, refused: { 'unreadable line': 1 } })
    for (const empty of ['', '\n\n\n', '\ufeff'])
      expect((await readAll([Buffer.from(empty)])).entries).toBe(0)
    await expectRefused(() => readAll([Buffer.from('\0\0\0\0\n')]), 'INVALID_ARGUMENT', 'log')
  })
})

describe('entries that are handed to a predictor', () => {
  const good = { timestamp: NOW - 1000, key: 'k', operation: 'read' } as const
  const clock = () => new ManualClock(NOW)
  const BAD: readonly [unknown, string][] = [
    ...[Number.NaN, Number.POSITIVE_INFINITY, -1, '2020', null, 1n].map((timestamp): [unknown, string] => [
      { ...good, timestamp },
      'timestamp',
    ]),
    ...[NOW * 2, 8.64e15].map((timestamp): [unknown, string] => [
      { ...good, timestamp },
      'timestamp in the future',
    ]),
    [{ ...good, timestamp: 9e15 }, 'timestamp in the future'],
    ...['', 7, null, 'a\ud800', 'x'.repeat(65_537), ['k']].map((key): [unknown, string] => [
      { ...good, key },
      'key',
    ]),
    ...['steal', '', null, 7, 'READ', '__proto__'].map((operation): [unknown, string] => [
      { ...good, operation },
      'operation',
    ]),
    ...[-1, Number.NaN, '7', null, 1n].flatMap((it): [unknown, string][] => [
      [{ ...good, bytes: it }, 'bytes'],
      [{ ...good, count: it }, 'count'],
    ]),
    ...[7, null, {}].map((transactionId): [unknown, string] => [{ ...good, transactionId }, 'transactionId']),
    ...[null, undefined, 7, 'text'].map((it): [unknown, string] => [it, 'not an object']),
  ]

  it('are refused one by one, each with its reason, and change no forecast', async () => {
    const [clean, dirty] = [1, 2].map(
      () => new Predictor({ shards: ['a', 'b'], buckets: 16, clock: clock() }),
    )
    const log: AccessLogEntry[] = Array.from({ length: 500 }, (_, i) => ({
      ...good,
      timestamp: NOW - 3.6e6 * (i % 48) - 1,
      key: `k${i % 9}`,
    }))
    await clean!.ingest(log)
    const report = await dirty!.ingest(log.flatMap((entry, i) => [entry, BAD[i % BAD.length]![0]]))
    const reasons = new Map<string, number>()
    for (let i = 0; i < log.length; i++)
      reasons.set(BAD[i % BAD.length]![1], (reasons.get(BAD[i % BAD.length]![1]) ?? 0) + 1)
    expect(report.accepted).toBe(500)
    expect(new Map(report.refused)).toEqual(reasons)
    expect(report.examples.length).toBeLessThan(40)
    const asked = { now: NOW }
    expect((await dirty!.predict(asked)).hotSegments).toEqual((await clean!.predict(asked)).hotSegments)
    expect(dirty!.metrics.slots).toBe(clean!.metrics.slots)
  })

  it('of any kind are counted or refused, never more than one for one', async () => {
    const any = fc.anything({ withBigInt: true, maxDepth: 1 })
    const entry = fc.oneof(
      any,
      fc.record(
        {
          timestamp: fc.oneof(fc.integer({ min: NOW - 1e9, max: NOW + 1e9 }), any),
          key: fc.oneof(fc.string(), any),
          operation: fc.oneof(fc.constantFrom('read', 'write'), any),
          count: any,
          bytes: any,
          transactionId: any,
        },
        { requiredKeys: ['timestamp', 'key', 'operation'] },
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 20 }), async (entries) => {
        const predictor = new Predictor({ shards: ['a'], buckets: 8, clock: clock() })
        const { accepted, refused } = await predictor.ingest(entries)
        expect(accepted + [...refused.values()].reduce((a, b) => a + b, 0)).toBe(entries.length)
        for (const each of entries) await refusalOf(() => predictor.record(each as never))
        const { entries: counts } = await simulate(entries as never, {
          shards: 2,
          buckets: 8,
          policies: ['hash'],
          clock: clock(),
        })
        expect(counts.used + counts.late + Object.values(counts.refused).reduce((a, b) => a + b!, 0)).toBe(
          counts.read,
        )
      }),
      { numRuns: 60 },
    )
  })

  it('twice are counted twice, and out of order they are counted where they belong', async () => {
    const predictor = new Predictor({ shards: ['a', 'b'], buckets: 16, clock: clock() })
    const log = [3, 1, 2, 1, 3].map((hour) => ({ ...good, timestamp: NOW - hour * 3.6e6 }))
    expect((await predictor.ingest(log)).accepted).toBe(5)
    expect(predictor.metrics).toMatchObject({ accepted: 5, intervals: 3 })
  })

  it('that are no log are refused as a whole', async () => {
    const predictor = new Predictor({ shards: ['a'], buckets: 8, clock: clock() })
    for (const log of [undefined, null, 7, 'text', {}, () => []])
      await expectRefused(() => predictor.ingest(log as never), 'INVALID_ARGUMENT', 'entries')
  })

  it('from 1970 and from today, an interval of a millisecond apart, end a simulation soon', async () => {
    const log = [
      { ...good, timestamp: 0 },
      { ...good, timestamp: NOW },
    ]
    const refusal = await refusalOf(() =>
      simulate(log, { shards: 2, buckets: 8, policies: ['hash'], intervalMs: 1, clock: clock() }),
    )
    expect(refusal?.code ?? 'served').toMatch(/served|INVALID_ARGUMENT/)
  })
})

describe('a million distinct keys in a minute', () => {
  const keyAt = (i: number) => `user:${i}:${(i * 2_654_435_761) % 1e9}`

  it('are counted by a predictor whose memory does not grow with them', async () => {
    const predictor = new Predictor({ shards: ['a', 'b', 'c'], clock: new ManualClock(NOW) })
    const count = (from: number) => {
      for (let i = from; i < from + 500_000; i++)
        predictor.record({
          timestamp: NOW + Math.floor((i / 1e6) * 60_000),
          key: keyAt(i),
          operation: i % 3 ? 'read' : 'write',
          transactionId: `t${i >> 1}`,
        })
    }
    const empty = heldBytes()
    count(0)
    const half = heldBytes()
    count(500_000)
    const full = heldBytes()
    expect(predictor.metrics.accepted).toBe(1_000_000)
    expect(full - empty).toBeLessThan(64 * MIB)
    // All that there is room for was taken by the first half.
    expect(full - half).toBeLessThan(8 * MIB)
  })

  it('are counted by a tracker whose memory does not grow with them', () => {
    const tracker = new Tracker(16_384)
    const count = (from: number) => {
      for (let i = from; i < from + 500_000; i++)
        tracker.record(NOW + i / 20, keyAt(i), i % 16_384, undefined, i % 3 === 0, 100)
    }
    const empty = heldBytes()
    count(0)
    const half = heldBytes()
    count(500_000)
    const full = heldBytes()
    expect(tracker.topKeys(10, NOW + 60_000)).toHaveLength(10)
    expect(full - empty).toBeLessThan(16 * MIB)
    expect(full - half).toBeLessThan(4 * MIB)
  })
})
