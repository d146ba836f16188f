import { ErrorCode, ForeshardError, invalid } from '../../errors'
import { checkKey, type KeyRules } from '../../placement/key'
import { bucketSegment, isTagSegment } from '../../placement/segment'
import type { Call, IngestRequest, SegmentAt } from '../../shard-store'

/** What is refused before anything is sent. */
export class RequestChecks {
  buckets = 0
  readonly #keyRules: KeyRules
  /** One more key that nobody may use. */
  readonly #reserved: string
  readonly #maxValueBytes: number

  constructor(keyRules: KeyRules, reserved: string, maxValueBytes: number) {
    this.#keyRules = keyRules
    this.#reserved = reserved
    this.#maxValueBytes = maxValueBytes
  }

  call(call: Call): void {
    this.segment(call)
    this.#key(call.key, 'key')
    if (call.operation.kind === 'set')
      this.#value(call.operation.value, call.operation.expiresAt, 'operation')
  }

  batch({ changes }: IngestRequest): void {
    for (const [i, { key, entry }] of changes.entries()) {
      this.#key(key, `changes[${i}].key`)
      if (!entry) continue
      if (!entry.value) throw invalid(`changes[${i}].entry.value`, 'is missing; digests cannot be ingested')
      this.#value(entry.value, entry.expiresAt, `changes[${i}].entry`)
    }
  }

  segment(at: SegmentAt): void {
    if (!Number.isInteger(at.bucketId) || at.bucketId < 0 || at.bucketId >= this.buckets)
      throw invalid('bucketId', `is ${at.bucketId}; this topology has buckets 0 to ${this.buckets - 1}`)
    if (!isTagSegment(at.segment) && at.segment !== bucketSegment(at.bucketId))
      throw invalid('segment', `${at.segment} is not in bucket ${at.bucketId}`)
  }

  limit(limit: number, field: string): void {
    if (!Number.isSafeInteger(limit) || limit < 1) throw invalid(field, 'must be a whole number from 1')
  }

  #key(key: string, field: string): void {
    checkKey(key, this.#keyRules, field)
    if (key === this.#reserved)
      throw new ForeshardError(
        ErrorCode.INVALID_KEY,
        `${field} is ${key}, which is reserved; choose another name`,
        {
          field,
        },
      )
  }

  #value(value: Uint8Array, expiresAt: number, field: string): void {
    if (!(value instanceof Uint8Array))
      throw new ForeshardError(ErrorCode.INVALID_VALUE, `${field}.value is not bytes; encode it first`, {
        field,
      })
    if (value.byteLength > this.#maxValueBytes)
      throw new ForeshardError(
        ErrorCode.INVALID_VALUE,
        `${field}.value has ${value.byteLength} bytes; this store keeps at most ${this.#maxValueBytes}`,
        { field },
      )
    if (!Number.isFinite(expiresAt))
      throw invalid(`${field}.expiresAt`, 'must be a time in ms, or 0 for never')
  }
}
