import {
  type BucketFences,
  type FenceCommand,
  type FenceRecord,
  isHeld,
  isProtected,
  logsChanges,
  NO_FENCE,
  serves,
} from '../../placement/fence'
import { decide } from '../../placement/fence-table'
import { isTagSegment, type SegmentId, tagOfSegment } from '../../placement/segment'
import type { Operation } from '../../shard-store'

export interface ModelEntry {
  readonly tag: string
  readonly value: string
  readonly version: number
  readonly expiresAt: number
}

/** One bucket of a shard, as plainly as it can be written: what a store is compared with. */
export class ModelShard implements BucketFences {
  readonly bucketId: number
  ticket = 0
  exporting: SegmentId | '' = ''
  readonly records = new Map<SegmentId, FenceRecord>()
  readonly entries = new Map<string, ModelEntry>()
  readonly logs = new Map<SegmentId, Map<string, { seq: number; tag: string }>>()
  /** Rows of the fence table that were taken, by their step and guard. */
  readonly taken = new Set<string>()

  constructor(bucketId: number) {
    this.bucketId = bucketId
  }

  record(segment: SegmentId): FenceRecord {
    return this.records.get(segment) ?? NO_FENCE
  }

  tags(): SegmentId[] {
    return [...this.records.keys()].filter(isTagSegment)
  }

  step(
    segment: SegmentId,
    command: FenceCommand,
    now: number,
  ): { ok: boolean; changed: boolean; record: FenceRecord } {
    const decision = decide(this, segment, command, now)
    if (!decision.ok) return { ok: false, changed: false, record: decision.record }
    this.taken.add(`${decision.row.step}: ${decision.row.guard}`)
    const { records, ticket, exporting, clearLogs } = decision.change
    for (const [other, record] of records) this.records.set(other, record)
    if (ticket !== undefined) this.ticket = ticket
    if (exporting !== undefined) this.exporting = exporting
    for (const other of clearLogs ?? []) this.logs.delete(other)
    return { ok: true, changed: records.length > 0, record: decision.record }
  }

  /** Applied and seq of an operation, or the reason of its refusal. */
  operate(segment: SegmentId, epoch: number, key: string, tag: string, operation: Operation, now: number) {
    const record = this.record(segment)
    if (!serves(record, epoch, tag)) return 'elsewhere' as const
    const entry = this.live(key, now)
    const version = entry?.version ?? 0
    if (operation.kind !== 'set' && operation.kind !== 'delete')
      return { applied: entry !== undefined, version, seq: record.seq }
    if (isHeld(record, now)) return 'held' as const
    const matches = operation.ifVersion === undefined || operation.ifVersion === version
    if (!matches || (operation.kind === 'delete' && !entry))
      return { applied: false, version, seq: record.seq }
    const seq = record.seq + 1
    this.records.set(segment, { ...record, seq })
    if (logsChanges(record)) {
      const log = this.logs.get(segment) ?? new Map()
      log.set(key, { seq, tag })
      this.logs.set(segment, log)
    }
    if (operation.kind === 'delete') {
      this.entries.delete(key)
      return { applied: true, version: 0, seq }
    }
    const value = new TextDecoder().decode(operation.value)
    this.entries.set(key, { tag, value, version: seq, expiresAt: operation.expiresAt })
    return { applied: true, version: seq, seq }
  }

  live(key: string, now: number): ModelEntry | undefined {
    const entry = this.entries.get(key)
    return entry && (entry.expiresAt === 0 || entry.expiresAt > now) ? entry : undefined
  }

  /** The live keys of a segment, sorted. */
  keysOf(segment: SegmentId, now: number): string[] {
    const { carved } = this.record(segment)
    const own = tagOfSegment(segment)
    return [...this.entries]
      .filter(([key, { tag }]) => (own === undefined ? !carved.has(tag) : tag === own) && this.live(key, now))
      .map(([key]) => key)
      .sort()
  }

  changesOf(segment: SegmentId): [seq: number, key: string][] {
    return [...(this.logs.get(segment) ?? [])]
      .map(([key, { seq }]) => [seq, key] as [number, string])
      .sort((a, b) => a[0] - b[0])
  }

  /** Deletes everything that a sweep or purge of the segment may delete. */
  erase(segment: SegmentId): void {
    const own = tagOfSegment(segment)
    for (const [key, { tag }] of this.entries)
      if ((own === undefined || tag === own) && !isProtected(this, segment, tag)) this.entries.delete(key)
  }
}
