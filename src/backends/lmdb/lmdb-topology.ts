import { randomUUID } from 'node:crypto'
import type { RootDatabase } from 'lmdb'
import { breathe, type Clock, systemClock } from '../../clock'
import { ErrorCode, ForeshardError, invalid } from '../../errors'
import type { Fields } from '../../options'
import { bucketSegment, type SegmentId, tagOfSegment, tagSegment } from '../../placement/segment'
import type { HistoryEntry, RetainedEntry, TopologyDelta, TopologyStore } from '../../topology-store'
import { checkTimeAndChance } from '../injected'
import { LedgerTopology } from '../ledger-topology'
import type { RetainedName } from '../retained-name'
import type { TopologyAssembly } from '../topology-assembly'
import type { StoredAssignment, TopologyDocuments, TopologyHead, TopologyLedger } from '../topology-ledger'
import {
  checkLmdbOptions,
  checkName,
  LMDB_FIELDS,
  LmdbEnvironment,
  type LmdbOptions,
} from './lmdb-environment'
import {
  bucketKey,
  justAfter,
  ownKey,
  prefixOf,
  readUInt64,
  retainedKey,
  revisionKey,
  tagFenceKey,
  within,
} from './record-key'
import {
  decodeAssignment,
  decodeDelta,
  decodeDocument,
  decodeHistory,
  decodeRetained,
  encodeDocument,
  encodeHead,
} from './topology-document'

/** Records that are read at a time: a few ms. */
const PAGE = 2048

export interface LmdbTopologyOptions extends LmdbOptions {
  /** Of the topology in the file. Default `topology`. */
  name?: string
  /** Judges the lease, and says when to look for what other processes changed. */
  clock?: Clock
  /** How often watchers look for changes by other processes. */
  pollMs?: number
}

const FIELDS: Fields<LmdbTopologyOptions> = { ...LMDB_FIELDS, name: true, clock: true, pollMs: true }

/** The topology in an LMDB file on this host, for all processes of the host. May be the file of a shard. */
export function lmdbTopology(given: string | RootDatabase | LmdbTopologyOptions): TopologyStore {
  const options: LmdbTopologyOptions = checkLmdbOptions(given, FIELDS)
  const { name = 'topology', clock = systemClock, pollMs = 500 } = options
  checkName(name)
  checkTimeAndChance(clock)
  if (!Number.isFinite(pollMs) || pollMs <= 0)
    throw invalid('options.pollMs', 'must be a number of ms above 0')
  const environment = new LmdbEnvironment(options, `foreshard:${name}`, {
    unreadable: ErrorCode.TOPOLOGY_CORRUPT,
    unavailable: ErrorCode.TOPOLOGY_UNAVAILABLE,
  })
  return new LedgerTopology(new LmdbTopologyLedger(environment, clock, pollMs), {
    clock,
    newId: () => `lmdb-${randomUUID()}`,
    supports: { durable: true, multiProcess: true },
  })
}

/**
 * Documents under their names (kind 0), an assignment each for buckets (1, in the place of their tickets) and tags (3),
 * deltas by their revision (9), what is retained (10), finished reshardings in their order (11).
 */
class LmdbTopologyLedger implements TopologyLedger {
  readonly #environment: LmdbEnvironment
  readonly #clock: Clock
  readonly #pollMs: number
  readonly #listeners = new Set<(delta?: TopologyDelta) => void>()
  /** What this process has committed, until its watchers are told. */
  #deltas: TopologyDelta[] = []
  #stopPolling: (() => void) | undefined
  #told = 0

  constructor(environment: LmdbEnvironment, clock: Clock, pollMs: number) {
    this.#environment = environment
    this.#clock = clock
    this.#pollMs = pollMs
  }

  open(): Promise<void> {
    return this.#environment.open()
  }

  close(): Promise<void> {
    this.#listeners.clear()
    this.#rest()
    return this.#environment.close()
  }

  read<T>(step: () => T): T {
    this.#environment.refresh()
    return step()
  }

  async write<T>(step: () => T): Promise<T> {
    try {
      const result = await this.#environment.write(step)
      this.#poll()
      return result
    } catch (cause) {
      this.#deltas = []
      if (cause instanceof ForeshardError) throw cause
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new ForeshardError(
        ErrorCode.TOPOLOGY_UNAVAILABLE,
        `the LMDB file did not take the change: ${message}`,
        { cause },
      )
    }
  }

  get<N extends keyof TopologyDocuments>(name: N): TopologyDocuments[N] | undefined {
    const row = this.#environment.records.getBinary(ownKey(name))
    return row && decodeDocument(name, row)
  }

  put<N extends keyof TopologyDocuments>(name: N, document: TopologyDocuments[N]): void {
    const row = name === 'head' ? encodeHead(document as TopologyHead) : encodeDocument(document)
    this.#environment.records.put(ownKey(name), row)
  }

