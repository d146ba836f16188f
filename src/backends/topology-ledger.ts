import type { SegmentId, ShardId } from '../placement/segment'
import type {
  HistoryEntry,
  PlanEntry,
  RetainedEntry,
  ShardEntry,
  TagRuleEntry,
  TopologyDelta,
} from '../topology-store'
import type { RetainedName } from './retained-name'
import type { TopologyAssembly } from './topology-assembly'

/**
 * What an embedded topology store keeps. Synchronous, called only inside `read` or `write`; the rules are in
 * ledger-topology.ts, the same for every ledger. Whatever there may be many of is a record each, so that a change costs what is
 * in it.
 */
export interface TopologyLedger {
  read<T>(step: () => T): T | Promise<T>
  write<T>(step: () => T): T | Promise<T>
  get<N extends keyof TopologyDocuments>(name: N): TopologyDocuments[N] | undefined
  put<N extends keyof TopologyDocuments>(name: N, document: TopologyDocuments[N]): void
  assignment(segment: SegmentId): StoredAssignment | undefined
  putAssignment(segment: SegmentId, assignment: StoredAssignment): void
  /** In the place of one with the same segment, shard and epoch. */
  putRetained(entry: RetainedEntry): void
  removeRetained(entry: RetainedName): void
  /** Tells all assignments and all that is retained, each as it is then; others may write meanwhile. Not within a step. */
  tell(assembly: TopologyAssembly): void | Promise<void>
  /** The newest; then forgets all but the newest `keep`. */
  addHistory(entry: HistoryEntry, keep: number): void
  /** Oldest first. */
  history(): HistoryEntry[]
  addDelta(delta: TopologyDelta): void
  /** Those above `revision`, ascending. */
  deltasSince(revision: number): TopologyDelta[]
  /** Forgets those up to `revision`. */
  dropDeltas(revision: number): void
  /** Calls `listener` after writes, also of other processes where it can; with the delta where it is at hand. */
  watch(listener: (delta?: TopologyDelta) => void): () => void
  open(): void | Promise<void>
  close(): void | Promise<void>
}

export interface TopologyDocuments {
  readonly head: TopologyHead
  readonly shards: readonly ShardEntry[]
  readonly tagRule: TagRuleEntry
  readonly plan: PlanEntry | null
  readonly lease: StoredLease
  /** The last one drawn. */
  readonly ticket: number
}

export interface TopologyHead {
  readonly id: string
  readonly revision: number
  readonly buckets: number
  readonly seed: number
  readonly founded: boolean
  /** The id of the plan: nobody has to read a plan of thousands of moves to compare it. */
  readonly planId: string | null
}

export interface StoredAssignment {
  /** '' for a tag that was merged: its epoch is kept, so that a late entry of its earlier life stays late. */
  readonly shard: ShardId
  readonly epoch: number
}

export interface StoredLease {
  /** '' when it was released. */
  readonly holder: string
  readonly term: number
  readonly expiresAt: number
}
