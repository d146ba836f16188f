import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { FAULT_KINDS } from '../../src/testing/simulation'
import type { Caught } from '../mutations/hunt'
import type { Tally } from './tally'

const PAGE = resolve(import.meta.dirname, '../../docs/reliability.md')
const MARK = /<!-- simulate -->[\s\S]*<!-- \/simulate -->/

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const cell = (text: string) => text.replaceAll('|', '\\|')

/** Writes what a run went through, and who caught which mutant, into docs/reliability.md. */
export function writeReport(tally: Tally, caught: readonly Caught[], command: string): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const counted = (of: Record<string, number>) =>
    Object.entries(of).map(([name, count]) => [`\`${cell(name)}\``, count])
  const { counts } = tally
  const steps: Record<string, number> = {}
  for (const [name, count] of Object.entries(tally.steps))
    if (name.endsWith(':before')) steps[name.slice(0, -':before'.length)] = count
  const block = [
    '<!-- simulate -->',
    `Written by \`${command}\` at commit ${commit}, Node ${process.versions.node}.`,
    '',
    `${tally.seeds} seeds, ${tally.operations} client operations (${counts.ok} answered, ${counts.failed} refused or failed ` +
      `without effect, ${counts.unknown} of unknown outcome), ${tally.checks} checks of invariants, ${tally.failed.length} ` +
      `seeds failed. Plans: ${counts.done} done, ${counts.cancelled} cancelled, ${counts.partial} in part; ` +
      `${counts.rollbacks} rollbacks, ${counts.holds} holds.`,
    '',
    table(
      ['fault', 'times'],
      FAULT_KINDS.map((kind) => [`\`${kind}\``, counts[kind] ?? 0]),
    ),
    '',
    table(['row of the fence table', 'times taken'], counted(tally.rows)),
    '',
    table(['step of a migrator', 'times'], counted(steps)),
    '',
    table(
      ['mutant', 'what it breaks', 'caught by seed', 'first line of what was noticed'],
      caught.map(({ mutant, seed, noticed }) => [
        mutant.name,
        cell(mutant.breaks),
        seed ?? 'none',
        cell(noticed.slice(0, 160)),
      ]),
    ),
    '<!-- /simulate -->',
  ].join('\n')
  writeFileSync(
    PAGE,
    readFileSync(PAGE, 'utf8').replace(MARK, () => block),
  )
}
