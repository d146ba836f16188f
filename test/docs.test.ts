import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../src/errors'
import { FENCE_TABLE } from '../src/placement/fence-table'
import { FAULT_KINDS } from '../src/testing/simulation'
import { MUTANTS } from './mutations/mutants'
import { pages } from './pages'

const read = (path: string) => readFileSync(resolve(import.meta.dirname, '..', path), 'utf8')

function fenceTable(): string {
  const rows = FENCE_TABLE.map(
    (row) => `| ${row.step} | ${row.from.join(', ')} | ${row.guard} | ${row.to} | ${row.effect} |`,
  )
  return ['| step | from | guard | to | effect |', '|---|---|---|---|---|', ...rows].join('\n')
}

describe('the documents', () => {
  it('show the fence table as the stores run it', () => {
    const shown = read('docs/protocol.md').split('<!-- fence-table -->')[1]?.split('<!-- /fence-table -->')[0]
    expect(shown?.trim()).toBe(fenceTable())
  })

  it('give every error code its cure, and no code that does not exist', () => {
    const named = [...read('docs/errors.md').matchAll(/^## `([A-Z_]+)`$/gm)].map((match) => match[1])
    expect([...named].sort()).toEqual(Object.keys(ErrorCode).sort())
  })

  it('report on every mutant and every kind of fault that there is, and on no other', () => {
    const block = read('docs/reliability.md').split('<!-- simulate -->')[1]!.split('<!-- /simulate -->')[0]!
    const [, faults, , , mutants] = block.split(/^\| --- .*$/m).map((part) => part.split('\n'))
    const first = (lines: readonly string[]) =>
      lines.filter((line) => /\| \d+ \|/.test(line)).map((line) => line.split(' | ')[0]!.slice(2))
    expect(first(faults!)).toEqual(FAULT_KINDS.map((kind) => `\`${kind}\``))
    expect(first(mutants!)).toEqual(MUTANTS.map(({ name }) => name))
  })

  it('lead somewhere: every relative link names a file that is there', () => {
    for (const page of pages())
      for (const [, target] of read(page).matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g))
        expect(
          () => readFileSync(resolve(import.meta.dirname, '..', page, '..', target!)),
          `${page}: ${target}`,
        ).not.toThrow()
  })
})
