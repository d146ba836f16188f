import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Field } from '../../src/cli/csv-columns'
import { LogReader, type LogReaderOptions } from '../../src/cli/log-reader'
import { keyWordsOf } from '../../src/cli/redis-commands'
import { statementOf } from '../../src/cli/statements'
import type { AccessLogEntry } from '../../src/tracking/access-log'

async function read(lines: string | readonly string[], options: LogReaderOptions = {}) {
  const text = typeof lines === 'string' ? lines : `${lines.join('\n')}\n`
  const reader = new LogReader(Readable.from([Buffer.from(text)]), options)
  const entries: AccessLogEntry[] = []
  for await (const entry of reader) entries.push(JSON.parse(JSON.stringify(entry)))
  const counts = (of: ReadonlyMap<string, { count: number }>) =>
    Object.fromEntries([...of].map(([reason, { count }]) => [reason, count]))
  return { entries, refused: counts(reader.refused), skipped: counts(reader.skipped), format: reader.format }
}

const columns = (of: Partial<Record<Field, string>>) => new Map(Object.entries(of)) as Map<Field, string>

describe('what Redis prints under MONITOR', () => {
  const at = (seconds: string, words: string, client = '127.0.0.1:60866', db = 0) =>
    `${seconds} [${db} ${client}] ${words}`
  const keys = (entries: readonly AccessLogEntry[]) =>
    entries.map(({ key, operation }) => `${operation} ${key}`)

  it('is known by its first line, and a command is an access to its key', async () => {
    const { entries, format } = await read([
      'OK',
      at('1339518083.107412', '"get" "user:1"'),
      at('1339518087.877697', '"SET" "user:1" "a \\"quoted\\" word"', '[::1]:60866'),
      at('1339518090.420270', '"HSET" "h" "f" "v"', 'unix:/tmp/redis.sock'),
    ])
    expect(format).toBe('monitor')
    expect(entries).toEqual([
      { timestamp: 1339518083107.412, key: 'user:1', operation: 'read', queryType: 'get' },
      { timestamp: 1339518087877.697, key: 'user:1', operation: 'write', bytes: 15, queryType: 'set' },
      { timestamp: 1339518090420.27, key: 'h', operation: 'write', queryType: 'hset' },
    ])
  })

  it('spells every byte: quotes, backslashes, control characters and UTF-8 come back as they were', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 }),
        async (names) => {
          const line = at('1.000000', ['mget', ...names].map(repr).join(' '))
          const { entries, refused } = await read([line], { format: 'monitor' })
          const sound = names.filter(
            (name) => !/[\ud800-\udfff]/.test(name.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')),
          )
          if (sound.length !== names.length) return
          expect(refused).toEqual({})
          expect(entries.map(({ key }) => key)).toEqual(names)
        },
      ),
      { numRuns: 200, seed: 7 },
    )
  })

  it('keeps a key that is no UTF-8 as it is shown, so that no two become one', async () => {
    const { entries } = await read([at('1.000000', '"mget" "\\xff" "\\xfe" "\\xc3\\xa4"')])
    expect(entries.map(({ key }) => key)).toEqual(['\\xff', '\\xfe', 'ä'])
  })

  it('names several keys in one transaction, the destination written and the sources read', async () => {
    const { entries } = await read([
      at('1.000000', '"sunionstore" "to" "a" "b"'),
      at('2.000000', '"mset" "k1" "v1" "k2" "v2"'),
      at('3.000000', '"zunionstore" "out" "2" "z1" "z2" "weights" "1" "2"'),
      at('4.000000', '"evalsha" "abc" "2" "x" "y" "argument"'),
      at('5.000000', '"xreadgroup" "group" "g" "c" "count" "2" "streams" "s1" "s2" ">" ">"'),
      at('6.000000', '"blpop" "l1" "l2" "0"'),
    ])
    expect(keys(entries)).toEqual([
      'write to',
      'read a',
      'read b',
      'write k1',
      'write k2',
      'write out',
      'read z1',
      'read z2',
      'write x',
      'write y',
      'write s1',
      'write s2',
      'write l1',
      'write l2',
    ])
    expect(new Set(entries.map(({ transactionId }) => transactionId)).size).toBe(6)
  })

  it('joins what a client does between MULTI and EXEC, and nothing of another client', async () => {
    const { entries } = await read([
      at('1.000000', '"multi"', 'a:1'),
      at('1.100000', '"get" "other"', 'b:1'),
      at('1.200000', '"set" "x" "1"', 'a:1'),
      at('1.200001', '"incr" "y"', 'a:1'),
      at('1.200002', '"exec"', 'a:1'),
      at('1.300000', '"get" "z"', 'a:1'),
    ])
    const [other, x, y, z] = entries
    expect(x!.transactionId).toBeDefined()
    expect(y!.transactionId).toBe(x!.transactionId)
    expect([other!.transactionId, z!.transactionId]).toEqual([undefined, undefined])
  })

  it('lets go of a MULTI whose client was cut off: what its successor does is none of that transaction', async () => {
    const { entries } = await read([
      at('1.000000', '"multi"', 'a:1'),
      at('1.200000', '"set" "x" "1"', 'a:1'),
      at('1.300000', '"get" "other"', 'b:1'),
      at('1.400000', '"get" "y"', 'a:1'),
      at('1.500000', '"multi"', 'a:1'),
      at('1.600000', '"discard"', 'a:1'),
      at('1.700000', '"get" "z"', 'a:1'),
    ])
    expect(entries.map(({ transactionId }) => transactionId !== undefined)).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('counts what stands for no access by its reason', async () => {
    const { entries, skipped, refused } = await read([
      at('1.000000', '"ping"'),
      at('1.000000', '"get" "k"', 'lua'),
      at('1.000000', '"frobnicate" "k"'),
      at('1.000000', '"get" "k'),
      at('1.000000', '"get" "k"'),
    ])
    expect(skipped).toEqual({ 'names no key': 1, 'called by a script': 1, 'unknown command': 1 })
    expect(refused).toEqual({ 'unreadable line': 1 })
    expect(entries).toHaveLength(1)
  })

  it('tells databases apart by a prefix, or reads one of them', async () => {
    const log = [at('1.000000', '"get" "k"'), at('2.000000', '"get" "k"', 'a:1', 3)]
    expect((await read(log)).entries.map(({ key }) => key)).toEqual(['k', 'db3:k'])
    const { entries, skipped } = await read(log, { database: 3 })
    expect(entries.map(({ key, timestamp }) => [key, timestamp])).toEqual([['k', 2000]])
    expect(skipped).toEqual({ 'another database': 1 })
  })

  it('has a place in the table for every command that the table of keyless ones does not have', () => {
    expect(keyWordsOf('GET')).toMatchObject({ write: false, first: 1 })
    expect(keyWordsOf('flushall')).toBeUndefined()
    expect(keyWordsOf('constructor')).toBeNull()
  })
})

