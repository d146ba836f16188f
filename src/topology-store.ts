import type { ShardWeight } from './placement/ring'
import type { SegmentId, ShardId } from './placement/segment'

/**
 * CONTRACT: where the topology lives: shards, assignments, the unfinished plan, the last configurations, tickets and
 * the migrators' lease. It may lag behind the fences; correctness never rests on it. Assignments travel as deltas.
 * testTopologyStore checks all of it.
 */
export interface TopologyStore {
  readonly supports: { readonly durable: boolean; readonly multiProcess: boolean }
  /**
   * Begins its use: connects, and creates the topology if there is none, atomically. Answers what then stands, in full.
   * Once for each user of the store, who closes it once.
   */
  open(founding: Founding): Promise<Topology>
  /** What stands at one revision, in full. */
  read(): Promise<Topology>
  /** What changed after `revision`, oldest first; undefined where that is no longer known: `read` again. */
  changesSince(revision: number): Promise<TopologyDelta[] | undefined>
  /**
   * Applies a change as one atomic step, if what it expects holds; `undefined` where it does not. An assignment is
   * taken only if its epoch is above the stored one's, so a late publication has no effect.
   */
  commit(change: TopologyChange): Promise<number | undefined>
  /** A number that was never drawn before, above all that were. One for every attempt at a move. */
  drawTicket(): Promise<number>
  /**
   * The lease, if it is free, expired, or held by `holder` already. Its term grows whenever the holder changes or the lease had
   * expired. The clock is the store's own, one for all processes, wherever it has one.
   */
  acquireLease(holder: string, durationMs: number): Promise<Lease | undefined>
  /** Whether the lease is still `holder`'s at this term, now for `durationMs` more. */
  renewLease(holder: string, term: number, durationMs: number): Promise<boolean>
  releaseLease(holder: string, term: number): Promise<void>
  /**
   * Calls `listener` after changes, of other processes too where it can; with the change, where it is at hand: whoever knows
   * all that came before need not ask for it. A hint that may come late, twice, in another order or never: poll as well.
   */
  watch(listener: (delta?: TopologyDelta) => void): () => void
  /** Ends one user's use. After the last one's everything but `open` rejects with CLOSED. */
  close(): Promise<void>
}

export interface Founding {
  readonly buckets: number
  readonly seed: number
  readonly shards: readonly Required<ShardWeight>[]
  /** bucket -> index into shards. */
  readonly owners: Int32Array
  readonly tagRule?: TagRuleEntry
}

/** How keys get their tags. Routers that differ in it would look for a key in different buckets. */
export interface TagRuleEntry {
  /** Equal for rules that give every key the same tag. */
  readonly fingerprint: string
  /** The rule for people, a line for each entity. */
  readonly rules: readonly string[]
}

export interface ShardEntry extends Required<ShardWeight> {
  /** joining and founding shards serve what they own; a draining one is never a target. */
  readonly state: 'active' | 'draining'
  /** Of the store when it was last opened; differs after it lost state. */
  readonly incarnation: string
}

export interface AssignmentEntry {
  readonly segment: SegmentId
  /** undefined: the tag was merged back into its bucket, whose entry in the same delta has a higher epoch. */
  readonly shard: ShardId | undefined
  readonly epoch: number
}

export interface Topology {
  readonly id: string
  readonly revision: number
  readonly buckets: number
  readonly seed: number
  /** false until every first owner has been told; whoever opens meanwhile goes on with it. */
  readonly founded: boolean
  readonly shards: readonly ShardEntry[]
  /** undefined: it was founded by somebody who did not say. */
  readonly tagRule: TagRuleEntry | undefined
  /**
   * Every bucket, then every carved tag. There may be millions: stores keep them packed (AssignmentTable), and make an entry
   * when it is asked for. May be gone through again and again.
   */
  readonly assignments: Iterable<AssignmentEntry>
  readonly plan: PlanEntry | undefined
  /** Finished reshardings, oldest first, bounded. */
  readonly history: readonly HistoryEntry[]
  /** What lies on former owners until its grace period ends. */
  readonly retained: readonly RetainedEntry[]
}

/** The unfinished plan: enough for another process to finish or undo it. */
export interface PlanEntry {
  readonly id: string
  readonly moves: readonly MoveEntry[]
  /** Tags to fold back into their buckets after the moves. */
  readonly merges: readonly SegmentId[]
  readonly confidence: number
  readonly reason: string
  readonly startedAt: number
  readonly retainMs: number
  readonly verify: boolean
  readonly maxKeysPerSecond: number
  readonly maxBytesPerSecond: number
  readonly concurrency: number
  /** Whoever takes it over undoes what has not been cut over. */
  readonly cancelled: boolean
}

export interface MoveEntry {
  readonly segment: SegmentId
  readonly to: ShardId
  /** Where the segment was when the plan was made; '' for a tag that was not yet carved out. */
  readonly from: ShardId
}

export interface HistoryEntry {
  readonly id: string
  readonly at: number
  readonly confidence: number
  readonly reason: string
  /** What it takes to go back: every segment that was moved, and where it was. */
  readonly before: readonly (readonly [SegmentId, ShardId])[]
  /** Tags that it carved out, and tags that it merged (with the shard they were on). */
  readonly carved: readonly SegmentId[]
  readonly merged: readonly (readonly [SegmentId, ShardId])[]
}

export interface RetainedEntry {
  readonly segment: SegmentId
  /** The former owner, and the epoch at which it moved away. */
  readonly shard: ShardId
  readonly epoch: number
  /** ms since the epoch. */
  readonly until: number
}

/** What it costs to commit one depends on what is in it, not on how much the topology holds. */
export interface TopologyChange {
  readonly expect?: { readonly revision?: number; readonly term?: number; readonly plan?: string | null }
  readonly founded?: true
  readonly shards?: readonly ShardEntry[]
  readonly tagRule?: TagRuleEntry
  readonly assignments?: readonly AssignmentEntry[]
  /** null: the plan has ended. */
  readonly plan?: PlanEntry | null
  /** Appended. */
  readonly history?: readonly HistoryEntry[]
  readonly retain?: readonly RetainedEntry[]
  readonly release?: readonly Pick<RetainedEntry, 'segment' | 'shard' | 'epoch'>[]
}

/** A change that was committed, as `revision`. */
export type TopologyDelta = Omit<TopologyChange, 'expect'> & { readonly revision: number }

export interface Lease {
  readonly holder: string
  readonly term: number
  readonly expiresAt: number
}
