import type { LogReader } from './log-reader'
import type { ProgressLine } from './terminal'

/** The batches of a log, its progress drawn between them. */
export async function* watched(log: LogReader, size: number | undefined, line: ProgressLine) {
  for await (const batch of log.batches()) {
    yield batch
    line.draw({ lines: log.lines, bytes: log.bytes, size, at: log.at })
  }
}