describe('the access log of a web server', () => {
  const combined =
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326 "http://h/s.html" "Mozilla/4.08 [en]"'

  it('is known by its first line: a path is a key, GET reads, POST writes', async () => {
    const { entries, format } = await read([
      combined,
      '::1 - - [11/Oct/2000:00:00:00 +0000] "POST /form HTTP/1.1" 302 - "-" "curl \\"7\\""',
      'h - - [11/Oct/2000:00:00:01 +0000] "HEAD http://h:80/x#y HTTP/1.1" 200 0',
    ])
    expect(format).toBe('combined')
    expect(entries).toEqual([
      {
        timestamp: 971211336000,
        key: '/a.gif',
        operation: 'read',
        bytes: 2326,
        queryType: 'GET',
        userProfile: 'frank',
      },
      { timestamp: 971222400000, key: '/form', operation: 'write', queryType: 'POST' },
      { timestamp: 971222401000, key: '/x', operation: 'read', bytes: 0, queryType: 'HEAD' },
    ])
  })

  it('may have another key and another kind of user', async () => {
    const of = async (options: LogReaderOptions) => (await read([combined], options)).entries[0]!
    expect((await of({ key: 'url' })).key).toBe('/a.gif?x=1')
    expect((await of({ key: 'host' })).key).toBe('127.0.0.1')
    expect((await of({ key: 'user' })).key).toBe('frank')
    expect((await of({ user: 'agent' })).userProfile).toBe('Mozilla/4.08 [en]')
    expect((await of({ user: 'none' })).userProfile).toBeUndefined()
  })

  it('counts what is no request, and the lines around it are read', async () => {
    const { entries, refused } = await read([
      combined,
      'h - - [11/Oct/2000:00:00:00 +0000] "-" 408 - "-" "-"',
      'h - - [11/Oct/2000:00:00:00 +0000] "\\x16\\x03\\x01" 400 226 "-" "-"',
      'h - - [99/Foo/2000:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"',
      combined,
    ])
    expect(entries).toHaveLength(2)
    expect(refused).toEqual({ 'unreadable line': 2, timestamp: 1 })
  })
})

