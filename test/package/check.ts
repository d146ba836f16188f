/**
 * npm run package: what package.json promises, checked against what was packed. Contents, exports, types under the
 * resolutions of Node and of bundlers, require() of an ES module, what each entry point loads, and sizes.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { bundleOf } from './bundle'
import { packForConsumer, ROOT } from './packed'

const KB = 1000
/** Minified and gzipped, without dependencies. */
const LARGEST: Readonly<Record<string, number>> = {
  "export { ShardRouter, memoryStore } from 'foreshard'": 60 * KB,
  "export { Predictor } from 'foreshard'": 60 * KB,
  "export { forecast } from 'foreshard'": 12 * KB,
  "export { Placement, HashRing } from 'foreshard'": 12 * KB,
  "export { ForeshardError } from 'foreshard'": 2 * KB,
  "export * from 'foreshard'": 135 * KB,
}
/** What an entry point may load beside the dependencies of the core: only what it adapts. */
const CORE = ['eventemitter3', 'ml-kmeans', 'murmurhash3js-revisited', 'simple-statistics']
const OWN: Readonly<Record<string, readonly string[]>> = {
  './lmdb': ['lmdb'],
  './service': ['hono', '@hono/node-server', '@hono/zod-openapi', 'zod'],
}
const ALLOWED_FILES = /^(dist\/[\w-]+\.(js|d\.ts)|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/

const packed = packForConsumer(true)
const bare = packForConsumer(false)
const checked = (what: string) => console.log(`ok  ${what}`)
try {
  const { folder, manifest } = packed
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json')
  const nameOf = (entry: string) => entry.replace('.', 'foreshard')

  assert.deepEqual(
    packed.files.filter((file) => !ALLOWED_FILES.test(file)),
    [],
    'files that nobody needs',
  )
  for (const script of ['preinstall', 'install', 'postinstall'])
    assert.equal(manifest.scripts?.[script], undefined, `a script ${script}`)
  checked(`${packed.files.length} files, no script runs at install`)

  run('publint', 'run', packed.tarball, '--strict')
  run('attw', packed.tarball, '--profile', 'esm-only')
  checked('publint and attw have no complaint')

  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const config = join(folder, `tsconfig.${moduleResolution}.json`)
    const compilerOptions = {
      target: 'es2022',
      module,
      moduleResolution,
      strict: true,
      noEmit: true,
      types: ['node'],
    }
    writeFileSync(config, JSON.stringify({ compilerOptions, files: ['types.ts'] }))
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    compile(config)
    checked(`types.ts compiles, moduleResolution ${moduleResolution}, declarations checked too`)
  }

  for (const entry of entries) {
    const { imports } = await bundleOf(`export * from '${nameOf(entry)}'`, folder)
    const foreign = imports.filter(
      (name) => !isBuiltin(name) && ![...CORE, ...(OWN[entry] ?? [])].some((own) => within(name, own)),
    )
    assert.deepEqual(foreign, [], `${nameOf(entry)} loads what is not its own`)
    const needsPeer = (OWN[entry] ?? []).some((name) => name in manifest.peerDependencies)
    const where = needsPeer ? folder : bare.folder
    node(where, '--input-type=module', '-e', `await import('${nameOf(entry)}')`)
    node(where, '--input-type=commonjs', '-e', `require('${nameOf(entry)}')`)
  }
  checked(`${entries.join(' ')} load by import and by require, without the clients of the others`)

  for (const [source, most] of Object.entries(LARGEST)) {
    const { gzippedBytes } = await bundleOf(source, folder)
    assert.ok(gzippedBytes <= most, `${source}: ${gzippedBytes} bytes, at most ${most}`)
    checked(`${(gzippedBytes / KB).toFixed(1).padStart(5)} kB of at most ${most / KB}: ${source}`)
  }
  node(bare.folder, 'core.mjs')
  checked('core.mjs runs with nothing but the dependencies')
} finally {
  packed.remove()
  bare.remove()
}

function within(name: string, own: string): boolean {
  return name === own || name.startsWith(`${own}/`)
}

function run(tool: string, ...args: string[]): void {
  execute(join(ROOT, 'node_modules/.bin', tool), args, ROOT)
}

/** Errors in the declarations of a dependency are its own. */
function compile(config: string): void {
  try {
    run('tsc', '-p', config)
  } catch (error) {
    const complaints = (error as Error).message.split('\n').filter((line) => line.includes('error TS'))
    const ours = complaints.filter((line) => !/node_modules\/(?!foreshard\/)/.test(line))
    if (!complaints.length || ours.length) throw error
  }
}

function node(cwd: string, ...args: string[]): void {
  execute(process.execPath, ['--no-warnings', ...args], cwd)
}

function execute(file: string, args: readonly string[], cwd: string): void {
  try {
    execFileSync(file, args, { cwd, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${file} ${args.join(' ')}\n${stdout}${stderr}`)
  }
}
