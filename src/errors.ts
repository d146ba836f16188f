/**
 * The closed list of codes. A code is stable: it is never renamed and never changes its meaning.
 * docs/errors.md gives each one its cure; a test compares the two lists.
 */
export const ErrorCode = {
  /** An argument is malformed; the message names the field and the cure. Nothing was changed. */
  INVALID_ARGUMENT: 'INVALID_ARGUMENT',
  /** A key that cannot be stored: empty, too long, a lone surrogate, a reserved name. */
  INVALID_KEY: 'INVALID_KEY',
  /** A value that cannot be stored: too large, or not encodable by the codec. */
  INVALID_VALUE: 'INVALID_VALUE',
  /** The map or call names a shard that the topology does not know. */
  UNKNOWN_SHARD: 'UNKNOWN_SHARD',
  /** The map names something that is not a segment of this topology. */
  UNKNOWN_SEGMENT: 'UNKNOWN_SEGMENT',
  /** The bucket count, seed or shard set given at open differs from the topology's. */
  TOPOLOGY_MISMATCH: 'TOPOLOGY_MISMATCH',
  /** A store holds the data of another shard or of another topology. */
  SHARD_MISMATCH: 'SHARD_MISMATCH',
  /** A store that serves one process is open in another one, or by another store object. */
  SHARD_IN_USE: 'SHARD_IN_USE',
  /** The document in the topology store cannot be read: cut, altered, or of a newer version. */
  TOPOLOGY_CORRUPT: 'TOPOLOGY_CORRUPT',
  /** The topology store did not answer. Reads and writes go on with the map that is known. */
  TOPOLOGY_UNAVAILABLE: 'TOPOLOGY_UNAVAILABLE',
  /** The shard did not answer and the operation certainly had no effect. */
  SHARD_UNAVAILABLE: 'SHARD_UNAVAILABLE',
  /** The shard has no room left; the operation had no effect. */
  SHARD_FULL: 'SHARD_FULL',
  /** The connection was lost after a write was sent; it may or may not have been applied. */
  OUTCOME_UNKNOWN: 'OUTCOME_UNKNOWN',
  /** No shard admitted to own the segment within the allowed number of tries. */
  TOO_MANY_REFUSALS: 'TOO_MANY_REFUSALS',
  /** `ifVersion` did not match, or `update` lost every race it was allowed. */
  VERSION_CONFLICT: 'VERSION_CONFLICT',
  /** Two shards contradict each other in a way the protocol excludes. All data is kept. */
  FENCE_CONFLICT: 'FENCE_CONFLICT',
  /** The two copies of a segment differed twice; the move was undone. */
  VERIFY_FAILED: 'VERIFY_FAILED',
  /** Another process carries out a plan and holds the lease. */
  LEASE_HELD: 'LEASE_HELD',
  /** The resharding was cancelled before its cutover. */
  CANCELLED: 'CANCELLED',
  /** The keys of one command have different tags, and may lie on different shards. Nothing was changed. */
  KEYS_APART: 'KEYS_APART',
  /** The store does not support what was asked of it. */
  NOT_SUPPORTED: 'NOT_SUPPORTED',
  /** A snapshot that cannot be read: cut, altered, or of a newer version. */
  SNAPSHOT_CORRUPT: 'SNAPSHOT_CORRUPT',
  /** The service of a predictor cannot be reached, is not ready yet, or is being stopped. */
  PREDICTOR_UNAVAILABLE: 'PREDICTOR_UNAVAILABLE',
  /** A request to a service brings no token, or none that it knows. */
  UNAUTHENTICATED: 'UNAUTHENTICATED',
  /** The token of a request is good, but not for this. */
  NOT_PERMITTED: 'NOT_PERMITTED',
  /** A service has nothing there. */
  NOT_FOUND: 'NOT_FOUND',
  /** What was sent, or what was answered, is larger than its limit. */
  TOO_LARGE: 'TOO_LARGE',
  /** More requests than a service takes. */
  TOO_MANY_REQUESTS: 'TOO_MANY_REQUESTS',
  /** The body of a request did not come in time. */
  TIMED_OUT: 'TIMED_OUT',
  /** A service failed for a reason of its own, which its log has. */
  FAILED: 'FAILED',
  /** The router, store, predictor or rebalancer was closed. */
  CLOSED: 'CLOSED',
} as const

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

export interface ErrorDetails {
  /** The argument, option or column that is at fault, as a path: `options.shards`, `entries[3].timestamp`. */
  field?: string
  /** The shard that is concerned. */
  shard?: string
  /** Of an operation on many keys: those that were not carried out, and why. The others were. */
  failed?: ReadonlyMap<string, ForeshardError>
  cause?: unknown
}

/** The one error class of Foreshard. `code` is stable; `message` is for people, and of bounded length. */
export class ForeshardError extends Error {
  readonly code: ErrorCode
  readonly field?: string
  readonly shard?: string
  /** Of an operation on many keys: those that were not carried out, and why. The others were. */
  readonly failed?: ReadonlyMap<string, ForeshardError>

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(
      shortened(message, LONGEST_MESSAGE),
      details.cause === undefined ? undefined : { cause: details.cause },
    )
    this.name = 'ForeshardError'
    this.code = code
    if (details.field !== undefined) this.field = shortened(details.field, LONGEST_FIELD)
    if (details.shard !== undefined) this.shard = details.shard
    if (details.failed !== undefined) this.failed = details.failed
  }

  /** Whether the same call may succeed later without any change by the caller. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.SHARD_UNAVAILABLE,
  ErrorCode.SHARD_FULL,
  ErrorCode.SHARD_IN_USE,
  ErrorCode.TOPOLOGY_UNAVAILABLE,
  ErrorCode.TOO_MANY_REFUSALS,
  ErrorCode.VERSION_CONFLICT,
  ErrorCode.LEASE_HELD,
  ErrorCode.PREDICTOR_UNAVAILABLE,
  ErrorCode.TOO_MANY_REQUESTS,
  ErrorCode.TIMED_OUT,
])

/** Characters: what was given may be of any length, and an error is written to logs. */
const LONGEST_MESSAGE = 2_000
const LONGEST_FIELD = 200
const LONGEST_SHOWN = 80

function shortened(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}…`
}

/** Any value as a message may show it: short, and without asking the value for its own idea of a text. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value, LONGEST_SHOWN))
  if (value === null || ['undefined', 'boolean', 'number'].includes(typeof value)) return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  return Array.isArray(value) ? 'an array' : 'an object'
}

/** Shorthand for the most common error: a malformed argument. */
export function invalid(field: string, message: string): ForeshardError {
  return new ForeshardError(ErrorCode.INVALID_ARGUMENT, `${field}: ${message}`, { field })
}

/** Keys of one command that need not be on one shard. */
export function keysApart(one: string, other: string): ForeshardError {
  return new ForeshardError(
    ErrorCode.KEYS_APART,
    `${shown(one)} and ${shown(other)} have different tags, so that they may lie on different shards; give keys that ` +
      'belong to one command the same tag in braces, as in {user:42}:cart and {user:42}:orders',
    { field: 'keys' },
  )
}

export function isForeshardError(error: unknown, code?: ErrorCode): error is ForeshardError {
  return error instanceof ForeshardError && (code === undefined || error.code === code)
}
