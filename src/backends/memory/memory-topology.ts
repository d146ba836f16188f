import { type Clock, type Random, systemClock, systemRandom } from '../../clock'
import { checkFields, type Fields } from '../../options'
import { AssignmentTable } from '../../placement/assignment-table'
import { type SegmentId, tagOfSegment } from '../../placement/segment'
import type { HistoryEntry, RetainedEntry, TopologyDelta, TopologyStore } from '../../topology-store'
import { checkTimeAndChance } from '../injected'
import { LedgerTopology } from '../ledger-topology'
import { type RetainedName, retainedName } from '../retained-name'
import type { TopologyAssembly } from '../topology-assembly'
import type { StoredAssignment, TopologyDocuments, TopologyLedger } from '../topology-ledger'

export interface MemoryTopologyOptions {
  /** Judges the lease. */
  clock?: Clock
  random?: Random
}

const FIELDS: Fields<MemoryTopologyOptions> = { clock: true, random: true }

/** The topology in the memory of this process, shared by the routers of the process that are given it. */
export function memoryTopology(options: MemoryTopologyOptions = {}): TopologyStore {
  checkFields(options, FIELDS, 'options')
  const { clock = systemClock, random = systemRandom } = options
  checkTimeAndChance(clock, random)
  return new LedgerTopology(new MemoryTopologyLedger(), {
    clock,
    newId: () => `memory-${Math.floor(random() * 2 ** 48).toString(16)}`,
    supports: { durable: false, multiProcess: false },
  })
}

class MemoryTopologyLedger implements TopologyLedger {
  readonly #documents: { -readonly [N in keyof TopologyDocuments]?: TopologyDocuments[N] } = {}
  #table: AssignmentTable | undefined
  /** Tags that were merged, and the epochs at which they were. */
  readonly #merged = new Map<SegmentId, number>()
  readonly #retained = new Map<string, RetainedEntry>()
  readonly #listeners = new Set<(delta: TopologyDelta) => void>()
  #history: HistoryEntry[] = []
  #deltas: TopologyDelta[] = []

  read<T>(step: () => T): T {
    return step()
  }

  write<T>(step: () => T): T {
    return step()
  }

  get<N extends keyof TopologyDocuments>(name: N): TopologyDocuments[N] | undefined {
    return this.#documents[name]
  }

  put<N extends keyof TopologyDocuments>(name: N, document: TopologyDocuments[N]): void {
    this.#documents[name] = document
  }

  assignment(segment: SegmentId): StoredAssignment | undefined {
    const merged = this.#merged.get(segment)
    if (merged !== undefined) return { shard: '', epoch: merged }
    const place = this.#all.placeOf(segment)
    return place && place.epoch > 0
      ? { shard: this.#all.shards.idOf(place.shard), epoch: place.epoch }
      : undefined
  }

  putAssignment(segment: SegmentId, { shard, epoch }: StoredAssignment): void {
    if (shard === '') {
      this.#merged.set(segment, epoch)
      this.#all.fold(tagOfSegment(segment)!)
    } else {
      this.#merged.delete(segment)
      this.#all.apply({ segment, shard, epoch })
    }
  }

  tell(assembly: TopologyAssembly): void {
    assembly.assignAll(this.#all)
    for (const entry of this.#retained.values()) assembly.retain(entry)
  }

  get #all(): AssignmentTable {
    const { buckets, seed } = this.#documents.head!
    this.#table ??= new AssignmentTable(buckets, seed)
    return this.#table
  }

  putRetained(entry: RetainedEntry): void {
    this.#retained.set(retainedName(entry), entry)
  }

  removeRetained(entry: RetainedName): void {
    this.#retained.delete(retainedName(entry))
  }

  addHistory(entry: HistoryEntry, keep: number): void {
    this.#history = [...this.#history, entry].slice(-keep)
  }

  history(): HistoryEntry[] {
    return this.#history
  }

  addDelta(delta: TopologyDelta): void {
    this.#deltas.push(delta)
    // After the commit has answered: whoever listens may commit again.
    queueMicrotask(() => {
      for (const listener of [...this.#listeners]) listener(delta)
    })
  }

  deltasSince(revision: number): TopologyDelta[] {
    const first = this.#deltas[0]
    return first ? this.#deltas.slice(Math.max(0, revision + 1 - first.revision)) : []
  }

  dropDeltas(revision: number): void {
    const first = this.#deltas[0]
    // In bulk: a shift for each delta would copy the array each time.
    if (first && revision - first.revision >= 1024) this.#deltas = this.deltasSince(revision)
  }

  watch(listener: (delta: TopologyDelta) => void): () => void {
    const own = (delta: TopologyDelta) => listener(delta)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  open(): void {}

  close(): void {}
}
