import type { EntrySink } from '../log/entry-sink'
import type { AccessLogEntry } from '../tracking/access-log'

/** Why a line that can be read stands for no access. Counted beside the lines that were refused. */
export type SkippedBecause =
  | 'names no key'
  | 'unknown command'
  | 'called by a script'
  | 'another database'
  | 'first snapshot of its statement'
  | 'not called since the last snapshot'
  | 'names no table'

/** Takes in what a log says, line by line. */
export interface LogSink extends EntrySink {
  /** An access that was found to be sound, later than nothing that is refused. */
  good(entry: AccessLogEntry): void
  refuse(reason: 'unreadable line' | 'timestamp', line: number, text: string): void
  skip(reason: SkippedBecause, line: number, text: string): void
}

/** A log of one format: told every line, in order. */
export interface LogLines {
  line(text: string, line: number): void
  /**
   * The same for a line of UTF-8 between two places, without its end: true if it was taken in. Whoever has this may
   * leave any line to `line`.
   */
  quick?(bytes: Buffer, from: number, to: number): boolean
  end(): void
}
