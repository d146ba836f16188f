import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { pages } from './pages'

const root = resolve(import.meta.dirname, '..')

/** What a snippet may use without saying where it comes from. */
const PRELUDE = `
import type { Placement, Predictor, Rebalancer, ShardRouter } from 'foreshard'
declare global {
  const router: ShardRouter
  const predictor: Predictor
  const rebalancer: Rebalancer
  const placement: Placement
  const key: string
  const value: unknown
  const ifVersion: number
}
`

/** Every block of TypeScript in the documents, as a module named after its page and line. */
function snippets(): Map<string, string> {
  const found = new Map<string, string>()
  for (const page of pages()) {
    const lines = readFileSync(resolve(root, page), 'utf8').split('\n')
    for (let at = 0; at < lines.length; at++) {
      if (lines[at] !== '```ts') continue
      const end = lines.indexOf('```', at)
      const name = resolve(root, `snippet of ${page.replaceAll('/', ' ')} line ${at + 1}.ts`)
      found.set(name, `${lines.slice(at + 1, end).join('\n')}\nexport {}\n`)
      at = end
    }
  }
  return found
}

/** What the compiler says of them, under the project's own settings. */
function complaints(modules: ReadonlyMap<string, string>): string[] {
  const config = ts.readConfigFile(resolve(root, 'tsconfig.json'), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  Object.assign(options, {
    noUnusedLocals: false,
    noUnusedParameters: false,
    lib: undefined,
    paths: options.paths,
  })
  const host = ts.createCompilerHost(options)
  const given = new Map([...modules, [resolve(root, 'prelude.ts'), PRELUDE]])
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => given.has(name) || fileExists(name)
  host.readFile = (name) => given.get(name) ?? readFile(name)
  host.getSourceFile = (name, language, ...rest) => {
    const text = given.get(name)
    return text === undefined
      ? getSourceFile(name, language, ...rest)
      : ts.createSourceFile(name, text, language)
  }
  const program = ts.createProgram([...given.keys()], options, host)
  return [...modules.keys()].flatMap((name) => {
    const file = program.getSourceFile(name)!
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start }) =>
        `${name.slice(root.length + 1)}, its line ${file.getLineAndCharacterOfPosition(start ?? 0).line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    )
  })
}

describe('the snippets of the documents', () => {
  it('compile, each by itself', () => {
    const modules = snippets()
    expect(modules.size).toBeGreaterThan(3)
    expect(complaints(modules)).toEqual([])
  }, 120_000)

  it('would be complained about if they did not', () => {
    const wrong = new Map([[resolve(root, 'wrong.ts'), "await router.move('a')\nexport {}\n"]])
    expect(complaints(wrong)).toHaveLength(1)
  }, 120_000)
})
