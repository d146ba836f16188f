import type { SegmentId, ShardId } from '../placement/segment'
import type { HistoryEntry, PlanEntry, RetainedEntry, ShardEntry, TopologyDelta } from '../topology-store'

/**
 * What an embedded topology store keeps. Synchronous, called only inside `read` or `write`; the rules are in
 * ledger-topology.ts, the same for every ledger.
 */
export interface TopologyLedger {
  read<T>(step: () => T): T | Promise<T>
  write<T>(step: () => T): T | Promise<T>
  get<N extends keyof TopologyDocuments>(name: N): TopologyDocuments[N] | undefined
  put<N extends keyof TopologyDocuments>(name: N, document: TopologyDocuments[N]): void
  assignment(segment: SegmentId): StoredAssignment | undefined
  putAssignment(segment: SegmentId, assignment: StoredAssignment): void
  /** Buckets in their order, then tags. */
  assignments(): Iterable<readonly [SegmentId, StoredAssignment]>
  addDelta(delta: TopologyDelta): void
  /** Those above `revision`, ascending. */
  deltasSince(revision: number): TopologyDelta[]
  /** Forgets those up to `revision`. */
  dropDeltas(revision: number): void
  /** Calls `listener` after writes, also of other processes where it can. */
  watch(listener: () => void): () => void
  open(): void | Promise<void>
  close(): void | Promise<void>
}

export interface TopologyDocuments {
  readonly head: TopologyHead
  readonly shards: readonly ShardEntry[]
  readonly plan: PlanEntry | null
  readonly history: readonly HistoryEntry[]
  readonly retained: readonly RetainedEntry[]
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
