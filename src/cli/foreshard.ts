import { isForeshardError } from '../errors'
import { DEMO_HELP, demoCommand } from './demo/demo-command'
import { CliError, ExitCode } from './exit-code'
import { PREDICT_HELP, predictCommand } from './predict-command'
import { SERVE_HELP, serveCommand } from './serve-command'
import { SIMULATE_HELP, simulateCommand } from './simulate-command'
import type { Terminal } from './terminal'

const HELP = `foreshard COMMAND [options]

  simulate LOG      what placement policies would have cost on an access log, and whether prediction pays
  predict LOG       what should move at the end of an access log, and why
  serve             the predictor over HTTP
  demo              all of it on generated traffic, every value compared at the end
  help COMMAND      more about a command

Exit codes
  0  done
  1  a command, an option or its value cannot be used
  2  a log, schema or state is not there, cannot be read, or holds nothing usable; single bad lines are counted, left
     out and reported on standard error
  3  anything else
  4  what was to be posted did not arrive, or was refused; nothing was posted twice
`

const COMMANDS = new Map([
  ['simulate', { run: simulateCommand, help: SIMULATE_HELP }],
  ['predict', { run: predictCommand, help: PREDICT_HELP }],
  ['demo', { run: demoCommand, help: DEMO_HELP }],
  ['serve', { run: serveCommand, help: SERVE_HELP }],
])

/** Characters: what was given may be of any length. */
const LONGEST_MESSAGE = 2_000

/** One run of the program; returns its exit code. */
export async function foreshard(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const [name, ...rest] = args
  try {
    if (name === undefined) throw new CliError(ExitCode.USAGE, 'which command? try: foreshard --help')
    if (name === '--help' || name === '-h' || name === 'help') {
      terminal.stdout.write(COMMANDS.get(rest[0] ?? '')?.help ?? HELP)
      return ExitCode.OK
    }
    const command = COMMANDS.get(name)
    if (!command)
      throw new CliError(
        ExitCode.USAGE,
        `${JSON.stringify(name)} is no command; there are ${[...COMMANDS.keys()].join(', ')}`,
      )
    await command.run(rest, terminal)
    return ExitCode.OK
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    terminal.stderr.write(`foreshard: ${message.slice(0, LONGEST_MESSAGE)}\n`)
    return exitCodeOf(error)
  }
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode
  // The file system's errors, which the log's reader passes on, name a call; ours name what is at fault.
  if (isForeshardError(error)) {
    if (/^(log|schema|relationships)/.test(error.field ?? '')) return ExitCode.INPUT
    return error.field?.startsWith('policies.') ? ExitCode.FAILED : ExitCode.USAGE
  }
  return typeof (error as NodeJS.ErrnoException)?.syscall === 'string' ? ExitCode.INPUT : ExitCode.FAILED
}
