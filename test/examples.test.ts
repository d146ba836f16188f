import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const readme = readFileSync(resolve(root, 'README.md'), 'utf8')

function run(example: string, ...args: string[]): string {
  return execFileSync(process.execPath, ['--import', 'tsx', resolve(root, 'examples', example), ...args], {
    cwd: root,
    encoding: 'utf8',
  })
}

/** What the README shows after `<!-- KIND: example -->`, without the fences of the code block. */
function shown(kind: 'example' | 'output', example: string): string {
  const after = readme.split(`<!-- ${kind}: ${example} -->`)[1]
  return /```\w*\n([\s\S]*?)```/.exec(after ?? '')?.[1] ?? ''
}

describe('the examples of the README', () => {
  const examples = [...readme.matchAll(/<!-- example: (\S+) -->/g)].map((match) => match[1]!)

  it('are there', () => expect(examples.length).toBeGreaterThan(0))

  it.each(examples)('%s is shown as it is, and prints what is shown', (example) => {
    expect(shown('example', example)).toBe(readFileSync(resolve(root, 'examples', example), 'utf8'))
    expect(shown('output', example)).toBe(run(example))
  })
})

describe('the demo', () => {
  it('loses nothing: 2,500 bookings, a shard that joins, every value compared', () => {
    const out = run('flights/main.ts', '--every', '1200')
    expect(out).toContain('s5 joins the shards')
    expect(out).toMatch(/Nothing lost: [\d,]+ values compared after 2,500 bookings, all equal/)
  }, 120_000)
})
