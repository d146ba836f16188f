import { invalid, shown } from '../errors'
import { isWellFormed } from './key'

/** '#117' is bucket 117; '{user:42}' is the tag user:42, carved out of its bucket. */
export type SegmentId = `#${number}` | `{${string}}`
export type ShardId = string
export type ShardAssignmentMap = ReadonlyMap<SegmentId, ShardId>

/** Buckets in a topology unless it is told otherwise; the same number as Redis Cluster's slots. */
export const DEFAULT_BUCKETS = 16_384
export const MAX_BUCKETS = 1 << 20
/** UTF-16 units of a tag that can be a segment. The keys of a longer tag stay in their bucket. */
const LONGEST_TAG = 65_536

const bucketIds: SegmentId[] = []

/** The segment of a bucket. Interned: the same string every time. */
export function bucketSegment(bucketId: number): SegmentId {
  bucketIds[bucketId] ??= `#${bucketId}`
  return bucketIds[bucketId]
}

/** The segment of a tag that has been, or is to be, carved out of its bucket. */
export function tagSegment(tag: string): SegmentId {
  return `{${tag}}`
}

export function isTagSegment(segment: string): segment is `{${string}}` {
  return segment.charCodeAt(0) === 123
}

/** The tag of a tag segment, undefined for a bucket. */
export function tagOfSegment(segment: SegmentId): string | undefined {
  return isTagSegment(segment) ? segment.slice(1, -1) : undefined
}

/** The bucket of a bucket segment, undefined for a tag. */
export function bucketOfSegment(segment: SegmentId): number | undefined {
  return isTagSegment(segment) ? undefined : Number(segment.slice(1))
}

/** Refuses what is not the name of a segment in a topology of `buckets` buckets. */
export function checkSegment(segment: unknown, buckets: number, field: string): asserts segment is SegmentId {
  if (typeof segment !== 'string') throw invalid(field, 'a segment is a string such as "#117" or "{user:42}"')
  if (/^#(0|[1-9][0-9]*)$/.test(segment)) {
    if (Number(segment.slice(1)) >= buckets)
      throw invalid(
        field,
        `bucket ${segment} does not exist; this topology has buckets #0 to #${buckets - 1}`,
      )
    return
  }
  if (segment.length > 2 && segment.startsWith('{') && segment.endsWith('}')) {
    if (segment.length - 2 > LONGEST_TAG)
      throw invalid(field, `${shown(segment)} is a tag of more than ${LONGEST_TAG} characters`)
    // Such tags have one hash, and one record in most stores: two of them would be taken for each other.
    if (!isWellFormed(segment))
      throw invalid(field, `${shown(segment)} holds an unpaired surrogate, which no key can`)
    return
  }
  throw invalid(field, `${shown(segment)} is neither a bucket "#n" nor a tag "{…}"`)
}
