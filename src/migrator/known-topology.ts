import { isTagSegment, type SegmentId, type ShardId } from '../placement/segment'
import type {
  PlanEntry,
  RetainedEntry,
  ShardEntry,
  Topology,
  TopologyDelta,
  TopologyStore,
} from '../topology-store'

export interface Assigned {
  readonly shard: ShardId
  readonly epoch: number
}

/** What this migrator knows of the topology, which others keep open: read in full once, then kept up to date by deltas. */
export class KnownTopology {
  readonly #store: TopologyStore
  readonly #assignments = new Map<SegmentId, Assigned>()
  readonly #onRefresh: () => void
  #revision: number | undefined
  #shards: readonly ShardEntry[] = []
  #plan: PlanEntry | undefined
  readonly #retained = new Map<string, RetainedEntry>()
  #last: Promise<void> = Promise.resolve()

  constructor(store: TopologyStore, onRefresh: () => void = () => {}) {
    this.#store = store
    this.#onRefresh = onRefresh
  }

  get shards(): readonly ShardEntry[] {
    return this.#shards
  }

  /** The unfinished plan. */
  get plan(): PlanEntry | undefined {
    return this.#plan
  }

  get retained(): Iterable<RetainedEntry> {
    return this.#retained.values()
  }

  /** undefined: a tag that is not carved out. */
  assigned(segment: SegmentId): Assigned | undefined {
    return this.#assignments.get(segment)
  }

  /** The tags that are segments. */
  *tags(): Iterable<SegmentId> {
    for (const segment of this.#assignments.keys()) if (isTagSegment(segment)) yield segment
  }

  segmentsOn(shard: ShardId): number {
    let count = 0
    for (const it of this.#assignments.values()) if (it.shard === shard) count++
    return count
  }

  /** Afterwards everything is known that was committed before the call. */
  refresh(): Promise<void> {
    const next = this.#last.then(() => this.#pull())
    this.#last = next.catch(() => undefined)
    return next
  }

  async #pull(): Promise<void> {
    const deltas = this.#revision === undefined ? undefined : await this.#store.changesSince(this.#revision)
    if (deltas) for (const delta of deltas) this.#apply(delta)
    else this.#reset(await this.#store.read())
    this.#onRefresh()
  }

  /** Resolves when nothing is being read any more. */
  idle(): Promise<void> {
    return this.#last
  }

  #reset(topology: Topology): void {
    this.#revision = topology.revision
    this.#shards = topology.shards
    this.#plan = topology.plan
    this.#assignments.clear()
    this.#retained.clear()
    for (const { segment, shard, epoch } of topology.assignments)
      if (shard !== undefined) this.#assignments.set(segment, { shard, epoch })
    for (const entry of topology.retained) this.#retained.set(nameOf(entry), entry)
  }

  #apply(delta: TopologyDelta): void {
    if (delta.revision <= this.#revision!) return
    this.#revision = delta.revision
    if (delta.shards) this.#shards = delta.shards
    if (delta.plan !== undefined) this.#plan = delta.plan ?? undefined
    for (const { segment, shard, epoch } of delta.assignments ?? []) {
      const known = this.#assignments.get(segment)
      if (known && known.epoch >= epoch) continue
      if (shard === undefined) this.#assignments.delete(segment)
      else this.#assignments.set(segment, { shard, epoch })
    }
    for (const entry of delta.retain ?? []) this.#retained.set(nameOf(entry), entry)
    for (const entry of delta.release ?? []) this.#retained.delete(nameOf(entry))
  }
}

function nameOf({ segment, shard, epoch }: Pick<RetainedEntry, 'segment' | 'shard' | 'epoch'>): string {
  return JSON.stringify([segment, shard, epoch])
}
