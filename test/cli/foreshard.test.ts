import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { durationOf } from '../../src/cli/duration'
import { foreshard } from '../../src/cli/foreshard'
import { ManualClock, seededRandom } from '../../src/clock'

const folder = mkdtempSync(join(tmpdir(), 'foreshard-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string | Buffer) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function run(args: string[], { stdin = '', isTTY = false } = {}) {
  const out = { stdout: '', stderr: '' }
  const code = await foreshard(args, {
    stdin: Readable.from(stdin ? [Buffer.from(stdin)] : []),
    stdout: { write: (text: string) => (out.stdout += text) },
    stderr: { isTTY, write: (text: string) => (out.stderr += text) },
    clock: new ManualClock(1_700_000_000_000),
  })
  return { code, ...out }
}

/** Twelve hours of skewed accesses, two keys a transaction. */
const LOG = (() => {
  const random = seededRandom(9)
  const lines = ['timestamp,key,operation,transactionId']
  for (let i = 0; i < 3_000; i++)
    lines.push(`${1_600_000_000_000 + i * 14_400},k${Math.floor(40 * random() ** 3)},read,t${i >> 1}`)
  return `${lines.join('\n')}\n`
})()

describe('foreshard simulate', () => {
  it('prints a line a policy and the verdict', async () => {
    const { code, stdout, stderr } = await run(['simulate', '-', '--shards', '4', '--horizon', '4h'], {
      stdin: LOG,
    })
    expect(code).toBe(0)
    expect(stderr).toBe('')
    const lines = stdout.split('\n')
    expect(lines[0]).toMatch(/^policy +imbalance +p99 +by load +p99 +cross-shard +moves +load moved +J$/)
    expect(lines.slice(1, 5).map((line) => line.split(' ')[0])).toEqual([
      'hash',
      'reactive',
      'predictive',
      'clairvoyant',
    ])
    expect(lines[1]).toMatch(/ 0 +0\.0 % +\d\.\d{4}$/)
    expect(stdout).toMatch(/\n\n\S.*J \d\.\d{3}.*\.\n$/)
  })

  it('gives the whole report as JSON, with what was left out', async () => {
    const { stdout } = await run(
      [
        'simulate',
        '-',
        '--shards=a:2,b',
        '--policies',
        'hash,reactive',
        '--json',
        '--interval',
        '1h',
        '--seed',
        '5',
      ],
      { stdin: `${LOG}nonsense\n` },
    )
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({
      shards: ['a', 'b'],
      seed: 5,
      intervalMs: 3_600_000,
      horizonMs: 24 * 3_600_000,
      lines: 3002,
      refused: { 'unreadable line': { count: 1, examples: [{ line: 3002, text: 'nonsense' }] } },
    })
    expect(report.policies.hash.intervals.length).toBeGreaterThan(10)
    expect(Object.keys(report.policies)).toEqual(['hash', 'reactive'])
  })

  it('reads files, gzipped too, and takes tags from a schema', async () => {
    const log = 'timestamp,key,operation,transactionId\n1,cart:7:x,read,t\n2,user:7,read,t\n'
    const schema = {
      entities: [
        { name: 'user', key: 'user:{id}' },
        { name: 'cart', key: 'cart:{userId}:{item}', tag: 'userId' },
      ],
      relationships: [{ from: 'cart', to: 'user', on: 'userId' }],
    }
    const args = [
      'simulate',
      file('a.csv.gz', gzipSync(log)),
      '--shards',
      '64',
      '--policies',
      'hash',
      '--json',
    ]
    const crossing = async (more: string[]) =>
      JSON.parse((await run([...args, ...more])).stdout).policies.hash.crossShard
    expect(await crossing([])).toBe(1)
    expect(await crossing(['--schema', file('schema.json', JSON.stringify(schema))])).toBe(0)
  })

  it('tells on standard error which lines were left out, harmless to a terminal', async () => {
    const { code, stderr } = await run(['simulate', '-', '--shards', '2', '--policies', 'hash'], {
      stdin: `${LOG}\x1b[2Jx,k,read,\nlate,k,read,\n1,k,read,\n`,
    })
    expect(code).toBe(0)
    expect(stderr).toMatch(/^2 lines were left out: timestamp\n/)
    expect(stderr).toContain('line 3002: "\\u001b[2Jx,k,read,"')
    expect(stderr).toContain('left out for coming after their interval was over: 1.')
    expect(stderr).not.toContain('\x1b')
  })

  it('shows its progress where somebody is looking, and wipes it away', async () => {
    const { stderr } = await run(['simulate', '-', '--shards', '2', '--policies', 'hash'], {
      stdin: LOG,
      isTTY: true,
    })
    expect(stderr).toMatch(/\d+ lines, 2020-09-14T\d\d:\d\d, \d+ lines\/s/)
    expect(stderr.endsWith('\r\x1b[K')).toBe(true)
  })
})

describe('the report of foreshard simulate as a page', () => {
  it('is complete in itself: policies, plots with tables, budgets, the verdict, and no request to anywhere', async () => {
    const log = file('page.csv', LOG.replaceAll('k1,', '<script>,'))
    const page = join(folder, 'report.html')
    const args = [
      'simulate',
      log,
      '--shards',
      '4',
      '--horizon',
      '4h',
      '--html',
      page,
      '--budgets',
      '1,8',
      '--json',
    ]
    const { code, stdout } = await run(args)
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report.budgets.map((it: { maxMoves: number }) => it.maxMoves)).toEqual([1, 8])
    const html = readFileSync(page, 'utf8')
    expect(html).toContain(report.verdict)
    for (const title of ['Policies side by side', 'Imbalance', 'Moves', 'Cost against gain by budget'])
      expect(html).toContain(`<h2>${title}</h2>`)
    expect(html).not.toMatch(/<script|<link|<img|https?:|url\(|@import/)
    expect(html.match(/<svg /g)).toHaveLength(4)
    expect(html.match(/role="img" aria-label=/g)).toHaveLength(4)
    expect(html.match(/<details>/g)).toHaveLength(4)
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('needs a file that can be read again for budgets, and says so', async () => {
    const { code, stderr } = await run(['simulate', '-', '--shards', '4', '--budgets', '1'], { stdin: LOG })
    expect(code).toBe(1)
    expect(stderr).toMatch(/give a file/)
  })
})

describe('foreshard predict', () => {
  it('prints what should move, how sure that is, and why', async () => {
    const { code, stdout } = await run(['predict', '-', '--shards', '4'], { stdin: LOG })
    expect(code).toBe(0)
    expect(stdout).toMatch(/segment +from +to +confidence\n/)
    expect(stdout).toMatch(/J falls by 0\.\d{4}/)
    expect(stdout).toMatch(/Brings 0\.\d+, costs 0\.\d+ \(\d+ segments, .*\): 0\.\d+ of J are left/)
  })

  it('gives the same as JSON', async () => {
    const { stdout } = await run(['predict', '-', '--shards', '4', '--json', '--max-moves', '2'], {
      stdin: LOG,
    })
    const prediction = JSON.parse(stdout)
    const segments = Object.keys(prediction.shardAssignmentMap)
    expect(segments.length).toBeGreaterThan(0)
    expect(segments.length).toBeLessThanOrEqual(2)
    expect(Object.keys(prediction.confidenceScores)).toEqual(segments)
    expect(prediction.now % 3_600_000).toBe(0)
  })

  it('says so when nothing is worth moving', async () => {
    const { code, stdout } = await run(['predict', '-', '--shards', '1'], { stdin: LOG })
    expect(code).toBe(0)
    expect(stdout).toMatch(/Nothing is worth moving\.\n$/)
  })
})

describe('foreshard predict --post', () => {
  const asked: { authorization: string | undefined; body: string }[] = []
  let status = 204
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      asked.push({ authorization: request.headers.authorization, body })
      response
        .writeHead(status, { location: '/elsewhere' })
        .end(status === 403 ? 'not\u001b[31m you' : undefined)
    })
  })
  let url = ''
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/recommendations`
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))
  const predict = (...args: string[]) =>
    run(['predict', '-', '--shards', '4', '--max-moves', '2', ...args], { stdin: LOG })

  it('posts what --json prints, with the token that the environment holds', async () => {
    const { stdout } = await predict('--json')
    vi.stubEnv('POST_TOKEN', 'a-secret')
    const { code, stderr, stdout: nothing } = await predict('--post', url, '--token-env', 'POST_TOKEN')
    expect({ code, nothing }).toEqual({ code: 0, nothing: '' })
    expect(stderr).toMatch(/posted: [12] segments to move/)
    expect(asked.splice(0)).toEqual([{ authorization: 'Bearer a-secret', body: stdout.trim() }])
  })

  it.each([403, 307])(
    'says that %i is no delivery, posts nothing twice and shows no token',
    async (refusal) => {
      status = refusal
      vi.stubEnv('POST_TOKEN', 'a-secret')
      const { code, stderr } = await predict('--post', url, '--token-env', 'POST_TOKEN')
      expect(code).toBe(4)
      expect(stderr).not.toContain('a-secret')
      expect(stderr).not.toContain('\u001b')
      expect(asked.splice(0)).toHaveLength(1)
      status = 204
    },
  )

  it('says so where nobody answers, and refuses addresses that are none before it reads the log', async () => {
    expect((await predict('--post', 'http://127.0.0.1:1/')).code).toBe(4)
    expect((await predict('--post', 'ftp://127.0.0.1/')).code).toBe(1)
    expect((await predict('--post', 'nonsense')).code).toBe(1)
    expect((await predict('--post', 'http://me:secret@127.0.0.1/')).code).toBe(1)
    expect((await predict('--token-env', 'POST_TOKEN')).code).toBe(1)
    expect((await predict('--post', url, '--token-env', 'NO_SUCH_TOKEN')).code).toBe(2)
    expect(asked).toEqual([])
  })
})

describe('the exit code', () => {
  it.each([
    ['0 for help', ['--help'], 0],
    ['0 for the help of a command', ['help', 'simulate'], 0],
    ['0 for the help of a command, its own way', ['predict', '--help'], 0],
    ['1 without a command', [], 1],
    ['1 for an unknown command', ['constructor'], 1],
    ['1 for an unknown option', ['simulate', '-', '--shard', '8'], 1],
    ['1 without shards', ['simulate', '-'], 1],
    ['1 without a log', ['simulate', '--shards', '8'], 1],
    ['1 for two logs', ['simulate', 'a', 'b', '--shards', '8'], 1],
    ['1 for a duration that is none', ['simulate', '-', '--shards', '8', '--interval', 'hourly'], 1],
    ['1 for a horizon of half an interval', ['simulate', '-', '--shards', '8', '--horizon', '90m'], 1],
    ['1 for an unknown policy', ['simulate', '-', '--shards', '8', '--policies', 'oracle'], 1],
    ['1 for no shards', ['predict', '-', '--shards', '0'], 1],
    ['1 for shards of one name', ['predict', '-', '--shards', 'a,a'], 1],
    ['1 for a weight of zero', ['predict', '-', '--shards', 'a:0,b'], 1],
    ['2 for a log that is not there', ['simulate', join(folder, 'missing'), '--shards', '8'], 2],
    ['2 for a log that is a folder', ['predict', folder, '--shards', '8'], 2],
    ['2 for an empty log', ['simulate', '-', '--shards', '8'], 2],
    [
      '2 for a schema that is not there',
      ['simulate', '-', '--shards', '8', '--schema', join(folder, 'no')],
      2,
    ],
  ])('is %s', async (_, args, code) => {
    const result = await run(args)
    expect(result.code).toBe(code)
    expect(code === 0 ? result.stdout : result.stderr).toMatch(code === 0 ? /foreshard/ : /^foreshard: ./m)
  })

  it.each([
    ['a log without a header', 'a,b,c\n1,2,3\n'],
    ['a log without one usable line', 'timestamp,key,operation\nx,y,z\n'],
    ['a gzip stream that is cut off', gzipSync(LOG).subarray(0, 200)],
  ])('is 2 for %s', async (_, content) => {
    const log = file('bad', content)
    for (const command of ['simulate', 'predict'])
      expect(await run([command, log, '--shards', '4'])).toMatchObject({ code: 2, stdout: '' })
  })

  it.each([
    ['that is not JSON', '{'],
    ['without entities', '{}'],
    ['with a bad pattern', '{"entities":[{"name":"u","key":"user"}]}'],
  ])('is 2 for a schema %s', async (_, content) => {
    const schema = file('schema.json', content)
    expect((await run(['simulate', '-', '--shards', '4', '--schema', schema], { stdin: LOG })).code).toBe(2)
  })
})

describe('the help', () => {
  it('names every command that there is, its exit codes, and no other', async () => {
    const { stdout } = await run(['--help'])
    expect(stdout).toMatch(/simulate LOG.*\n.*predict LOG/)
    expect(stdout).toMatch(/^ {2}serve {2}.*\n {2}demo {2}.*\n {2}help COMMAND/m)
    for (const code of [0, 1, 2, 3]) expect(stdout).toMatch(new RegExp(`^  ${code}  `, 'm'))
  })
})

describe('a duration', () => {
  it('is a number and a unit', () => {
    expect(['500ms', '90s', '15m', '1.5h', '7d', '2w'].map(durationOf)).toEqual([
      500, 90_000, 900_000, 5_400_000, 604_800_000, 1_209_600_000,
    ])
    for (const wrong of ['', '1', 'h', '-1h', '0s', '1 h', '1e3s', '1.0001ms', '99999999999w'])
      expect(durationOf(wrong)).toBeUndefined()
  })
})
