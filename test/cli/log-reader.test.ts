import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { LogReader, type LogReaderOptions } from '../../src/cli/log-reader'
import type { AccessLogEntry } from '../../src/tracking/access-log'

const HEADER = 'timestamp,key,operation,transactionId,bytes,count'

/** Reads bytes that come in chunks of a given size. */
async function read(log: string | Buffer, options: LogReaderOptions & { chunk?: number } = {}) {
  const bytes = Buffer.from(log as string)
  const size = options.chunk ?? 65_536
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
  const reader = new LogReader(Readable.from(chunks), options)
  const entries: AccessLogEntry[] = []
  for await (const entry of reader) entries.push(entry)
  const refused = Object.fromEntries([...reader.refused].map(([reason, { count }]) => [reason, count]))
  return { entries, refused, reader }
}

const csv = (...lines: string[]) => [HEADER, ...lines, ''].join('\n')

describe('a CSV log', () => {
  it('gives an entry a line, absent fields left out', async () => {
    const { entries, refused } = await read(csv('1000,user:1,read,t1,64,3', '2000,user:2,write,,,'))
    expect(entries).toEqual([
      { timestamp: 1000, key: 'user:1', operation: 'read', transactionId: 't1', bytes: 64, count: 3 },
      { timestamp: 2000, key: 'user:2', operation: 'write' },
    ])
    expect(refused).toEqual({})
  })

  it('may name its columns in any order, and others too', async () => {
    const { entries } = await read('operation,colour,userProfile,key,timestamp\nread,blue,guest,k,5\n')
    expect(entries).toEqual([{ timestamp: 5, key: 'k', operation: 'read', userProfile: 'guest' }])
  })

  it('is the same with a byte order mark, CRLF, empty lines, no last newline, or cut anywhere into chunks', async () => {
    const plain = csv('1,ä,read,,,', '2,"b,""c""",write,,,')
    const expected = (await read(plain)).entries
    expect(expected.map((entry) => entry.key)).toEqual(['ä', 'b,"c"'])
    const windows = `\ufeff${plain.replaceAll('\n', '\r\n\r\n').trimEnd()}`
    for (const chunk of [1, 2, 3, 7, 1000]) expect((await read(windows, { chunk })).entries).toEqual(expected)
  })

  it('may break a line inside quotes', async () => {
    const { entries } = await read(csv('1,"two\nlines",read,,,', '2,k,read,,,'))
    expect(entries.map((entry) => entry.key)).toEqual(['two\nlines', 'k'])
  })

  it('takes ISO timestamps, UTC where they name no zone', async () => {
    const times = ['2020-10-01T00:00:00Z', '2020-10-01 00:00:00.5', '2020-10-01T02:00:00+02:00']
    const { entries } = await read(csv(...times.map((time) => `${time},k,read,,,`)))
    expect(entries.map((entry) => entry.timestamp)).toEqual([1601510400000, 1601510400500, 1601510400000])
  })

  it('must have a header that names what every entry needs', async () => {
    await expect(read('1601510400000,k,read\n')).rejects.toThrow(/names no column timestamp, key, operation/)
    await expect(read('timestamp,key\n1,k\n')).rejects.toThrow(/names no column operation/)
  })
})

