import type { FenceRecord } from '../placement/fence'
import type { SegmentId, ShardId } from '../placement/segment'

/**
 * What ends a piece of the migrator's work before its time. They differ in what may still be done: after a Stop nothing
 * at all, after a Refusal nothing in the name of that ticket, after the others the attempt is undone.
 */
export type Interruption = Stop | Refusal | Unsteady | Unsettled

/** This migrator must not take another step: it was closed, it crashed, or its lease is another's. */
export class Stop extends Error {
  constructor(
    readonly why: 'closed' | 'crashed' | 'lease lost',
    cause?: unknown,
  ) {
    super(`the migrator stops: ${why}`, { cause })
  }
}

/** A shard refused a step: a newer ticket exists, or the fences are not what the attempt was built on. */
export class Refusal extends Error {
  constructor(
    readonly step: string,
    readonly segment: SegmentId,
    readonly shard: ShardId,
    readonly record: FenceRecord,
  ) {
    super(
      `shard ${shard} refused ${step} of ${segment}: it is ${record.state} there, epoch ${record.epoch}, ticket ${record.ticket}`,
    )
  }
}

/** The segment is written faster than its copy follows; the hold ended before the cutover. */
export class Unsteady extends Error {
  constructor(readonly segment: SegmentId) {
    super(`${segment} is written to without a pause and its copy did not catch up within one hold`)
  }
}

/** It cannot be found out whether a handoff has committed, so it can neither be undone nor finished now. */
export class Unsettled extends Error {
  constructor(segment: SegmentId, cause: unknown) {
    super(
      `${segment} is left as it stands, to be settled later: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    )
  }
}
