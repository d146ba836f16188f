import { AssignmentTable, type Place } from '../placement/assignment-table'
import { type SegmentId, type ShardId, tagSegment } from '../placement/segment'
import { ShardIndex } from '../placement/shard-index'
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

/** Whoever goes along with what is known. */
export interface Follower {
  /** A change was taken in. */
  apply?(delta: TopologyDelta, known: KnownTopology): void
  /** It was read in full. */
  load?(topology: Topology): void
}

/**
 * What this process knows of the topology, which others keep open: read in full once, then kept up to date by deltas. It has
 * what was published, not what is believed: a migrator publishes what is not there.
 */
export class KnownTopology {
  readonly #store: TopologyStore
  readonly #followers = new Set<Follower>()
  readonly #index = new ShardIndex()
  #table = new AssignmentTable(0, 0)
  #revision: number | undefined
  #shards: readonly ShardEntry[] = []
  #plan: PlanEntry | undefined
  readonly #retained = new Map<string, RetainedEntry>()
  #reads = 0
  #reading: Promise<void> | undefined
  #next: Promise<void> | undefined

  /** `topology`: as it was opened, where that is known. */
  constructor(store: TopologyStore, topology?: Topology) {
    this.#store = store
    if (topology) this.#reset(topology)
  }

  get revision(): number {
    return this.#revision ?? 0
  }

  get shards(): readonly ShardEntry[] {
    return this.#shards
  }

  /** What was published; not to be changed. */
  get table(): AssignmentTable {
    return this.#table
  }

  /** The unfinished plan. */
  get plan(): PlanEntry | undefined {
    return this.#plan
  }

  get retained(): Iterable<RetainedEntry> {
    return this.#retained.values()
  }

  isRetained(segment: SegmentId, shard: ShardId, epoch: number): boolean {
    return this.#retained.has(nameOf({ segment, shard, epoch }))
  }

  /** How often the store was asked. */
  get reads(): number {
    return this.#reads
  }

  /** undefined: a tag that is not carved out. */
  assigned(segment: SegmentId): Assigned | undefined {
    const place: Place | undefined = this.#revision === undefined ? undefined : this.#table.placeOf(segment)
    return place && { shard: this.#index.idOf(place.shard), epoch: place.epoch }
  }

  /** The tags that are carved out of a bucket. */
  tagsOf(bucketId: number): SegmentId[] {
    return this.#table.tagsOf(bucketId).map(tagSegment)
  }

  segmentsOn(shard: ShardId): number {
    const number = this.#index.find(shard)
    return number === undefined ? 0 : this.#table.heldBy(number)
  }

  /** Calls the follower from here on, until the function that it answers is called. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  /** Takes in a change that the store has told of; false where others are missing before it. */
  hear(delta: TopologyDelta): boolean {
    if (this.#revision === undefined || delta.revision > this.#revision + 1) return false
    this.#apply(delta)
    return true
  }

  /** Afterwards everything is known that was committed before the call. */
  refresh(): Promise<void> {
    if (!this.#reading) return this.#read(() => this.#pull())
    // What is being read may have been read before the call. Those who come meanwhile share the next reading.
    this.#next ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#read(() => this.#pull())
      })
    return this.#next
  }

  /** What stands, in full, with its history. */
  async whole(): Promise<Topology> {
    this.#reads++
    const topology = await this.#store.read()
    if (topology.revision > this.revision) this.#reset(topology)
    return topology
  }

  /** Resolves when nothing is being read any more. */
  async idle(): Promise<void> {
    while (this.#reading) await this.#reading.catch(() => {})
  }

  #read(read: () => Promise<void>): Promise<void> {
    const reading = read().finally(() => {
      if (this.#reading === reading) this.#reading = undefined
    })
    this.#reading = reading
    return reading
  }

  async #pull(): Promise<void> {
    this.#reads++
    const since = this.#revision
    const deltas = since === undefined ? undefined : await this.#store.changesSince(since)
    if (deltas) for (const delta of deltas) this.#apply(delta)
    else this.#reset(await this.#store.read(), since)
  }

  /** `since`: what was known when the reading began. A store that is behind that has lost its last changes, and is right. */
  #reset(topology: Topology, since = 0): void {
    // What was heard meanwhile is newer.
    if (topology.revision < this.revision && topology.revision >= since) return
    this.#revision = topology.revision
    this.#shards = topology.shards
    this.#plan = topology.plan
    for (const { id } of topology.shards) this.#index.numberOf(id)
    this.#table = AssignmentTable.of(topology, this.#index)
    this.#retained.clear()
    for (const entry of topology.retained) this.#retained.set(nameOf(entry), entry)
    for (const follower of this.#followers) follower.load?.(topology)
  }

  #apply(delta: TopologyDelta): void {
    if (delta.revision <= this.#revision!) return
    this.#revision = delta.revision
    if (delta.shards) this.#shards = delta.shards
    if (delta.plan !== undefined) this.#plan = delta.plan ?? undefined
    for (const entry of delta.assignments ?? []) this.#table.apply(entry)
    for (const entry of delta.release ?? []) this.#retained.delete(nameOf(entry))
    for (const entry of delta.retain ?? []) this.#retained.set(nameOf(entry), entry)
    for (const follower of this.#followers) follower.apply?.(delta, this)
  }
}

function nameOf({ segment, shard, epoch }: Pick<RetainedEntry, 'segment' | 'shard' | 'epoch'>): string {
  return JSON.stringify([segment, shard, epoch])
}
