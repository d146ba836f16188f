import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const suite = (runner: string) => join('examples/custom-store', `${runner}.ts`)
const PROMISES = 76

async function run(...args: string[]): Promise<string> {
  // What this runner tells its workers is none of the other's business.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_V8|JEST|TEST)/.test(name)),
  )
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    cwd: root,
    env,
    maxBuffer: 1 << 24,
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  return (stdout + stderr).replace(/\u001b\[\d+m/g, '')
}

describe("the store of one's own", () => {
  it('is written in at most 60 lines', () => {
    expect(
      readFileSync(join(root, 'examples/custom-store.ts'), 'utf8').trimEnd().split('\n').length,
    ).toBeLessThanOrEqual(60)
  })

  it('keeps the contract under node:test', { timeout: 180_000 }, async () => {
    const out = await run('--import', 'tsx', '--test', '--test-reporter', 'tap', suite('node'))
    expect(out).toMatch(new RegExp(`# pass ${PROMISES}\n# fail 0`))
  })

  it('keeps the contract under vitest', { timeout: 180_000 }, async () => {
    const cli = join(root, 'node_modules/vitest/vitest.mjs')
    const out = await run(cli, 'run', '--root', root, '--config', 'examples/custom-store/vitest.config.ts')
    expect(out).toContain(`${PROMISES} passed`)
    expect(out).not.toContain('failed')
  })

  it('keeps the contract under jest', { timeout: 180_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'foreshard-jest-'))
    try {
      // Jest reads no TypeScript by itself; it gets the bundle that a build would give it.
      const alias = (name: string, file: string) => [name, join(root, 'src', file)]
      await build({
        entryPoints: [join(root, suite('jest'))],
        outfile: join(folder, 'custom-store.test.cjs'),
        bundle: true,
        platform: 'node',
        format: 'cjs',
        external: ['@jest/globals'],
        alias: Object.fromEntries([
          alias('foreshard/testing', 'testing/index.ts'),
          alias('foreshard', 'index.ts'),
        ]),
        logLevel: 'error',
      })
      writeFileSync(
        join(folder, 'jest.config.cjs'),
        `module.exports = { rootDir: ${JSON.stringify(folder)}, testMatch: ['**/*.test.cjs'], transform: {}, testTimeout: 60000 }`,
      )
      const cli = join(root, 'node_modules/jest/bin/jest.js')
      const out = await run(cli, '--config', join(folder, 'jest.config.cjs'), '--runInBand')
      expect(out).toMatch(new RegExp(`Tests:\\s+${PROMISES} passed, ${PROMISES} total`))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
