/** Takes in what a log's format reads. */
export interface EntrySink {
  /** What a record says, not yet checked. */
  entry(entry: unknown, line: number, text: string): void
  refuse(reason: 'unreadable line', line: number, text: string): void
}
