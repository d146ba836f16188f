import type { ErrorCode } from '../errors'
import type { SegmentId, ShardId } from '../placement/segment'
import type { PaceReading } from './pace'

export type MovePhase =
  | 'waiting'
  | 'carve'
  | 'export'
  | 'prepare'
  | 'sweep'
  | 'copy'
  | 'catch-up'
  | 'verify'
  | 'hold'
  | 'cutover'
  | 'activate'
  | 'publish'
  | 'retain'
  | 'purge'
  | 'merge'
  | 'done'
  | 'cancelled'
  | 'failed'

export interface MoveProgress {
  readonly segment: SegmentId
  /** '' for a tag that is not yet carved out. */
  readonly from: ShardId
  readonly to: ShardId
  readonly phase: MovePhase
  readonly keysCopied: number
  readonly bytesCopied: number
  readonly keysPerSecond: number
  readonly bytesPerSecond: number
  /** Until the copy is complete; undefined while there is no estimate. */
  readonly etaMs: number | undefined
  /** Times that writes were held. */
  readonly holds: number
  /** Attempts after the first. */
  readonly retries: number
  readonly error: MoveFailure | undefined
  /** In words, while a shard that it needs does not answer. */
  readonly waiting: string | undefined
}

export interface MoveFailure {
  readonly segment: SegmentId
  readonly code: ErrorCode
  readonly message: string
}

/** A resharding under way, or the last one. */
export interface ReshardingProgress {
  readonly id: string
  readonly phase: 'waiting' | 'running' | 'cancelling' | 'done'
  readonly segmentsDone: number
  readonly segmentsTotal: number
  readonly keysCopied: number
  readonly bytesCopied: number
  readonly keysPerSecond: number
  readonly bytesPerSecond: number
  readonly etaMs: number | undefined
  readonly startedAt: number
  readonly confidence: number
  readonly reason: string
  /** Shards that do not answer, and since when (ms since the epoch). It waits for `migrator.outageMs`, then undoes what it can. */
  readonly waitingFor: readonly { readonly shard: ShardId; readonly since: number }[]
  /** Where copying gives way to operations, or keeps to maintenance windows: how fast it may be, and why. */
  readonly pace?: PaceReading
  /** Somebody has it stand still, in this process; see `pauseResharding`. */
  readonly paused?: boolean
  readonly moves: readonly MoveProgress[]
}

/** What became of a plan. */
export interface ReshardingReport {
  readonly id: string
  /** cancelled: it was cancelled and something was left undone. partial: some moves failed, some did not. */
  readonly outcome: 'done' | 'cancelled' | 'failed' | 'partial'
  readonly moved: readonly SegmentId[]
  readonly failed: readonly MoveFailure[]
  readonly cancelled: readonly SegmentId[]
  readonly carved: readonly SegmentId[]
  readonly merged: readonly SegmentId[]
  readonly keysCopied: number
  readonly bytesCopied: number
  readonly holds: number
  readonly retries: number
  readonly durationMs: number
  readonly longestHoldMs: number
}
