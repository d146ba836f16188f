import { CliError, ExitCode } from './exit-code'
import type { LogReader, Refusals } from './log-reader'
import type { Terminal } from './terminal'

/** Says which lines were left out, and why; a log without any usable line is an error. */
export function tellRefusals(log: LogReader, used: number, terminal: Terminal): void {
  for (const [reason, { count, examples }] of log.refused) {
    // As JSON: a line may hold anything, also what a terminal would obey.
    const shown = examples.map(({ line, text }) => `  line ${line}: ${JSON.stringify(text)}\n`).join('')
    terminal.stderr.write(`${count} ${count === 1 ? 'line was' : 'lines were'} left out: ${reason}\n${shown}`)
  }
  if (used === 0) throw new CliError(ExitCode.INPUT, `the log has no usable line, of ${log.lines}`)
}

export function refusalsJson(log: LogReader): Record<string, Refusals> {
  return Object.fromEntries(log.refused)
}
