/** Makes src/service/dashboard/page.ts from the page's source: `npm run dashboard`. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { build } from 'esbuild'

const client = resolve(import.meta.dirname, '../../../src/service/dashboard/client')
export const PAGE_FILE = resolve(client, '../page.ts')

/** The text of page.ts: one self-contained page, and the policy that lets nothing run but what is in it. */
export async function pageModule(): Promise<string> {
  const read = (name: string) => readFileSync(resolve(client, name), 'utf8')
  const { outputFiles } = await build({
    entryPoints: [resolve(client, 'main.ts')],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    charset: 'ascii',
    legalComments: 'none',
  })
  const script = outputFiles[0]!.text.trim().replaceAll('</', '<\\/')
  const uplot = readFileSync(resolve(client, '../../../../node_modules/uplot/dist/uPlot.min.css'), 'utf8')
  const style = `\n${uplot.trim()}\n${read('style.css')}`
  const page = read('index.html')
    .replace('/* STYLE */', () => style)
    .replace('/* SCRIPT */', () => script)
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; ')
  return [
    '// Made by `npm run dashboard` from the folder client; a test sees to it that it is up to date.',
    '// Charts: uPlot, Copyright (c) 2022 Leon Sorokin, MIT licence.',
    `export const CONTENT_SECURITY_POLICY = ${JSON.stringify(policy)}`,
    `export const PAGE = ${JSON.stringify(page)}`,
    '',
  ].join('\n')
}
