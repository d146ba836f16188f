import type { SegmentId, ShardId } from '../placement/segment'
import { DAY_MS, HOUR_MS } from './options'

/** What a sentence about one move is made of. */
export interface Grounds {
  readonly segment: SegmentId
  readonly from: ShardId
  readonly to: ShardId
  /** Relative forecast load of the shards before and after the plan, one number a step; 1 is a fair share. */
  readonly fromBefore: ArrayLike<number>
  readonly fromAfter: ArrayLike<number>
  readonly toAfter: ArrayLike<number>
  /** The segment's part of its old shard's load at each step, 0..1. */
  readonly part: ArrayLike<number>
  /** Start of the horizon, ms since the epoch, and length of a step. */
  readonly start: number
  readonly intervalMs: number
  /** What the move does to J, and the parts of it that the crossing makes. */
  readonly gain: number
  readonly uncrossed: number
  readonly probability: number
  /** The tag is cut out of its bucket by this move. */
  readonly carved: boolean
  /** Relative load of the segment alone at its worst, if that is above a fair share. */
  readonly alone?: number
  readonly alike?: string
  readonly draining: boolean
}

const DAYS = ['Sundays', 'Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays']

/** One sentence that a person can check against the log. */
export function reasonFor(grounds: Grounds): string {
  const { from, to, segment, fromBefore, fromAfter, toAfter, part } = grounds
  const worst = highest(fromBefore)
  const carried = worst < 0 ? 0 : part[worst]!
  const clauses: string[] = []
  if (grounds.draining) clauses.push(`${from} is to be emptied`)
  else if (worst >= 0 && fromBefore[worst]! > 1)
    clauses.push(
      `${from} will peak at ${fixed(fromBefore[worst]!)} of its share ${when(grounds, worst)}; ${show(segment)} carries ${percent(carried)} of it then`,
    )
  else clauses.push(`${show(segment)} carries ${percent(carried)} of ${from}`)
  if (grounds.uncrossed > 0.0005)
    clauses.push(
      `${percent(grounds.uncrossed)} of the multi-key transactions will touch one shard instead of several`,
    )
  if (worst >= 0)
    clauses.push(
      `with all moves ${from} comes to ${fixed(fromAfter[worst]!)} then, ${to} to ${fixed(toAfter[worst]!)}`,
    )
  if (grounds.carved) clauses.push('the tag is carved out, the rest of its bucket stays')
  if (grounds.alone !== undefined)
    clauses.push(
      `alone it is ${fixed(grounds.alone)} of a shard's share, so no placement can be even; give it a shard to itself, or split the key`,
    )
  if (grounds.alike !== undefined) clauses.push(grounds.alike)
  clauses.push(
    `J ${grounds.gain >= 0 ? 'falls' : 'rises'} by ${Math.abs(grounds.gain).toFixed(3)}, confidence ${fixed(grounds.probability)}`,
  )
  return `${clauses.join('; ')}.`
}

/** 'on Mondays 17:00–19:00 UTC': the hours around the peak in which the load stays within a twentieth of it. */
function when({ fromBefore, start, intervalMs }: Grounds, worst: number): string {
  const near = (step: number) =>
    fromBefore[step] !== undefined && fromBefore[step] >= 0.95 * fromBefore[worst]!
  let first = worst
  let last = worst
  while (near(first - 1)) first--
  while (near(last + 1)) last++
  const from = start + first * intervalMs
  const until = start + (last + 1) * intervalMs
  if (intervalMs >= DAY_MS || until - from >= DAY_MS) return `from ${day(from)} to ${day(until)}`
  const dayOfWeek = DAYS[(Math.floor(from / DAY_MS) + 4) % 7]!
  return `on ${intervalMs === HOUR_MS ? dayOfWeek : day(from)} ${clock(from)}–${clock(until)} UTC`
}

function clock(at: number): string {
  const minutes = Math.floor((at % DAY_MS) / 60_000)
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}

/** 'day 18586' would help nobody: the civil date (H. Hinnant's days algorithm), without a Date. */
function day(at: number): string {
  const z = Math.floor(at / DAY_MS) + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const year = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const date = dayOfYear - Math.floor((153 * month + 2) / 5) + 1
  const civil = month < 10 ? month + 3 : month - 9
  return `${year + era * 400 + (civil <= 2 ? 1 : 0)}-${pad(civil)}-${pad(date)}`
}

function highest(values: ArrayLike<number>): number {
  let at = -1
  for (let k = 0; k < values.length; k++) if (at < 0 || values[k]! > values[at]!) at = k
  return at
}

/** Names are user input: cut, and without control characters. */
export function show(segment: SegmentId): string {
  const printable = segment.replace(/\p{Cc}/gu, '·')
  return printable.length > 80 ? `${printable.slice(0, 79)}…` : printable
}

function percent(share: number): string {
  const value = share * 100
  return `${value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} %`
}

function fixed(value: number): string {
  return value.toFixed(2)
}

function pad(value: number): string {
  return String(value).padStart(2, '0')
}
