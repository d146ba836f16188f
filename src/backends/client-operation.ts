import type { Clock } from '../clock'
import { governing, isHeld, logsChanges, serves } from '../placement/fence'
import { decide, type FenceChange } from '../placement/fence-table'
import type { Answer, Call, Done, Refusal } from '../shard-store'
import type { LedgerBucket, StoredEntry } from './ledger'

/** Whether the operation, or the proof it carries, may change the shard. */
export function mayWrite(call: Call): boolean {
  const { kind } = call.operation
  return (kind !== 'get' && kind !== 'has') || call.proof !== undefined
}

/** Whether the entry counts: an expired one is absent, whether or not it was reaped already. */
export function isLive(entry: StoredEntry | undefined, clock: Clock): entry is StoredEntry {
  return entry !== undefined && (entry.expiresAt === 0 || entry.expiresAt > clock.now())
}

/** Carries out what the transition table decided. */
export function applyChange(bucket: LedgerBucket, change: FenceChange): void {
  for (const [segment, record] of change.records) bucket.putRecord(segment, record)
  if (change.ticket !== undefined) bucket.putTicket(change.ticket)
  if (change.exporting !== undefined) bucket.putExporting(change.exporting)
  if (change.clearLogs) for (const segment of change.clearLogs) bucket.clearLog(segment)
}

/** One client operation, protocol.md section 2. Called inside an atomic step, in a writing one where mayWrite. */
export function answerCall(bucket: LedgerBucket, call: Call, clock: Clock): Answer {
  const { segment, operation } = call
  let record = bucket.record(segment)
  if (call.proof !== undefined && record.state === 'importing') {
    const activation = decide(bucket, segment, { step: 'activate', proof: call.proof }, clock.now())
    if (activation.ok) {
      applyChange(bucket, activation.change)
      record = bucket.record(segment)
    }
  }
  if (!serves(record, call.epoch, call.tag)) return elsewhere(bucket, call.tag)

  const entry = bucket.get(call.key, call.tag)
  if (operation.kind !== 'set' && operation.kind !== 'delete') {
    if (!isLive(entry, clock))
      return {
        ok: true,
        value: undefined,
        version: 0,
        seq: record.seq,
        applied: false,
        expiresAt: undefined,
      }
    const reads = operation.kind === 'get'
    const value = reads ? entry.value : undefined
    const expiresAt = reads ? entry.expiresAt : undefined
    return { ok: true, value, version: entry.version, seq: record.seq, applied: true, expiresAt }
  }

  const now = clock.now()
  if (isHeld(record, now))
    return {
      ok: false,
      reason: 'held',
      governs: segment,
      record: { ...record },
      retryAfterMs: record.holdUntil - now,
    }
  const present = isLive(entry, clock)
  const version = present ? entry.version : 0
  if (
    (operation.ifVersion !== undefined && operation.ifVersion !== version) ||
    (operation.kind === 'delete' && !present)
  )
    return written(version, record.seq, false)

  const seq = record.seq + 1
  bucket.putSeq(segment, seq)
  if (logsChanges(record)) bucket.log(segment, seq, call.key, call.tag)
  // A value that is born expired is a delete: nobody may see it, not even a clock that is a little behind.
  if (operation.kind === 'delete' || (operation.expiresAt !== 0 && operation.expiresAt <= now)) {
    if (entry) bucket.delete(call.key, call.tag)
    return written(0, seq, true)
  }
  bucket.put(call.key, call.tag, operation.value, seq, operation.expiresAt)
  return written(seq, seq, true)
}

function written(version: number, seq: number, applied: boolean): Done {
  return { ok: true, value: undefined, version, seq, applied, expiresAt: undefined }
}

function elsewhere(bucket: LedgerBucket, tag: string): Refusal {
  const { segment, record } = governing(bucket, tag)
  return { ok: false, reason: 'elsewhere', governs: segment, record: { ...record }, retryAfterMs: 0 }
}
