/** The package as a user receives it: packed, unpacked into a project of its own beside the dependencies that it may use. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')

export interface Packed {
  /** A project with nothing in it but node_modules and the files of test/package/consumer. */
  readonly folder: string
  readonly tarball: string
  readonly files: readonly string[]
  readonly manifest: Manifest
  remove(): void
}

export interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string } | string>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

/** Packs what `npm run build` built. `withPeers`: the adapters' clients are installed beside it. */
export function packForConsumer(withPeers: boolean): Packed {
  if (!existsSync(join(ROOT, 'dist/index.js'))) throw new Error('Nothing is built yet: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-package-'))
  const [report] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  )
  const tarball = join(folder, report.filename)
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'foreshard'), { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', join(modules, 'foreshard'), '--strip-components=1'])
  const manifest: Manifest = JSON.parse(readFileSync(join(modules, 'foreshard/package.json'), 'utf8'))
  const wanted = [
    ...Object.keys(manifest.dependencies),
    ...(withPeers ? Object.keys(manifest.peerDependencies) : []),
  ]
  for (const name of [...wanted, '@types/node', 'undici-types']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  cpSync(join(import.meta.dirname, 'consumer'), folder, { recursive: true })
  return {
    folder,
    tarball,
    manifest,
    files: report.files.map((file: { path: string }) => file.path),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
