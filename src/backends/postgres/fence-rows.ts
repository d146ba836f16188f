import { type BucketFences, type FenceRecord, NO_FENCE } from '../../placement/fence'
import type { FenceChange } from '../../placement/fence-table'
import {
  bucketSegment,
  isTagSegment,
  type SegmentId,
  tagOfSegment,
  tagSegment,
} from '../../placement/segment'
import type { Row } from './connection'
import { hexOf, textOf } from './literal'

/** What the functions of sql/step.ts answer for one fence. */
export interface FenceRow {
  readonly segment: SegmentId
  readonly bucketId: number
  readonly bucketTicket: number
  /** undefined: this segment has no record here. */
  readonly record: FenceRecord | undefined
}

export function fenceRow(row: Row): FenceRow {
  const bucketId = Number(row[0])
  const segment = row[1] === null ? bucketSegment(bucketId) : segmentNamed(String(row[1]), bucketId)
  return { segment, bucketId, bucketTicket: Number(row[2]), record: recordOf(row) }
}

/** A segment inside its bucket: '' is the bucket itself, else the tag, in hex. */
export function nameOf(segment: SegmentId): string {
  return isTagSegment(segment) ? hexOf(tagOfSegment(segment)!) : ''
}

function segmentNamed(name: string, bucketId: number): SegmentId {
  return name === '' ? bucketSegment(bucketId) : tagSegment(textOf(name))
}

function recordOf(row: Row): FenceRecord | undefined {
  if (row[6] === null) return undefined
  const carved = row[20]
  return {
    state: row[6] as FenceRecord['state'],
    epoch: Number(row[7]),
    ticket: Number(row[8]),
    seq: Number(row[9]),
    peer: String(row[10]),
    export: Number(row[11]),
    holdUntil: Number(row[12]),
    held: row[13] === 'true',
    trace: row[14] === 'true',
    base: Number(row[15]),
    loading: row[16] === 'true',
    kept: row[17] === 'true',
    nextBatch: Number(row[18]),
    intact: row[19] === 'true',
    carved:
      row[1] !== '' || carved === null ? NO_FENCE.carved : new Set(String(carved).split(',').map(textOf)),
  }
}

/** All fences of a bucket, of one moment. */
export class StoredFences implements BucketFences {
  readonly bucketId: number
  readonly ticket: number
  readonly exporting: SegmentId | ''
  /** Raised by every step on the bucket. */
  readonly stamp: number
  /** The shard's time, by which holds are judged. */
  readonly now: number
  readonly #records = new Map<SegmentId, FenceRecord>()

  constructor(bucketId: number, rows: readonly Row[], now: number) {
    const first = rows[0]
    this.bucketId = bucketId
    this.ticket = Number(first?.[2] ?? 0)
    this.stamp = Number(first?.[3] ?? 0)
    const exporting = first?.[4] ?? null
    this.exporting = exporting === null ? '' : segmentNamed(String(exporting), bucketId)
    this.now = first ? Number(first[5]) : now
    for (const row of rows) {
      const { segment, record } = fenceRow(row)
      if (record) this.#records.set(segment, record)
    }
  }

  record(segment: SegmentId): FenceRecord {
    return this.#records.get(segment) ?? NO_FENCE
  }

  *tags(): Iterable<SegmentId> {
    for (const segment of this.#records.keys()) if (isTagSegment(segment)) yield segment
  }

  /** The change as apply_1 of sql/step.ts takes it. */
  encode(change: FenceChange): string {
    // A segment that is named twice is as it is named last.
    const records = [...new Map(change.records)].map(([segment, { carved, ...record }]) => {
      const before = this.record(segment)
      const own = { ...record, tag: nameOf(segment), was: before.seq }
      // Only a bucket has tags carved out of it.
      return isTagSegment(segment) || carved === before.carved
        ? own
        : { ...own, carved: [...carved].map(hexOf) }
    })
    const { ticket, exporting, clearLogs = [] } = change
    return JSON.stringify({
      records,
      clear: clearLogs.map(nameOf),
      ...(ticket !== undefined && { ticket }),
      ...(exporting !== undefined && { exporting: exporting === '' ? null : nameOf(exporting) }),
    })
  }
}
