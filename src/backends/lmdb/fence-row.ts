import type { FenceRecord, FenceState } from '../../placement/fence'

const STATES: readonly FenceState[] = ['none', 'owned', 'importing', 'moved']
const HELD = 1
const TRACE = 2
const LOADING = 4
const KEPT = 8
const INTACT = 16
const NUMBERS = ['epoch', 'ticket', 'seq', 'export', 'holdUntil', 'base', 'nextBatch'] as const
const NUMBERS_AT = 6
const TAIL_AT = NUMBERS_AT + 8 * NUMBERS.length
const TAILS_KEPT = 1024

/** The parts that are rarely there: [peer, carved tags, the tag whose row it is]. */
interface Tail {
  readonly peer: string
  readonly carved: ReadonlySet<string>
  readonly tag: string | undefined
}

const NO_TAIL: Tail = { peer: '', carved: new Set(), tag: undefined }
/** Decoded tails by their text: the same few are read with every operation. */
const tails = new Map<string, Tail>()

/** The rare parts as they are written; '' where there are none. */
export function tailOfFence(record: FenceRecord, tag: string | undefined): string {
  if (record.peer === '' && record.carved.size === 0 && tag === undefined) return ''
  return JSON.stringify([record.peer, [...record.carved], ...(tag === undefined ? [] : [tag])])
}

/** state:1 flags:1 log:4 seven numbers of 8 bytes, and the tail. `log` names the segment's change log. */
export function encodeFence(record: FenceRecord, log: number, tail: string): Buffer {
  const row = Buffer.allocUnsafe(TAIL_AT + Buffer.byteLength(tail))
  row[0] = STATES.indexOf(record.state)
  row[1] =
    (record.held ? HELD : 0) |
    (record.trace ? TRACE : 0) |
    (record.loading ? LOADING : 0) |
    (record.kept ? KEPT : 0) |
    (record.intact ? INTACT : 0)
  row.writeUInt32LE(log, 2)
  for (let i = 0; i < NUMBERS.length; i++) row.writeDoubleLE(record[NUMBERS[i]!], NUMBERS_AT + 8 * i)
  row.write(tail, TAIL_AT)
  return row
}

export interface FenceRow {
  readonly record: FenceRecord
  readonly log: number
  readonly tail: string
}

/** Keeps nothing of `row`. */
export function decodeFence(row: Buffer): FenceRow {
  const flags = row[1]!
  const text = row.length === TAIL_AT ? '' : row.toString('utf8', TAIL_AT, row.length)
  const { peer, carved } = tailOf(text)
  const record: FenceRecord = {
    state: STATES[row[0]!]!,
    epoch: row.readDoubleLE(NUMBERS_AT),
    ticket: row.readDoubleLE(NUMBERS_AT + 8),
    seq: row.readDoubleLE(NUMBERS_AT + 16),
    peer,
    export: row.readDoubleLE(NUMBERS_AT + 24),
    holdUntil: row.readDoubleLE(NUMBERS_AT + 32),
    held: (flags & HELD) !== 0,
    trace: (flags & TRACE) !== 0,
    base: row.readDoubleLE(NUMBERS_AT + 40),
    loading: (flags & LOADING) !== 0,
    kept: (flags & KEPT) !== 0,
    nextBatch: row.readDoubleLE(NUMBERS_AT + 48),
    intact: (flags & INTACT) !== 0,
    carved,
  }
  return { record, log: row.readUInt32LE(2), tail: text }
}

export function tagOfFence(row: Buffer): string | undefined {
  return tailOf(row.toString('utf8', TAIL_AT, row.length)).tag
}

function tailOf(text: string): Tail {
  if (text === '') return NO_TAIL
  let tail = tails.get(text)
  if (!tail) {
    const [peer, carved, tag] = JSON.parse(text) as [string, string[], string?]
    tail = { peer, carved: new Set(carved), tag }
    if (tails.size >= TAILS_KEPT) tails.clear()
    tails.set(text, tail)
  }
  return tail
}
