import { ErrorCode, ForeshardError } from '../errors'
import { type Assignment, AssignmentTable } from '../placement/assignment-table'
import { bucketSegment, checkSegment } from '../placement/segment'
import type { HistoryEntry, RetainedEntry, Topology, TopologyDelta } from '../topology-store'
import { retainedName } from './retained-name'
import { faultOfTopology } from './topology-faults'

/** All of a topology that there is little of. */
export type TopologySummary = Omit<Topology, 'assignments' | 'retained'>

/** Finished reshardings that are remembered, and so can be rolled back. */
export const HISTORY = 32
/** Changes that a reader may be behind before it has to read the topology in full. */
export const DELTAS = 4096

/**
 * Puts a topology together from pages, read one after the other while others commit: first the summary at a revision, then every
 * assignment and every retained copy, each as it is when its page is read, then the changes since that revision. Late ones among
 * them have no effect, so that what stands at the end is the topology at the revision of the last.
 */
export class TopologyAssembly {
  #summary: TopologySummary
  #table: AssignmentTable
  readonly #retained = new Map<string, RetainedEntry>()

  /** @throws TOPOLOGY_CORRUPT naming what cannot be. */
  constructor(summary: TopologySummary) {
    checkSound(summary, [])
    this.#summary = summary
    this.#table = AssignmentTable.of({ ...summary, assignments: [] })
  }

  get revision(): number {
    return this.#summary.revision
  }

  /** @throws TOPOLOGY_CORRUPT for what is no segment of this topology. */
  assign(assignment: Assignment): void {
    try {
      checkSegment(assignment.segment, this.#summary.buckets, 'an assignment')
    } catch (cause) {
      throw corruptTopology((cause as Error).message, cause)
    }
    this.#table.apply(assignment)
  }

  /** Of a store that keeps its assignments in such a table itself. */
  assignAll(table: AssignmentTable): void {
    this.#table = table.fork()
  }

  retain(entry: RetainedEntry): void {
    this.#retained.set(retainedName(entry), entry)
  }

  apply(delta: TopologyDelta): void {
    const { revision, founded, shards, tagRule, plan, history, assignments, retain, release } = delta
    const was = this.#summary
    this.#summary = {
      ...was,
      revision,
      founded: was.founded || founded === true,
      shards: shards ?? was.shards,
      tagRule: tagRule ?? was.tagRule,
      plan: plan === undefined ? was.plan : (plan ?? undefined),
      history: history ? withNewest(was.history, history) : was.history,
    }
    for (const it of assignments ?? []) this.assign(it)
    for (const it of release ?? []) this.#retained.delete(retainedName(it))
    for (const it of retain ?? []) this.retain(it)
  }

  /** @throws TOPOLOGY_CORRUPT where a bucket has no shard, or naming what cannot be. */
  finish(): Topology {
    const { unassigned } = this.#table
    if (unassigned !== undefined)
      throw corruptTopology(
        `of ${this.#summary.buckets} buckets ${bucketSegment(unassigned)} is assigned to no shard`,
      )
    const retained = [...this.#retained.values()]
    checkSound(this.#summary, retained)
    this.#table.trim()
    return { ...this.#summary, assignments: this.#table, retained }
  }
}

/** What is kept cannot be what was written. */
export function corruptTopology(what: string, cause?: unknown): ForeshardError {
  const message = `the topology cannot be read: ${what}; restore it from a backup`
  return new ForeshardError(ErrorCode.TOPOLOGY_CORRUPT, message, { cause })
}

function checkSound(summary: TopologySummary, retained: readonly RetainedEntry[]): void {
  const fault = faultOfTopology({ ...summary, retained })
  if (fault) throw corruptTopology(fault)
}

function withNewest(history: readonly HistoryEntry[], newest: readonly HistoryEntry[]): HistoryEntry[] {
  return [...history, ...newest].slice(-HISTORY)
}
