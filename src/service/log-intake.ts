import { LineSplitter } from '../log/line-splitter'
import { NdjsonLog } from '../log/ndjson'
import type { Batch, Model } from './model'

/** What became of the lines of a log. */
export interface IntakeReport {
  lines: number
  accepted: number
  /** Reason -> how many lines. */
  refused: Record<string, number>
  /** The first refused lines of each reason. */
  examples: { line: number; reason: string }[]
  /** Whether the batch was known already, so that nothing of it was counted again. */
  repeated: boolean
}

const EXAMPLES = 3

/**
 * Takes in a log of one JSON object a line, piece by piece: a piece is counted before the next one is read. A numbered batch is
 * read to its end before anything of it is counted, so that one that was cut off can be sent again.
 */
export async function takeIn(
  pieces: AsyncIterable<Uint8Array>,
  model: Model,
  batch: Batch | undefined,
): Promise<IntakeReport> {
  const report: IntakeReport = { lines: 0, accepted: 0, refused: {}, examples: [], repeated: false }
  const refuse = (reason: string, line: number, many = 1) => {
    const seen = report.refused[reason] ?? 0
    report.refused[reason] = seen + many
    if (seen < EXAMPLES) report.examples.push({ line, reason })
  }
  let entries: unknown[] = []
  let lineOf: number[] = []
  const format = new NdjsonLog({
    entry: (entry, line) => {
      entries.push(entry)
      lineOf.push(line)
    },
    refuse: (reason, line) => refuse(reason, line),
  })
  const splitter = new LineSplitter({
    line: (text, number) => {
      report.lines = number
      format.line(text, number)
    },
    unusable: (reason, number) => {
      report.lines = number
      refuse(reason, number)
    },
  })
  const count = async () => {
    const [now, at] = [entries, lineOf]
    entries = []
    lineOf = []
    if (now.length === 0 && !batch) return
    const counted = await model.ingest(now, batch)
    if (!counted) {
      report.repeated = true
      return
    }
    report.accepted += counted.accepted
    for (const [reason, many] of counted.refused) {
      const shown = counted.examples.filter((example) => example.reason === reason)
      refuse(reason, at[shown[0]!.at]!, many)
      for (const example of shown.slice(1))
        if (report.examples.filter((it) => it.reason === reason).length < EXAMPLES)
          report.examples.push({ line: at[example.at]!, reason })
    }
  }
  for await (const piece of pieces) {
    splitter.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))
    if (!batch) await count()
  }
  splitter.end()
  await count()
  return report
}
