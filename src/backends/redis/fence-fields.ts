import { type FenceRecord, type FenceState, NO_FENCE } from '../../placement/fence'
import { bucketSegment, isTagSegment, type SegmentId } from '../../placement/segment'
import type { Reply } from './connection'

/** Fields of a bucket's hash as they are described in lua/fence.ts, and segments as scripts name them. */

const STATES: Readonly<Record<string, FenceState>> = { n: 'none', o: 'owned', i: 'importing', m: 'moved' }

export function nameOf(segment: SegmentId): string {
  return isTagSegment(segment) ? segment : '#'
}

export function segmentNamed(name: string, bucketId: number): SegmentId {
  return name === '#' ? bucketSegment(bucketId) : (name as SegmentId)
}

/** A record from its fields s, x and r. */
export function recordOf([s, x, r]: readonly Reply[]): FenceRecord {
  if (s == null || x == null || r == null) return NO_FENCE
  const parts = String(r).split(' ')
  const numbers = parts.map(Number)
  const peers = parts.slice(12).join(' ')
  return {
    state: STATES[parts[0]!]!,
    epoch: numbers[1]!,
    ticket: numbers[2]!,
    seq: Number(s),
    peer: peers,
    export: numbers[3]!,
    holdUntil: numbers[4]!,
    held: parts[5] === '1',
    trace: parts[6] === '1',
    base: numbers[7]!,
    loading: parts[8] === '1',
    kept: parts[9] === '1',
    nextBatch: numbers[10]!,
    intact: parts[11] === '1',
    carved: carvedOf(String(x)),
  }
}

function carvedOf(heed: string): ReadonlySet<string> {
  const at = heed.indexOf(',')
  return at < 0 ? NO_FENCE.carved : new Set(JSON.parse(`[${heed.slice(at + 1)}]`) as string[])
}
