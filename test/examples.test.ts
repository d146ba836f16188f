import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pages } from './pages'

const root = resolve(import.meta.dirname, '..')
const texts = new Map(pages().map((page) => [page, readFileSync(resolve(root, page), 'utf8')]))

function run(example: string, ...args: string[]): string {
  return execFileSync(process.execPath, ['--import', 'tsx', resolve(root, 'examples', example), ...args], {
    cwd: root,
    encoding: 'utf8',
  })
}

/** What a page shows after `<!-- KIND: example -->`, without the fences of the code block. */
function shown(page: string, kind: 'example' | 'output', example: string): string {
  const after = texts.get(page)!.split(`<!-- ${kind}: ${example} -->`)[1]
  return /```\w*\n([\s\S]*?)```/.exec(after ?? '')?.[1] ?? ''
}

describe('the examples of the documents', () => {
  const examples = [...texts].flatMap(([page, text]) =>
    [...text.matchAll(/<!-- (?:example|output): (\S+) -->/g)].map((match) => [page, match[1]!] as const),
  )
  const unique = [...new Map(examples.map((pair) => [pair.join(' '), pair])).values()]

  it('are there', () => expect(unique.length).toBeGreaterThan(0))

  it.each(unique)('%s: %s is shown as it is, and prints what is shown', (page, example) => {
    const text = texts.get(page)!
    if (text.includes(`<!-- example: ${example} -->`))
      expect(shown(page, 'example', example)).toBe(readFileSync(resolve(root, 'examples', example), 'utf8'))
    if (text.includes(`<!-- output: ${example} -->`))
      expect(shown(page, 'output', example)).toBe(run(example))
  })
})

describe('the demo', () => {
  it('loses nothing: 2,500 bookings, a shard that joins, every value compared', () => {
    const out = run('flights/main.ts', '--every', '1200')
    expect(out).toContain('s5 joins the shards')
    expect(out).toMatch(/Nothing lost: [\d,]+ values compared after 2,500 bookings, all equal/)
  }, 120_000)
})