  assignment(segment: SegmentId): StoredAssignment | undefined {
    const row = this.#environment.records.getBinary(assignmentKey(segment))
    return row && decodeAssignment(row)
  }

  putAssignment(segment: SegmentId, { shard, epoch }: StoredAssignment): void {
    const tag = tagOfSegment(segment)
    const row = encodeDocument(tag === undefined ? [shard, epoch] : [shard, epoch, tag])
    this.#environment.records.put(assignmentKey(segment), row)
  }

  async tell(assembly: TopologyAssembly): Promise<void> {
    await this.#inPages(1, (key, row) =>
      assembly.assign({ segment: bucketSegment(key.readUInt32BE(1)), ...decodeAssignment(row) }),
    )
    await this.#inPages(3, (_key, row) => {
      const { shard, epoch, tag } = decodeAssignment(row)
      if (shard !== '') assembly.assign({ segment: tagSegment(tag!), shard, epoch })
    })
    await this.#inPages(10, (_key, row) => assembly.retain(decodeRetained(row)))
  }

  /** Every record of a kind, some thousand in one view of the file; then everything else of the process has its turn. */
  async #inPages(kind: number, tell: (key: Buffer, row: Buffer) => void): Promise<void> {
    const { end } = within(prefixOf(kind))
    for (let start: Buffer | undefined = prefixOf(kind); start; ) {
      let last: Buffer | undefined
      let found = 0
      const records = this.#environment.refresh()
      for (const { key, value } of records.getRange({ start, end, limit: PAGE })) {
        tell(key, value)
        last = key
        found++
      }
      start = found === PAGE ? justAfter(last!) : undefined
      if (start) await breathe()
    }
  }

  putRetained(entry: RetainedEntry): void {
    this.#environment.records.put(retainedKey(entry), encodeDocument(entry))
  }

  removeRetained(entry: RetainedName): void {
    this.#environment.records.remove(retainedKey(entry))
  }

  addHistory(entry: HistoryEntry, keep: number): void {
    const { records } = this.#environment
    const keys = [...records.getKeys(within(prefixOf(11)))]
    const last = keys.at(-1)
    records.put(revisionKey(11, last ? readUInt64(last, 1) + 1 : 1), encodeDocument(entry))
    for (const key of keys.slice(0, Math.max(0, keys.length + 1 - keep))) records.remove(key)
  }

  history(): HistoryEntry[] {
    const range = within(prefixOf(11))
    return [...this.#environment.records.getRange(range).map(({ value }) => decodeHistory(value))]
  }

  addDelta(delta: TopologyDelta): void {
    this.#environment.records.put(revisionKey(9, delta.revision), encodeDocument(delta))
    if (this.#listeners.size > 0) this.#deltas.push(delta)
  }

  deltasSince(revision: number): TopologyDelta[] {
    const { end } = within(prefixOf(9))
    const start = revisionKey(9, Math.max(0, revision + 1))
    return [...this.#environment.records.getRange({ start, end }).map(({ value }) => decodeDelta(value))]
  }

  dropDeltas(revision: number): void {
    if (revision < 1) return
    const { records } = this.#environment
    const { start } = within(prefixOf(9))
    // A few at a time: each commit adds one.
    for (const key of [...records.getKeys({ start, end: revisionKey(9, revision + 1), limit: 16 })])
      records.remove(key)
  }

  watch(listener: (delta?: TopologyDelta) => void): () => void {
    const own = (delta?: TopologyDelta) => listener(delta)
    if (this.#listeners.size === 0) this.#told = this.#revision()
    this.#listeners.add(own)
    this.#stopPolling ??= this.#clock.every(this.#pollMs, () => this.#poll())
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) this.#rest()
    }
  }

  #rest(): void {
    this.#stopPolling?.()
    this.#stopPolling = undefined
  }

  /** -1 where it cannot be read: whoever is told then reads it, and learns why. A timer has nobody to throw to. */
  #revision(): number {
    try {
      return this.read(() => this.get('head')?.revision ?? 0)
    } catch {
      return -1
    }
  }

  #poll(): void {
    if (this.#listeners.size === 0 || !this.#environment.isOpen) return
    const revision = this.#revision()
    const own = this.#deltas
    this.#deltas = []
    if (revision === this.#told) return
    this.#told = revision
    // Of what others committed the watchers are told that there is something.
    const news = own.at(-1)?.revision === revision ? own : [undefined]
    queueMicrotask(() => {
      for (const delta of news) for (const listener of [...this.#listeners]) listener(delta)
    })
  }
}

function assignmentKey(segment: SegmentId): Buffer {
  const tag = tagOfSegment(segment)
  return tag === undefined ? bucketKey(1, Number(segment.slice(1))) : tagFenceKey(0, tag)
}
