/** How a run of the program ended. Documented in its help; stable. */
export const ExitCode = {
  OK: 0,
  /** A command, an option or its value that cannot be used. */
  USAGE: 1,
  /** A log or schema that is not there, cannot be read as one, or holds nothing usable. */
  INPUT: 2,
  /** Anything else: most likely a mistake of the program's own. */
  FAILED: 3,
  /** What was to be posted did not reach its address, or was refused there. */
  UNDELIVERED: 4,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** Ends a run with a message for the person who started it. */
export class CliError extends Error {
  constructor(
    readonly exitCode: ExitCode,
    message: string,
  ) {
    super(message)
  }
}
