/**
 * npm run runtimes [-- NAME…]: the packed package, and the tests that need no server, on the other versions of Node;
 * the core on Deno and Bun. Each runtime is a package of the registry and is installed into a folder of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packForConsumer, ROOT } from './packed'

interface Runtime {
  readonly name: string
  /** What the registry calls it, for this platform. */
  readonly packageName: string
  readonly binary: string
  /** What stands before the name of the file to run. */
  readonly run: readonly string[]
  readonly tests: boolean
}

const { platform, arch } = process
const nodeAt = (major: number): Runtime => ({
  name: `node${major}`,
  packageName: `node-${platform === 'win32' ? 'win' : platform}-${arch}@${major}`,
  binary: `node-${platform === 'win32' ? 'win' : platform}-${arch}/bin/node`,
  run: [],
  tests: true,
})
const denoTarget = `${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`
const RUNTIMES: readonly Runtime[] = [
  nodeAt(22),
  nodeAt(24),
  {
    name: 'deno',
    packageName: `@deno/${denoTarget}`,
    binary: `@deno/${denoTarget}/deno`,
    run: ['run', '--allow-all', '--node-modules-dir=manual', '--no-config'],
    tests: false,
  },
  {
    name: 'bun',
    packageName: `@oven/bun-${platform}-${arch}`,
    binary: `@oven/bun-${platform}-${arch}/bin/bun`,
    run: ['run'],
    tests: false,
  },
]
/** Every room, and the stores that need no server. */
const TESTS = [
  'placement',
  'tracking',
  'predictor',
  'router',
  'migrator',
  'rebalancer',
  'backends/memory',
  'backends/lmdb',
]

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !RUNTIMES.some((runtime) => runtime.name === name))
if (unknown.length)
  throw new Error(
    `No runtime ${unknown.join(', ')}; there are ${RUNTIMES.map(({ name }) => name).join(', ')}`,
  )

const installed = join(tmpdir(), 'foreshard-runtimes')
const packed = packForConsumer(true)
let failed = 0
try {
  for (const runtime of RUNTIMES.filter(({ name }) => !asked.length || asked.includes(name))) {
    const binary = install(runtime)
    const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).split('\n')[0]
    const core = spawnSync(binary, [...runtime.run, 'core.mjs'], { cwd: packed.folder, encoding: 'utf8' })
    report(`${runtime.name} ${version}: the core`, core.status === 0, core.stderr)
    if (!runtime.tests) continue
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const tests = spawnSync(
      binary,
      [vitest, 'run', ...TESTS.map((room) => `test/${room}`), '--testTimeout', '180000'],
      { cwd: ROOT, encoding: 'utf8', maxBuffer: 2 ** 28 },
    )
    const count = tests.stdout.trim().split('\n').at(-1)
    report(
      `${runtime.name}: ${count}`,
      tests.status === 0,
      tests.stdout.slice(-8000) + tests.stderr.slice(-4000),
    )
  }
} finally {
  packed.remove()
}
process.exitCode = failed ? 1 : 0

function install({ name, packageName, binary }: Runtime): string {
  const folder = join(installed, name)
  const path = join(folder, 'node_modules', binary)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', packageName], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: platform === 'win32',
  })
  return path
}

function report(what: string, good: boolean, output: string): void {
  console.log(`${good ? 'ok  ' : 'FAILED'} ${what}`)
  if (good) return
  failed++
  console.error(output)
}
