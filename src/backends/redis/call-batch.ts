import { ErrorCode, ForeshardError } from '../../errors'
import { type BucketFences, type FenceRecord, governing } from '../../placement/fence'
import { isTagSegment, type SegmentId, tagSegment } from '../../placement/segment'
import type { Answer, Call } from '../../shard-store'
import type { Argument, Reply } from './connection'
import { recordOf } from './fence-fields'

/** The last moment that a Date knows, in the year 275760. */
const END_OF_TIME = 8.64e15

/** Absolute ms as Redis takes them: whole, and never later than was asked for. */
export function wholeMs(expiresAt: number): string {
  return String(Math.min(Math.floor(expiresAt), END_OF_TIME))
}

export function bytesOf(value: Uint8Array): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

/** Appends a call to the arguments of lua/execute.ts. */
export function encodeCall(call: Call, bucketKey: string, keys: Argument[], args: Argument[]): void {
  const { operation } = call
  keys.push(bucketKey, call.key)
  const own = isTagSegment(call.segment)
  const tag = call.tag === call.key ? '' : call.tag
  switch (operation.kind) {
    case 'get':
      args.push(own ? 'G' : 'g', String(call.epoch), tag)
      break
    case 'has':
      args.push(own ? 'H' : 'h', String(call.epoch), tag)
      break
    case 'set':
      args.push(own ? 'S' : 's', String(call.epoch), tag, bytesOf(operation.value))
      args.push(wholeMs(operation.expiresAt), conditionOf(operation.ifVersion))
      break
    case 'delete':
      args.push(own ? 'D' : 'd', String(call.epoch), tag, conditionOf(operation.ifVersion))
  }
}

function conditionOf(ifVersion: number | undefined): string {
  return ifVersion === undefined ? '' : String(ifVersion)
}

/** What was answered to a call, in three items from `at` on. @throws NOT_SUPPORTED for a get of what is no string. */
export function decodeAnswer(call: Call, reply: readonly Reply[], at: number): Answer {
  const seq = reply[at]
  const second = reply[at + 1]!
  const third = reply[at + 2]!
  if (seq === null || seq === undefined) return refusal(call, String(second), third)
  const { kind } = call.operation
  if (kind === 'set' || kind === 'delete')
    return {
      ok: true,
      value: undefined,
      version: Number(second),
      seq: Number(seq),
      applied: third !== null,
      expiresAt: undefined,
    }
  const there = second !== null
  const reads = there && kind === 'get'
  // Version, expiry and tag, as lua/execute.ts keeps them.
  const field = there ? String(second) : '0'
  return {
    ok: true,
    value: reads ? (third as Buffer) : undefined,
    version: Number.parseInt(field, 10),
    seq: Number(seq),
    applied: there,
    expiresAt: reads ? Number.parseInt(field.slice(field.indexOf(' ') + 1), 10) : undefined,
  }
}

export function refusal(call: Call, reason: string, detail: Reply): Answer {
  if (reason === 'type')
    throw new ForeshardError(
      ErrorCode.NOT_SUPPORTED,
      `the key holds a Redis ${String(detail)}, which is no value of bytes; read it with a Redis client`,
      { field: 'key' },
    )
  const fields = detail as Reply[]
  const own = tagSegment(call.tag)
  const [bucket, tag] = [recordOf(fields.slice(0, 3)), recordOf(fields.slice(3))]
  if (reason !== 'elsewhere') {
    const record = call.segment === own ? tag : bucket
    const retryAfterMs = record.holdUntil - Number(reason)
    return { ok: false, reason: 'held', governs: call.segment, record, retryAfterMs }
  }
  const { segment, record } = governing(new TwoFences(call.bucketId, own, bucket, tag), call.tag)
  return { ok: false, reason: 'elsewhere', governs: segment, record, retryAfterMs: 0 }
}

/** As much of a bucket's fences as a refusal tells: the bucket's and one tag's. */
class TwoFences implements BucketFences {
  readonly ticket = 0
  readonly exporting = ''

  constructor(
    readonly bucketId: number,
    readonly own: SegmentId,
    readonly bucket: FenceRecord,
    readonly tag: FenceRecord,
  ) {}

  record(segment: SegmentId): FenceRecord {
    return segment === this.own ? this.tag : this.bucket
  }

  tags(): SegmentId[] {
    return [this.own]
  }
}
