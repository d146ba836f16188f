import type { FenceRecord, FenceState } from '../../placement/fence'

const STATES: readonly FenceState[] = ['none', 'owned', 'importing', 'moved']
const HELD = 1
const TRACE = 2
const LOADING = 4
const KEPT = 8
const INTACT = 16
const NUMBERS = ['epoch', 'ticket', 'seq', 'export', 'holdUntil', 'base', 'nextBatch'] as const
const NUMBERS_AT = 6
const SEQ_AT = NUMBERS_AT + 8 * NUMBERS.indexOf('seq')
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

/** state:1 flags:1 log:4 seven numbers of 8 bytes, and a tail of JSON. `log` names the segment's change log. */
export function encodeFence(record: FenceRecord, log: number, tag: string | undefined): Buffer {
  const plain = record.peer === '' && record.carved.size === 0 && tag === undefined
  const tail = plain
    ? ''
    : JSON.stringify([record.peer, [...record.carved], ...(tag === undefined ? [] : [tag])])
  const row = Buffer.allocUnsafe(TAIL_AT + Buffer.byteLength(tail))
  row[0] = STATES.indexOf(record.state)
  row[1] =
    (record.held ? HELD : 0) |
    (record.trace ? TRACE : 0) |
    (record.loading ? LOADING : 0) |
    (record.kept ? KEPT : 0) |
    (record.intact ? INTACT : 0)
  row.writeUInt32LE(log, 2)
  for (const [i, name] of NUMBERS.entries()) row.writeDoubleLE(record[name], NUMBERS_AT + 8 * i)
  row.write(tail, TAIL_AT)
  return row
}

export function decodeFence(row: Buffer): FenceRecord {
  const flags = row[1]!
  const { peer, carved } = tailOf(row)
  const number = (i: number) => row.readDoubleLE(NUMBERS_AT + 8 * i)
  return {
    state: STATES[row[0]!]!,
    epoch: number(0),
    ticket: number(1),
    seq: number(2),
    peer,
    export: number(3),
    holdUntil: number(4),
    held: (flags & HELD) !== 0,
    trace: (flags & TRACE) !== 0,
    base: number(5),
    loading: (flags & LOADING) !== 0,
    kept: (flags & KEPT) !== 0,
    nextBatch: number(6),
    intact: (flags & INTACT) !== 0,
    carved,
  }
}

export function logOfFence(row: Buffer): number {
  return row.readUInt32LE(2)
}

export function tagOfFence(row: Buffer): string | undefined {
  return tailOf(row).tag
}

export function putSeqInFence(row: Buffer, seq: number): void {
  row.writeDoubleLE(seq, SEQ_AT)
}

function tailOf(row: Buffer): Tail {
  if (row.length === TAIL_AT) return NO_TAIL
  const text = row.toString('utf8', TAIL_AT, row.length)
  let tail = tails.get(text)
  if (!tail) {
    const [peer, carved, tag] = JSON.parse(text) as [string, string[], string?]
    tail = { peer, carved: new Set(carved), tag }
    if (tails.size >= TAILS_KEPT) tails.clear()
    tails.set(text, tail)
  }
  return tail
}
