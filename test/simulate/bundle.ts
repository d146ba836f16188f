import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

const root = resolve(import.meta.dirname, '../..')

/** A change of one source file, for this bundle only. */
export interface Patch {
  /** From the root of the project. */
  readonly file: string
  readonly change: (text: string) => string
}

/** The worker of simulations as one file, so that a process of it starts fast; `patch` is built into it. */
export async function bundleWorker(patch?: Patch): Promise<{ path: string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-worker-'))
  const path = join(folder, 'worker.mjs')
  const resolver = createRequire(import.meta.url)
  let patched = false
  await build({
    entryPoints: [join(root, 'test/simulate/worker.ts')],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    sourcemap: 'inline',
    plugins: [
      {
        name: 'worker',
        setup: (it) => {
          // Packages with parts of their own are loaded from where they are.
          it.onResolve({ filter: /^(lmdb|ioredis|redis|pg|@electric-sql\/pglite)$/ }, ({ path: name }) => ({
            path: resolver.resolve(name),
            external: true,
          }))
          it.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
            if (!patch || file !== join(root, patch.file)) return undefined
            patched = true
            return { contents: patch.change(readFileSync(file, 'utf8')), loader: 'ts' }
          })
        },
      },
    ],
  })
  if (patch && !patched) throw new Error(`${patch.file} is not part of a simulation`)
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
