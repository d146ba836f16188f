import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { fileModelStore, PredictorClient } from '../../src/service'

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts')
const TOKEN = 'correct-horse-battery'
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'foreshard-serve-'))
})
afterAll(() => rm(folder, { recursive: true }))

const running: Run[] = []
afterEach(async () => {
  for (const run of running.splice(0)) run.child.kill('SIGKILL')
})

/** A run of the command; `url` is where it says that it serves. */
class Run {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  output = ''
  errors = ''
  url = ''

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, ['--import', 'tsx', MAIN, 'serve', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORESHARD_TOKEN: '', ...env },
    })
    running.push(this)
    this.child.stderr!.on('data', (text) => {
      this.errors += text
    })
    this.ended = new Promise((resolve) => this.child.once('close', resolve))
  }

  async serving(): Promise<this> {
    const said = new Promise<void>((resolve) => {
      this.child.stdout!.on('data', (text) => {
        this.output += text
        this.url = /serving on (\S+)/.exec(this.output)?.[1] ?? ''
        if (this.url) resolve()
      })
    })
    await Promise.race([
      said,
      this.ended.then((code) => {
        throw new Error(`it ended with ${code}: ${this.errors}`)
      }),
    ])
    return this
  }
}

const now = Date.now()
const entries = Array.from({ length: 4_000 }, (_, i) => ({
  timestamp: now - (4_000 - i) * 60_000,
  key: `key:${(i * i) % 97}`,
  operation: 'read' as const,
}))

describe('foreshard serve', () => {
  it('goes on after SIGTERM where it was stopped, and after a kill where it saved last', async () => {
    const state = join(folder, 'model.gz')
    const args = ['--shards', 'a,b,c', '--buckets', '64', '--port', '0', '--state', state]
    const first = await new Run(args, { FORESHARD_TOKEN: TOKEN }).serving()
    const client = new PredictorClient(first.url, { token: TOKEN })
    await client.ingest(entries.slice(0, 3_000))
    const before = await client.predict({ now })
    first.child.kill('SIGTERM')
    expect(await first.ended).toBe(0)
    expect(first.output).toContain('stopped; 3000 accesses known, saved')
    expect(first.errors).toBe('')
    await client.close()

    const port = new URL(first.url).port
    const second = await new Run([...args, '--port', port], { FORESHARD_TOKEN: TOKEN }).serving()
    const again = new PredictorClient(second.url, { token: TOKEN })
    expect((await again.snapshot()).state.accepted).toBe(3_000)
    expect((await again.predict({ now })).hotSegments).toEqual(before.hotSegments)
    await again.ingest(entries.slice(3_000))
    second.child.kill('SIGKILL')
    await second.ended
    await again.close()

    const third = await new Run(args, { FORESHARD_TOKEN: TOKEN }).serving()
    const last = new PredictorClient(third.url, { token: TOKEN })
    expect((await last.snapshot()).state.accepted).toBe(3_000)
    await last.close()
  })

  it('says by its exit code why it did not start, and never shows the token', async () => {
    const corrupt = join(folder, 'corrupt')
    await writeFile(corrupt, 'precious')
    const cases: [string[], number, RegExp][] = [
      [['--shards', '2', '--host', '0.0.0.0'], 1, /takes a token/],
      [['--shards', '0', '--token', TOKEN], 1, /--shards/],
      [['--shards', '2', '--token', 'short'], 1, /at least 8 characters/],
      [['--shards', '2', '--token', TOKEN, '--token-env', 'X'], 1, /one of them/],
      [['--shards', '2', '--token-env', 'NOT_SET_ANYWHERE'], 2, /NOT_SET_ANYWHERE/],
      [['--shards', '2', '--token-file', join(folder, 'none')], 2, /--token-file/],
      [['--shards', '2', '--token', TOKEN, '--state', corrupt], 2, /left as it is/],
      [
        ['--shards', '2', '--port', '1', '--host', '203.0.113.1', '--token', TOKEN],
        2,
        /cannot be listened on/,
      ],
    ]
    const runs = cases.map(([args]) => new Run(args))
    for (const [i, [args, code, why]] of cases.entries()) {
      expect(await runs[i]!.ended, args.join(' ')).toBe(code)
      expect(runs[i]!.errors).toMatch(why)
      expect(runs[i]!.errors).not.toContain(TOKEN)
    }
    expect(await readFile(corrupt, 'utf8')).toBe('precious')
    expect(await fileModelStore(join(folder, 'none')).load()).toBeUndefined()
  })
})