describe('a bad line', () => {
  it.each([
    ['yesterday,k,read,,,', 'timestamp'],
    ['NaN,k,read,,,', 'timestamp'],
    ['Infinity,k,read,,,', 'timestamp'],
    ['-1,k,read,,,', 'timestamp'],
    ['0x10,k,read,,,', 'timestamp'],
    [',k,read,,,', 'timestamp'],
    ['99999,k,read,,,', 'timestamp in the future'],
    ['1,,read,,,', 'key'],
    [`1,${'k'.repeat(70_000)},read,,,`, 'key'],
    ['1,k,scan,,,', 'operation'],
    ['1,k,read,,many,', 'bytes'],
    ['1,k,read,,,-2', 'count'],
    ['1,k,read', 'unreadable line'],
    ['1,k,read,,,,,,', 'unreadable line'],
    ['1,"k"x,read,,,', 'unreadable line'],
    ['1,k"k",read,,,', 'unreadable line'],
    ['\0\0\0', 'unreadable line'],
  ])('%j is counted as "%s", and the lines around it are read', async (line, reason) => {
    const log = csv('1,before,read,,,', line, '2,after,read,,,')
    const { entries, refused, reader } = await read(log, { latest: 10_000 })
    expect(entries.map((entry) => entry.key)).toEqual(['before', 'after'])
    expect(refused).toEqual({ [reason]: 1 })
    expect([...reader.refused.values()][0]!.examples[0]!.line).toBe(3)
  })

  it('with a quote that is never closed swallows none after it', async () => {
    const rest = Array.from({ length: 50 }, (_, i) => `${i},k${i},read,,,`)
    const { entries, refused } = await read(csv('1,"open,read,,,', ...rest))
    expect(entries).toHaveLength(50)
    expect(refused).toEqual({ 'unreadable line': 1 })
  })

  it('with an open quote, answered by another one far below, costs these two only', async () => {
    const rest = Array.from({ length: 50 }, (_, i) => `${i},k${i},read,,,`)
    const { entries, refused } = await read(csv('1,"open,read,,,', ...rest, '2,"open,read,,,', ...rest))
    expect(entries).toHaveLength(100)
    expect(refused).toEqual({ 'unreadable line': 2 })
  })

  it('with an open quote that a later line closes costs these two only, if together they make no record', async () => {
    const rest = Array.from({ length: 50 }, (_, i) => `${i},k${i},read,,,`)
    const { entries, refused } = await read(csv('1,"open,read,,,', ...rest, '2,b",read', ...rest))
    expect(entries).toHaveLength(100)
    expect(refused).toEqual({ 'unreadable line': 2 })
  })

  it('of ten million bytes is skipped, and only its beginning kept', async () => {
    const giant = Buffer.alloc(10_000_000, 'x')
    const log = Buffer.concat([Buffer.from(csv('1,a,read,,,')), giant, Buffer.from('\n2,b,read,,,\n')])
    const { entries, refused, reader } = await read(log)
    expect(entries.map((entry) => entry.key)).toEqual(['a', 'b'])
    expect(refused).toEqual({ 'line too long': 1 })
    expect(reader.refused.get('line too long')!.examples).toEqual([{ line: 3, text: 'x'.repeat(100) }])
  })

  it('that is not UTF-8 is refused rather than read as another key', async () => {
    const log = Buffer.concat([
      Buffer.from(`${HEADER}\n1,`),
      Buffer.from([0xff, 0xfe]),
      Buffer.from(',read,,,\n1,ok,read,,,\n'),
    ])
    const { entries, refused } = await read(log)
    expect(entries.map((entry) => entry.key)).toEqual(['ok'])
    expect(refused).toEqual({ 'unreadable line': 1 })
  })

  it('is shown by the first three examples of its reason', async () => {
    const { reader } = await read(csv(...Array.from({ length: 9 }, (_, i) => `x${i},k,read,,,`)))
    const { count, examples } = reader.refused.get('timestamp')!
    expect(count).toBe(9)
    expect(examples.map(({ line }) => line)).toEqual([2, 3, 4])
  })
})

describe('an NDJSON log', () => {
  it('is told from CSV by its first character', async () => {
    const { entries } = await read(
      '{"timestamp":1,"key":"a","operation":"read","count":2,"other":{}}\n{"timestamp":"2020-10-01T00:00:00Z","key":"b","operation":"write","transactionId":null}\n',
    )
    expect(entries).toEqual([
      { timestamp: 1, key: 'a', operation: 'read', count: 2 },
      { timestamp: 1601510400000, key: 'b', operation: 'write' },
    ])
  })

  it.each([
    ['{"timestamp":1', 'unreadable line'],
    ['[1,2]', 'not an object'],
    ['null', 'not an object'],
    ['{"__proto__":{"timestamp":1,"key":"x","operation":"read"}}', 'timestamp'],
    ['{"timestamp":1,"key":5,"operation":"read"}', 'key'],
    ['{"timestamp":1,"key":"x","operation":"read","transactionId":7}', 'transactionId'],
    ['{"timestamp":1,"key":"x","operation":"read","count":1e999}', 'count'],
  ])('counts %s as "%s"', async (line, reason) => {
    const good = '{"timestamp":1,"key":"a","operation":"read"}'
    const { entries, refused } = await read(`${good}\n${line}\n${good}\n`)
    expect(entries).toHaveLength(2)
    expect(refused).toEqual({ [reason]: 1 })
    expect(Object.prototype).not.toHaveProperty('timestamp')
  })
})

describe('a gzipped log', () => {
  const log = csv('1,a,read,,,', '2,b,read,,,')

  it('is known by its first bytes, also when these come one by one', async () => {
    const { entries } = await read(gzipSync(log), { chunk: 1 })
    expect(entries).toHaveLength(2)
  })

  it('that is cut off is an error that says so', async () => {
    await expect(read(gzipSync(log).subarray(0, -12))).rejects.toThrow(/cannot be unpacked/)
  })
})

describe('reading a log', () => {
  it('takes in no more than is asked for, and closes the source when the reader stops', async () => {
    let given = 0
    let closed = false
    const source = Readable.from(
      (async function* () {
        try {
          yield Buffer.from(`${HEADER}\n`)
          for (;;) {
            given++
            yield Buffer.from('1,k,read,,,\n')
          }
        } finally {
          closed = true
        }
      })(),
      { highWaterMark: 1 },
    )
    let taken = 0
    for await (const _ of new LogReader(source)) if (++taken === 10) break
    expect(given).toBeLessThan(20)
    expect(closed).toBe(true)
  })

  it('of nothing gives nothing', async () => {
    expect((await read('')).entries).toEqual([])
    expect((await read('\n\n')).entries).toEqual([])
  })
})
