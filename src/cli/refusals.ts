import { CliError, ExitCode } from './exit-code'
import type { LogFormat } from './log-format'
import type { LogReader, Refusals } from './log-reader'
import type { Terminal } from './terminal'

/** Says which lines were left out, and why; a log without any usable line is an error. */
export function tellRefusals(log: LogReader, used: number, terminal: Terminal): void {
  for (const [reason, { count }] of log.skipped)
    terminal.stderr.write(
      `${count} ${count === 1 ? 'line stands' : 'lines stand'} for no access: ${reason}\n`,
    )
  for (const [reason, { count, examples }] of log.refused) {
    // As JSON: a line may hold anything, also what a terminal would obey.
    const shown = examples.map(({ line, text }) => `  line ${line}: ${JSON.stringify(text)}\n`).join('')
    terminal.stderr.write(`${count} ${count === 1 ? 'line was' : 'lines were'} left out: ${reason}\n${shown}`)
  }
  if (used === 0) throw new CliError(ExitCode.INPUT, `the log has no usable line, of ${log.lines}`)
}

/** What a report in JSON says of the log itself. */
export function logJson(log: LogReader): {
  format: LogFormat | undefined
  lines: number
  refused: Record<string, Refusals>
  skipped: Record<string, Refusals>
} {
  const { format, lines, refused, skipped } = log
  return { format, lines, refused: Object.fromEntries(refused), skipped: Object.fromEntries(skipped) }
}
