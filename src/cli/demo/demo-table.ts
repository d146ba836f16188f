import type { ReshardingProgress } from '../../migrator/progress'
import type { Week } from './books'

/** What a demo calls its traffic. */
export interface DemoWords {
  /** One line that says what it is. */
  readonly title: string
  /** 'bookings', 'orders': at most eight letters. */
  readonly many: string
}

/** One week of the demo, as the table shows it. */
export interface Row {
  starts: number
  transactions: number
  shards: string[]
  /** The shard that joined in this week, or ''. */
  joined: string
  foreshard: Week
  hashing: Week
  moves: number
  confidence: number[]
  reason: string
  progress: ReshardingProgress | undefined
}

export interface Summary {
  reshardings: number
  moves: number
  keys: number
  bytes: number
  longestHoldMs: number
  wrong: number
  missing: number
  compared: number
  transactions: number
  seconds: number
}

const BARS = '▁▂▃▄▅▆▇█'

export function header({ title, many }: DemoWords): string {
  return [
    title,
    `Load per shard: ▄ is a fair share, █ twice that. Imbalance: max/mean load, by six hours. Crossing: ${many} that touch two shards or more.`,
    '',
    '              │ load per shard  │   imbalance    │    crossing    │',
    `week       ${many.padStart(8)} hash  Foreshard  hash Foreshard   hash Foreshard   moves  confidence`,
    '─'.repeat(96),
  ].join('\n')
}

export function row(week: Row): string {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const line = [
    new Date(week.starts).toISOString().slice(0, 10),
    week.transactions.toLocaleString('en').padStart(8),
    bars(week.hashing, week.shards).padEnd(5),
    bars(week.foreshard, week.shards).padEnd(9),
    week.hashing.imbalance.toFixed(2).padStart(5),
    week.foreshard.imbalance.toFixed(2).padStart(8),
    percent(week.hashing.crossing).padStart(8),
    percent(week.foreshard.crossing).padStart(8),
    String(week.moves).padStart(8),
    (week.confidence.length ? mean(week.confidence).toFixed(2) : '').padStart(8),
  ].join(' ')
  const notes = []
  if (week.joined) notes.push(`${week.joined} joins the shards`)
  if (week.progress)
    notes.push(
      `resharding ${week.progress.phase}: ${week.progress.segmentsDone} of ${week.progress.segmentsTotal} segments, ${week.progress.keysCopied} keys copied`,
    )
  if (week.reason) notes.push(week.reason)
  return [line, ...notes.map((note) => `           ${note}`)].join('\n')
}

export function footer(rows: readonly Row[], { many }: DemoWords, summary: Summary): string {
  // The first weeks are the ones it learns from; the gain is that of the weeks after.
  const after = rows.slice(4)
  const mean = (pick: (row: Row) => number) =>
    after.reduce((sum, it) => sum + pick(it), 0) / Math.max(1, after.length)
  const hash = { imbalance: mean((it) => it.hashing.imbalance), crossing: mean((it) => it.hashing.crossing) }
  const ours = {
    imbalance: mean((it) => it.foreshard.imbalance),
    crossing: mean((it) => it.foreshard.crossing),
  }
  return [
    '─'.repeat(96),
    `imbalance  hashing    ${spark(
      rows.map((it) => it.hashing.imbalance),
      1,
      2,
    )}`,
    `           Foreshard  ${spark(
      rows.map((it) => it.foreshard.imbalance),
      1,
      2,
    )}   scale 1 to 2`,
    `crossing   hashing    ${spark(
      rows.map((it) => it.hashing.crossing),
      0,
      1,
    )}`,
    `           Foreshard  ${spark(
      rows.map((it) => it.foreshard.crossing),
      0,
      1,
    )}   scale 0 to 100 %`,
    '',
    `Gained, from the fifth week on: imbalance ${hash.imbalance.toFixed(2)} → ${ours.imbalance.toFixed(2)}, crossing ${percent(hash.crossing)} → ${percent(ours.crossing)}; J, their sum, ${(hash.imbalance + hash.crossing).toFixed(2)} → ${(ours.imbalance + ours.crossing).toFixed(2)}.`,
    `Cost: ${summary.reshardings} reshardings, ${summary.moves} moves, ${summary.keys.toLocaleString('en')} keys and ${(summary.bytes / 1024).toFixed(1)} KiB copied, longest hold ${summary.longestHoldMs.toFixed(0)} ms.`,
    summary.wrong + summary.missing === 0
      ? `Nothing lost: ${summary.compared.toLocaleString('en')} values compared after ${summary.transactions.toLocaleString('en')} ${many}, all equal (${summary.seconds.toFixed(0)} s).`
      : `LOST: ${summary.missing} keys are missing and ${summary.wrong} values differ, of ${summary.compared}.`,
  ].join('\n')
}

function bars(week: Week, shards: readonly string[]): string {
  return shards
    .map(
      (shard) =>
        BARS[Math.min(7, Math.round(((week.share.get(shard) ?? 0) * shards.length * 8) / 2) - 1)] ?? BARS[0],
    )
    .join('')
}

function spark(values: readonly number[], low: number, high: number): string {
  return values
    .map((value) => BARS[Math.max(0, Math.min(7, Math.floor(((value - low) / (high - low)) * 8)))])
    .join('')
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
