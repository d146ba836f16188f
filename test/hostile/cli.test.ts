import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ExitCode } from '../../src/cli/exit-code'
import { foreshard } from '../../src/cli/foreshard'
import { ManualClock } from '../../src/clock'
import { LOG_LINES } from './corpus'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

let folder: string
let log: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'foreshard-hostile-'))
  log = join(folder, 'log.csv')
  writeFileSync(
    log,
    `${[LOG_LINES.csv.header, ...LOG_LINES.csv.served, ...LOG_LINES.csv.refused].join('\n')}\n`,
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(args: readonly string[], stdin = '') {
  const [out, told]: string[][] = [[], []]
  const terminal = {
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout: { write: (text: string) => out!.push(text) },
    stderr: { write: (text: string) => told!.push(text) },
    clock: new ManualClock(1_601_600_000_000),
  }
  const code = await foreshard(args, terminal)
  return { code, stdout: out!.join(''), stderr: told!.join('') }
}

const SMALL = ['--shards', '2', '--buckets', '8']

describe('the command', () => {
  it.each<[string[], number]>([
    [[], ExitCode.USAGE],
    [['simulat'], ExitCode.USAGE],
    [['__proto__'], ExitCode.USAGE],
    [['x'.repeat(1_000_000)], ExitCode.USAGE],
    [['simulate'], ExitCode.USAGE],
    [['simulate', 'a', 'b', ...SMALL], ExitCode.USAGE],
    [['simulate', 'LOG'], ExitCode.USAGE],
    [['simulate', 'LOG', '--shard', '2'], ExitCode.USAGE],
    ...[
      '0',
      '-1',
      '1.5',
      '1e9',
      '99999',
      '',
      ',',
      'a,a',
      'a b',
      '__proto__',
      'a:0',
      'a:-1',
      'a:NaN',
      'a:1e300',
    ].flatMap((shards): [string[], number][] => [
      [['simulate', 'LOG', `--shards=${shards}`], ExitCode.USAGE],
      [['predict', 'LOG', `--shards=${shards}`], ExitCode.USAGE],
    ]),
    ...['0', '-1', '9999999', '1.5', 'x', ''].map((it): [string[], number] => [
      ['predict', 'LOG', '--shards=2', `--buckets=${it}`],
      ExitCode.USAGE,
    ]),
    ...['0s', '-1h', '1', 'h', '1y', '1e9h', '9'.repeat(400).concat('d'), ''].map(
      (it): [string[], number] => [['simulate', 'LOG', '--shards=2', `--interval=${it}`], ExitCode.USAGE],
    ),
    [['simulate', 'LOG', ...SMALL, '--policies=clairvoyent'], ExitCode.USAGE],
    [['simulate', 'LOG', ...SMALL, '--policies=hash,hash'], ExitCode.USAGE],
    [['simulate', '/nowhere/at/all', ...SMALL], ExitCode.INPUT],
    [['predict', 'LOG', ...SMALL, '--schema', '/nowhere'], ExitCode.INPUT],
    [['predict', 'LOG', ...SMALL, '--schema', 'LOG'], ExitCode.INPUT],
  ])('refuses what cannot be used in few words and without a stack: %#', async (args, expected) => {
    const { code, stdout, stderr } = await run(args.map((it) => (it === 'LOG' ? log : it)))
    expect(code, `${args.join(' ').slice(0, 200)}: ${stderr.slice(0, 500)}`).toBe(expected)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^foreshard: /)
    expect(stderr.length).toBeLessThan(2_200)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  it('shows bad lines so that no terminal obeys them, and counts them', async () => {
    const bell = `1601510400000,\u001b]0;owned\u0007,steal,,,`
    const text = `${LOG_LINES.csv.header}\n${LOG_LINES.csv.served[0]}\n${bell}\n${'x'.repeat(5_000_000)}\n`
    const { code, stderr } = await run(['simulate', '-', ...SMALL, '--policies=hash'], text)
    expect(code).toBe(ExitCode.OK)
    expect(stderr).toMatch(/1 line was left out: operation/)
    expect(stderr).toMatch(/1 line was left out: line too long/)
    expect(stderr).not.toContain('\u001b')
    expect(stderr.length).toBeLessThan(2_000)
  })

  it.each([
    '{"entities":7}',
    '[]',
    'null',
    '{"entities":[null]}',
    '{"entities":[{"name":"a","key":"a:{x}","Tag":"x"}]}',
    '{"entities":[{"name":"a","key":7}]}',
    '{"entities":[],"relationships":7}',
    '{"entities":[{"name":"a","key":"a:{x}"}],"relationships":[{"from":"a","to":"__proto__","on":"x"}]}',
    '{',
    '',
  ])('refuses the schema %s', async (text) => {
    const path = join(folder, 'schema.json')
    writeFileSync(path, text)
    const { code, stderr } = await run(['predict', log, ...SMALL, '--schema', path])
    expect(code, stderr).toBe(ExitCode.INPUT)
    expect(stderr).toMatch(/schema|relationships/)
  })

  it('ends every run with an exit code of its list, whatever its arguments and its log are', async () => {
    const word = fc.oneof(
      fc.constantFrom(
        'simulate',
        'predict',
        'help',
        '--help',
        '-',
        '--json',
        '--shards',
        '--shards=2',
        '--buckets=8',
        '--interval=1h',
        '--seed=7',
        '--max-moves=1',
        '--policies=hash',
        '--',
        '-h',
      ),
      fc.string({ maxLength: 12 }),
    )
    const text = fc.oneof(
      fc.constantFrom(...LOG_LINES.csv.refused, ...LOG_LINES.ndjson.refused, LOG_LINES.csv.header),
      fc.string({ unit: 'binary' }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(word, { maxLength: 5 }),
        fc.array(text, { maxLength: 5 }),
        async (args, lines) => {
          const { code, stderr } = await run(args, lines.join('\n'))
          expect(
            [ExitCode.OK, ExitCode.USAGE, ExitCode.INPUT],
            `${JSON.stringify(args)}: ${stderr}`,
          ).toContain(code)
        },
      ),
      { numRuns: 150 },
    )
  })
})
