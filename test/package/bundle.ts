import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** Bundles `source`, a module beside the package, minified; what it imports from elsewhere stays an import. */
export async function bundleOf(
  source: string,
  folder: string,
): Promise<{ readonly gzippedBytes: number; readonly imports: readonly string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'silent',
    plugins: [
      {
        name: 'only-foreshard',
        setup(step) {
          step.onResolve({ filter: /^[^./]/ }, ({ path }) =>
            path === 'foreshard' || path.startsWith('foreshard/') ? undefined : { path, external: true },
          )
        },
      },
    ],
  })
  const imports = Object.values(metafile.outputs).flatMap((output) =>
    output.imports.filter(({ external }) => external).map(({ path }) => path),
  )
  return {
    gzippedBytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length,
    imports: [...new Set(imports)],
  }
}
