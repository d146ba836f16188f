import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, invalid } from '../errors'
import { bucketSegment } from '../placement/segment'
import type {
  AssignmentEntry,
  Founding,
  Lease,
  Topology,
  TopologyChange,
  TopologyDelta,
  TopologyStore,
} from '../topology-store'
import { corruptTopology, DELTAS, HISTORY, TopologyAssembly, type TopologySummary } from './topology-assembly'
import { checkChange, checkFounding } from './topology-checks'
import type { TopologyLedger } from './topology-ledger'

export interface LedgerTopologyOptions {
  readonly supports: TopologyStore['supports']
  /** Judges the lease. */
  readonly clock: Clock
  /** Names a topology that is founded. */
  readonly newId: () => string
}

/** A topology store over a ledger: all of the rules, none of the storage. */
export class LedgerTopology implements TopologyStore {
  readonly supports: TopologyStore['supports']
  readonly #ledger: TopologyLedger
  readonly #clock: Clock
  readonly #newId: () => string
  #openers = 0

  constructor(ledger: TopologyLedger, options: LedgerTopologyOptions) {
    this.#ledger = ledger
    this.#clock = options.clock
    this.#newId = options.newId
    this.supports = options.supports
  }

  async open(founding: Founding): Promise<Topology> {
    this.#openers++
    try {
      await this.#ledger.open()
      if (!(await this.#ledger.read(() => this.#ledger.get('head'))))
        await this.#ledger.write(() => {
          // Another process may have been faster.
          if (!this.#ledger.get('head')) this.#create(founding)
        })
      return await this.read()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  #create(founding: Founding): void {
    checkFounding(founding)
    const { buckets, seed, shards, owners } = founding
    const ledger = this.#ledger
    ledger.put('head', { id: this.#newId(), revision: 1, buckets, seed, founded: false, planId: null })
    if (founding.tagRule) ledger.put('tagRule', founding.tagRule)
    ledger.put(
      'shards',
      shards.map(({ id, weight }) => ({ id, weight, state: 'active', incarnation: '' })),
    )
    for (let bucketId = 0; bucketId < buckets; bucketId++)
      ledger.putAssignment(bucketSegment(bucketId), { shard: shards[owners[bucketId]!]!.id, epoch: 1 })
  }

  async read(): Promise<Topology> {
    this.#ready()
    for (;;) {
      const assembly = await this.#ledger.read(() => new TopologyAssembly(this.#summary()))
      await this.#ledger.tell(assembly)
      const deltas = await this.changesSince(assembly.revision)
      // So much was committed meanwhile that it is read again.
      if (!deltas) continue
      for (const delta of deltas) assembly.apply(delta)
      return assembly.finish()
    }
  }

  #summary(): TopologySummary {
    const { id, revision, buckets, seed, founded } = this.#ledger.get('head') ?? lost()
    return {
      id,
      revision,
      buckets,
      seed,
      founded,
      shards: this.#ledger.get('shards')!,
      tagRule: this.#ledger.get('tagRule'),
      plan: this.#ledger.get('plan') ?? undefined,
      history: this.#ledger.history(),
    }
  }

  /** Closes it for one user; the last one closes the ledger. */
  async close(): Promise<void> {
    if (this.#openers === 0 || --this.#openers > 0) return
    await this.#ledger.close()
  }

  async changesSince(revision: number): Promise<TopologyDelta[] | undefined> {
    this.#ready()
    return this.#ledger.read(() => {
      const newest = (this.#ledger.get('head') ?? lost()).revision
      if (revision === newest) return []
      const deltas = this.#ledger.deltasSince(revision)
      return deltas[0]?.revision === revision + 1 ? deltas : undefined
    })
  }

  async commit(change: TopologyChange): Promise<number | undefined> {
    this.#ready()
    // The caller may go on using what it gave.
    const { expect = {}, ...wanted } = structuredClone(change)
    return this.#ledger.write(() => {
      const ledger = this.#ledger
      const head = ledger.get('head') ?? lost()
      if (expect.revision !== undefined && expect.revision !== head.revision) return undefined
      if (expect.term !== undefined) {
        const lease = ledger.get('lease')
        if (!lease || lease.holder === '' || lease.term !== expect.term) return undefined
      }
      if (expect.plan !== undefined && expect.plan !== head.planId) return undefined
      const shards = wanted.shards ?? ledger.get('shards')!
      checkChange(wanted, head.buckets, shards)

      const assignments = wanted.assignments?.filter((entry) => this.#assign(entry))
      const delta: TopologyDelta = { ...wanted, revision: head.revision + 1 }
      if (assignments?.length) Object.assign(delta, { assignments })
      else delete (delta as { assignments?: unknown }).assignments
      // Nothing but late publications.
      if (Object.keys(delta).length === 1) return head.revision

      if (wanted.shards) ledger.put('shards', wanted.shards)
      if (wanted.tagRule) ledger.put('tagRule', wanted.tagRule)
      if (wanted.plan !== undefined) ledger.put('plan', wanted.plan)
      for (const entry of wanted.history ?? []) ledger.addHistory(entry, HISTORY)
      for (const entry of wanted.release ?? []) ledger.removeRetained(entry)
      for (const entry of wanted.retain ?? []) ledger.putRetained(entry)
      ledger.put('head', {
        ...head,
        revision: delta.revision,
        founded: head.founded || wanted.founded === true,
        planId: wanted.plan === undefined ? head.planId : (wanted.plan?.id ?? null),
      })
      ledger.addDelta(delta)
      ledger.dropDeltas(delta.revision - DELTAS)
      return delta.revision
    })
  }

  /** Takes the entry unless it is late, and says so. */
  #assign({ segment, shard, epoch }: AssignmentEntry): boolean {
    const stored = this.#ledger.assignment(segment)
    if (shard === undefined) {
      // A merge ends the life that its epoch belongs to, the last epoch of that life included.
      if (stored && (stored.shard === '' || stored.epoch > epoch)) return false
      this.#ledger.putAssignment(segment, { shard: '', epoch })
      return true
    }
    if (stored && stored.epoch >= epoch) return false
    this.#ledger.putAssignment(segment, { shard, epoch })
    return true
  }

  async drawTicket(): Promise<number> {
    this.#ready()
    return this.#ledger.write(() => {
      const ticket = (this.#ledger.get('ticket') ?? 0) + 1
      this.#ledger.put('ticket', ticket)
      return ticket
    })
  }