describe('snapshots of pg_stat_statements', () => {
  const header = 'snapshot,userid,dbid,queryid,query,calls'
  const rows = (time: string, a: number, b: number) => [
    `${time},10,5,1,"SELECT * FROM users u JOIN orders o ON o.user_id = u.id",${a}`,
    `${time},10,5,2,"UPDATE users SET seen = $1 WHERE id = $2",${b}`,
  ]

  it('count the calls since the snapshot before, tables being keys and joins transactions', async () => {
    const { entries, skipped, format } = await read([
      header,
      ...rows('2024-05-01 12:00:00+00', 100, 7),
      ...rows('2024-05-01 13:00:00.5+00', 130, 7),
      ...rows('2024-05-01 15:00:00+01', 4, 9),
    ])
    expect(format).toBe('statements')
    expect(entries).toEqual([
      {
        timestamp: 1714568400500,
        key: 'users',
        operation: 'read',
        transactionId: 'q1',
        count: 30,
        queryType: '1',
      },
      {
        timestamp: 1714568400500,
        key: 'orders',
        operation: 'read',
        transactionId: 'q1',
        count: 30,
        queryType: '1',
      },
      // The counters were reset: 4 calls since.
      {
        timestamp: 1714572000000,
        key: 'users',
        operation: 'read',
        transactionId: 'q2',
        count: 4,
        queryType: '1',
      },
      {
        timestamp: 1714572000000,
        key: 'orders',
        operation: 'read',
        transactionId: 'q2',
        count: 4,
        queryType: '1',
      },
      { timestamp: 1714572000000, key: 'users', operation: 'write', count: 2, queryType: '2' },
    ])
    expect(skipped).toEqual({ 'first snapshot of its statement': 2, 'not called since the last snapshot': 1 })
  })

  it('without a time are refused with the query that exports it', async () => {
    await expect(read(['queryid,query,calls', '1,select 1,2'])).rejects.toThrow(/SELECT now\(\) AS snapshot/)
  })

  it.each([
    ['SELECT a FROM t', 'read', ['t']],
    [
      'select * from "My Table", public.u as x where y in (select z from v)',
      'read',
      ['My Table', 'public.u', 'v'],
    ],
    ['INSERT INTO t (a, b) SELECT c, d FROM s ON CONFLICT DO UPDATE SET a = $1', 'write', ['t', 's']],
    [
      'WITH recent AS (SELECT * FROM log) DELETE FROM t USING recent WHERE t.id = recent.id',
      'write',
      ['log', 't'],
    ],
    ['SELECT extract(epoch FROM created) FROM t FOR UPDATE', 'read', ['t']],
    ['SELECT * FROM generate_series($1, $2) g', 'read', []],
    ["SELECT 'from x' -- from y\n FROM t", 'read', ['t']],
    ['BEGIN', 'read', []],
  ])('%s is a %s of %j', (query, operation, tables) => {
    expect(statementOf(query)).toEqual({ operation, tables })
  })
})

describe('a CSV log with columns of its own', () => {
  it('is told which column says what, by name or by number, in its own words and units', async () => {
    const named = await read(['ts,user_id,item,op', '1600000000,7,x,GET', '1600000001.5,8,y,insert'], {
      columns: columns({
        timestamp: 'ts',
        key: 'cart:{user_id}:{item}',
        operation: 'op',
        userProfile: 'item',
      }),
      time: 's',
    })
    expect(named.entries).toEqual([
      { timestamp: 1600000000000, key: 'cart:7:x', operation: 'read', userProfile: 'x' },
      { timestamp: 1600000001500, key: 'cart:8:y', operation: 'write', userProfile: 'y' },
    ])
    const numbered = await read(['1600000000000000,k1', '1600000000001000,k2'], {
      columns: columns({ timestamp: '1', key: '2' }),
      time: 'us',
      operation: 'read',
    })
    expect(numbered.entries.map(({ timestamp, key }) => [timestamp, key])).toEqual([
      [1600000000000, 'k1'],
      [1600000000001, 'k2'],
    ])
  })

  it('reads ISO 8601 in any unit, and nothing else where it is asked for', async () => {
    const { entries, refused } = await read(['timestamp,key', '2020-09-13T12:26:40Z,a', '1600000000,b'], {
      operation: 'read',
      time: 'iso',
    })
    expect(entries.map(({ timestamp }) => timestamp)).toEqual([1600000000000])
    expect(refused).toEqual({ timestamp: 1 })
  })

  it('must have the columns that are named', async () => {
    const options = { columns: columns({ timestamp: 'when', key: 'k' }), operation: 'read' } as const
    await expect(read(['ts,k', '1,a'], options)).rejects.toThrow(/no column when; there are ts, k/)
  })

  it('gives the same entries by the quick way and by the thorough one', async () => {
    const field = fc.oneof(
      fc.string({ maxLength: 5 }),
      fc.constantFrom('', '0', '17', 'read', 'write', 'ä', '1e3', '007'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(field, { minLength: 4, maxLength: 6 }), { maxLength: 8 }),
        async (rows) => {
          const lines = rows.map((row) => row.join(',').replaceAll(/[\r\n]/g, ' '))
          const log = ['key,timestamp,bytes,operation,transactionId', ...lines].join('\n')
          const quick = await read(`${log}\n`)
          // Cut into single bytes, every line takes the thorough way.
          const reader = new LogReader(
            Readable.from([...Buffer.from(log)].map((byte) => Buffer.from([byte]))),
          )
          const entries: AccessLogEntry[] = []
          for await (const entry of reader) entries.push(JSON.parse(JSON.stringify(entry)))
          expect(quick.entries).toEqual(entries)
          expect(Object.values(quick.refused)).toEqual([...reader.refused.values()].map(({ count }) => count))
        },
      ),
      { numRuns: 300, seed: 11 },
    )
  })
})

/** As sdscatrepr of Redis prints a word. */
function repr(text: string): string {
  const special: Record<number, string> = {
    92: '\\\\',
    34: '\\"',
    10: '\\n',
    13: '\\r',
    9: '\\t',
    7: '\\a',
    8: '\\b',
  }
  const bytes = [...Buffer.from(text)].map(
    (byte) =>
      special[byte] ??
      (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`),
  )
  return `"${bytes.join('')}"`
}
