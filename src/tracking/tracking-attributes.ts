import type { SegmentId } from '../placement/segment'

/** What every update request is labelled with. */
export interface TrackingAttributes {
  /** Grows with every write of the segment, in every process and across moves. */
  sequenceNumber: number
  bucketId: number
  segment: SegmentId
  /** Of the segment, as this process saw it used, this update included. See access-score.ts. */
  accessScore: number
}