  async acquireLease(holder: string, durationMs: number): Promise<Lease | undefined> {
    this.#ready()
    if (typeof holder !== 'string' || holder === '') throw invalid('holder', 'must be a name')
    checkDuration(durationMs)
    return this.#ledger.write(() => {
      const now = this.#clock.now()
      const lease = this.#ledger.get('lease') ?? { holder: '', term: 0, expiresAt: 0 }
      const stands = lease.holder !== '' && now < lease.expiresAt
      if (stands && lease.holder !== holder) return undefined
      const term = stands ? lease.term : lease.term + 1
      const next = { holder, term, expiresAt: now + durationMs }
      this.#ledger.put('lease', next)
      return next
    })
  }

  async renewLease(holder: string, term: number, durationMs: number): Promise<boolean> {
    this.#ready()
    checkDuration(durationMs)
    return this.#ledger.write(() => {
      const now = this.#clock.now()
      const lease = this.#ledger.get('lease')
      if (!lease || lease.holder !== holder || lease.term !== term || now >= lease.expiresAt) return false
      this.#ledger.put('lease', { holder, term, expiresAt: now + durationMs })
      return true
    })
  }

  async releaseLease(holder: string, term: number): Promise<void> {
    this.#ready()
    await this.#ledger.write(() => {
      const lease = this.#ledger.get('lease')
      // The term stays: the next holder's is higher.
      if (lease?.holder === holder && lease.term === term)
        this.#ledger.put('lease', { holder: '', term, expiresAt: 0 })
    })
  }

  watch(listener: (delta?: TopologyDelta) => void): () => void {
    this.#ready()
    return this.#ledger.watch(listener)
  }

  #ready(): void {
    if (this.#openers === 0)
      throw new ForeshardError(ErrorCode.CLOSED, 'the topology is not open; a router opens it and closes it')
  }
}

function lost(): never {
  throw corruptTopology('it is no longer there')
}

function checkDuration(durationMs: number): void {
  if (!Number.isFinite(durationMs) || durationMs <= 0)
    throw invalid('durationMs', 'must be a number of ms above 0')
}
