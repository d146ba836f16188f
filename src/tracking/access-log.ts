import { invalid, shown } from '../errors'
import { isWellFormed } from '../placement/key'

/** The last moment that a Date can tell. Beyond 2^53 numbers of intervals would no longer count up. */
export const LATEST_MS = 8.64e15

export interface AccessLogEntry {
  /** ms since the epoch. */
  timestamp: number
  key: string
  operation: 'read' | 'write'
  /** The application's own name of the query. */
  queryType?: string
  /** Entries that share it were accessed together. */
  transactionId?: string
  /** The kind of user behind it. */
  userProfile?: string
  /** Size of the value. */
  bytes?: number
  /** The entry stands for so many accesses; default 1. */
  count?: number
}

/** Why an entry of a log was refused. */
export type RefusedBecause =
  | 'not an object'
  | 'timestamp'
  | 'timestamp in the future'
  | 'key'
  | 'operation'
  | 'transactionId'
  | 'bytes'
  | 'count'
  | 'unreadable line'
  | 'line too long'

/** The reason why an entry cannot be used, undefined for a good one. Nothing in it is trusted. */
export function refusedBecause(
  entry: unknown,
  latest = Number.POSITIVE_INFINITY,
): RefusedBecause | undefined {
  if (entry === null || typeof entry !== 'object') return 'not an object'
  const { timestamp, key, operation, transactionId, bytes, count } = entry as Partial<AccessLogEntry>
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp) || timestamp < 0) return 'timestamp'
  if (timestamp > latest || timestamp > LATEST_MS) return 'timestamp in the future'
  if (typeof key !== 'string' || key.length === 0 || key.length > 65_536 || !isWellFormed(key)) return 'key'
  if (operation !== 'read' && operation !== 'write') return 'operation'
  if (transactionId !== undefined && typeof transactionId !== 'string') return 'transactionId'
  if (bytes !== undefined && !(Number.isFinite(bytes) && bytes >= 0)) return 'bytes'
  if (count !== undefined && !(Number.isFinite(count) && count >= 0)) return 'count'
  return undefined
}

/** For the streaming path, where a bad entry is the caller's mistake: throws with the name of the field. */
export function checkEntry(entry: unknown, field = 'entry'): asserts entry is AccessLogEntry {
  const reason = refusedBecause(entry)
  if (!reason) return
  if (reason === 'not an object')
    throw invalid(field, 'must be an access log entry { timestamp, key, operation, … }')
  const name = reason.split(' ')[0]!
  const value = (entry as Record<string, unknown>)[name]
  throw invalid(`${field}.${name}`, `${CURES[name] ?? 'is malformed'}, not ${shown(value)}`)
}

const CURES: Readonly<Record<string, string>> = {
  timestamp: 'must be milliseconds since the epoch, finite and not negative',
  key: 'must be a non-empty string of at most 65536 characters, without unpaired surrogates',
  operation: "must be 'read' or 'write'",
  transactionId: 'must be a string when given',
  bytes: 'must be a finite number, not negative, when given',
  count: 'must be a finite number, not negative, when given',
}
