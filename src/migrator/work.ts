import type { Clock } from '../clock'
import type { SegmentId, ShardId } from '../placement/segment'
import type { SegmentAt } from '../shard-store'
import type { PlanEntry } from '../topology-store'
import type { Gate, Step } from './gate'
import type { KnownTopology } from './known-topology'
import type { ProgressBoard } from './progress-board'
import type { Throttle } from './throttle'

/** What everyone needs who carries out a piece of one plan. */
export interface Work {
  readonly plan: PlanEntry
  /** Name of the migrator. */
  readonly holder: string
  readonly merges: ReadonlySet<SegmentId>
  /** Someone else may have begun it, and died. */
  readonly takenOver: boolean
  /** Closed when this migrator must stop. */
  readonly gate: Gate
  /** The same, and waits for shards that do not answer: for what comes after a cutover, which cannot be undone. */
  readonly patient: Gate
  /** Closed when the plan is cancelled, too, and as patient: for all that comes before a cutover. */
  readonly cancellable: Gate
  readonly topology: KnownTopology
  readonly throttle: Throttle
  readonly board: ProgressBoard
  readonly clock: Clock
  readonly bucketOf: (segment: SegmentId) => number
  /** Keys, and bytes of values, in one batch at most. */
  readonly batchKeys: number
  readonly batchBytes: number
  readonly maxHoldMs: number
  /** Keys in a segment of this shard, on the average; undefined if the shard does not tell. */
  readonly meanKeys: (shard: ShardId) => Promise<number | undefined>
  readonly onCutover: (cutover: Cutover) => void
}

/** The instant in which a segment changed its owner. */
export interface Cutover {
  readonly segment: SegmentId
  readonly from: ShardId
  readonly to: ShardId
  readonly epoch: number
  readonly seq: number
  /** How long writes were held before it. */
  readonly heldMs: number
}

export function segmentAt(work: Work, segment: SegmentId): SegmentAt {
  return { segment, bucketId: work.bucketOf(segment) }
}

/** A step that shows on the board. */
export function step<T>(
  work: Work,
  gate: Gate,
  name: Exclude<Step, 'ingest' | 'abort' | 'discard' | 'rescue'>,
  segment: SegmentId,
  act: () => Promise<T>,
): Promise<T> {
  return gate.step(name, segment, () => {
    work.board.enter(segment, name)
    return act()
  })
}
