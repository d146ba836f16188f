import { Breather } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'
import type { FenceRecord } from '../placement/fence'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { FenceListing } from '../shard-store'
import type { AssignmentEntry, RetainedEntry } from '../topology-store'
import { discard, erase } from './completion'
import type { Gate } from './gate'
import { Stop } from './interruption'
import type { Assigned, KnownTopology } from './known-topology'
import type { Office } from './office'
import { type Evidence, isWhole, type Loss, type Remedy, type Salvage, salvage } from './salvage'

/** What became of the shards that came back as others than they were. */
export interface RescueReport {
  readonly shards: readonly {
    readonly shard: ShardId
    readonly incarnation: string
    readonly lost: boolean
  }[]
  /** Segments by what they may have lost, each with the shard that owns it now. Empty where nothing was lost. */
  readonly losses: readonly { readonly segment: SegmentId; readonly shard: ShardId; readonly loss: Loss }[]
}

/** Looks at one bucket, should others act on it at the same time. */
const LOOKS = 8
const BUCKETS_AT_A_TIME = 16
/** Assignments in one change of the topology. */
const PUBLISHED_AT_ONCE = 1_000
/** Others that change the topology's shards at the same time. */
const RACES = 32
const LOSSES: readonly Loss[] = ['latest', 'former', 'older', 'everything']

type Fences = Map<ShardId, Map<SegmentId, FenceRecord>>

/**
 * After a shard came back as another than the topology knows: compares its fences with the topology and with its peers, and
 * does what has to be done before it may serve again. Nobody is served by it until its new name stands in the topology,
 * which is the last step: whoever dies before leaves all to be done again.
 */
export class Rescue {
  readonly #office: Office
  readonly #gate: Gate
  readonly #found: ReadonlyMap<ShardId, string>
  readonly #losses = new Map<SegmentId, { shard: ShardId; loss: Loss }>()
  readonly #assignments: AssignmentEntry[] = []
  readonly #retain: RetainedEntry[] = []

  /** `found`: the names by which the stores answer now. */
  constructor(office: Office, gate: Gate, found: ReadonlyMap<ShardId, string>) {
    this.#office = office
    this.#gate = gate
    this.#found = found
  }

  /** Undefined: every shard is what the topology takes it for. */
  async run(): Promise<RescueReport | undefined> {
    const { known } = this.#office
    await this.#gate.askTopology(() => known.refresh())
    const others = known.shards.filter(({ id, incarnation }) => {
      const now = this.#found.get(id)
      return incarnation !== '' && now !== undefined && now !== incarnation
    })
    if (others.length === 0) return undefined
    const { buckets, fences } = await this.#look(others.map(({ id }) => id))
    const evidenceOf = (bucketId: number, lost: ReadonlySet<ShardId>): Evidence => ({
      bucketId,
      fences: new Map([...fences].map(([shard, all]) => [shard, all.get(bucketId) ?? NO_FENCES])),
      assigned: assignedTo(known, bucketId),
      lost,
    })
    const lost = new Set<ShardId>()
    for (const { id } of others) {
      if (!this.#office.store(id)!.supports.durable) lost.add(id)
      else if (!(await this.#isWhole(id, buckets, evidenceOf))) throw notDurable(id)
    }
    if (lost.size > 0) await this.#rescueAll(buckets, (bucketId) => evidenceOf(bucketId, lost))
    await this.#publish()
    this.#checkNames(others.map(({ id }) => id))
    await this.#admit()
    return {
      shards: others.map(({ id }) => ({ shard: id, incarnation: this.#found.get(id)!, lost: lost.has(id) })),
      losses: [...this.#losses].map(([segment, it]) => ({ segment, ...it })),
    }
  }

  /** The fences of all shards that can be asked, by shard and bucket. */
  async #look(others: readonly ShardId[]) {
    const { known } = this.#office
    const fences = new Map<ShardId, Map<number, Map<SegmentId, FenceRecord>>>()
    for (const { id } of known.shards) {
      let listings: FenceListing[]
      try {
        listings = await this.#gate.ask(id, (store) => store.fences())
      } catch (error) {
        if (error instanceof Stop || others.includes(id) || this.#mayMatter(id)) throw error
        continue
      }
      const byBucket = new Map<number, Map<SegmentId, FenceRecord>>()
      for (const { segment, bucketId, record } of listings) {
        const there = byBucket.get(bucketId)
        if (there) there.set(segment, record)
        else byBucket.set(bucketId, new Map([[segment, record]]))
      }
      fences.set(id, byBucket)
    }
    return { fences, buckets: known.table.buckets }
  }

  /**
   * Whether a shard that cannot be asked could know what nobody else does: of a plan that is not finished, of a copy that
   * it retained, or, if the topology may have lost its last changes, of anything.
   */
  #mayMatter(shard: ShardId): boolean {
    const { known, topology } = this.#office
    if (!topology.supports.durable || known.plan) return true
    for (const it of known.retained) if (it.shard === shard) return true
    return false
  }

  async #isWhole(
    shard: ShardId,
    buckets: number,
    evidenceOf: (bucketId: number, lost: ReadonlySet<ShardId>) => Evidence,
  ): Promise<boolean> {
    const breather = new Breather(this.#office.clock)
    for (let bucketId = 0; bucketId < buckets; bucketId++) {
      await breather.rest()
      if (!isWhole(evidenceOf(bucketId, new Set()), shard)) return false
    }
    return true
  }

  async #rescueAll(buckets: number, evidenceOf: (bucketId: number) => Evidence): Promise<void> {
    const ticket = await this.#gate.askTopology((topology) => topology.drawTicket())
    let next = 0
    const workers = Array.from({ length: Math.min(BUCKETS_AT_A_TIME, buckets) }, async () => {
      for (let bucketId = next++; bucketId < buckets; bucketId = next++)
        await this.#rescueBucket(evidenceOf(bucketId), ticket)
    })
    for (const result of await Promise.allSettled(workers))
      if (result.status === 'rejected') throw result.reason
  }

  async #rescueBucket(first: Evidence, ticket: number): Promise<void> {
    let evidence = first
    for (let looks = 1; ; looks++) {
      const found = salvage(evidence)
      if (found.conflict)
        throw new ForeshardError(ErrorCode.FENCE_CONFLICT, `${found.conflict}; all data is kept`)
      for (const { segment, shard, loss } of found.losses) {
        // A second look finds a copy that the first one made do with.
        const before = this.#losses.get(segment)?.loss ?? 'latest'
        const worse = LOSSES.indexOf(loss) > LOSSES.indexOf(before) ? loss : before
        this.#losses.set(segment, { shard, loss: worse })
      }
      const taken = await this.#take(evidence, found, ticket)
      if (taken && !found.remedies.some(({ step }) => step === 'activate')) {
        this.#note(evidence, found)
        return
      }
      if (looks === LOOKS)
        throw new ForeshardError(
          ErrorCode.TOO_MANY_REFUSALS,
          `the fences of bucket ${evidence.bucketId} changed ${LOOKS} times while they were compared`,
        )
      await this.#gate.pause(looks)
      evidence = await this.#again(evidence)
      ticket = await this.#gate.askTopology((topology) => topology.drawTicket())
    }
  }

  /** In their order; false where one was refused. */
  async #take(evidence: Evidence, { remedies }: Salvage, ticket: number): Promise<boolean> {
    for (const remedy of remedies) {
      const { segment } = remedy
      const taken = await this.#gate.step('rescue', segment, () => this.#takeOne(evidence, remedy, ticket))
      if (!taken) return false
    }
    return true
  }

  async #takeOne({ bucketId }: Evidence, remedy: Remedy, ticket: number): Promise<boolean> {
    const { bucketOf } = this.#office
    const { shard, segment } = remedy
    const at = { segment, bucketId }
    switch (remedy.step) {
      case 'discard':
        return discard(this.#gate, { bucketOf }, segment, shard, ticket)
      case 'purge':
        return !(await erase(this.#gate, shard, { ...at, step: 'purge', epoch: remedy.epoch }))
      case 'activate': {
        const { proof } = remedy
        return (await this.#gate.ask(shard, (store) => store.step(at, { step: 'activate', proof }))).ok
      }
      case 'abort': {
        const { epoch } = remedy
        return (await this.#gate.ask(shard, (store) => store.step(at, { step: 'abort', epoch, ticket }))).ok
      }
      case 'restore': {
        const { epoch, peer, seq, intact, carved } = remedy
        const command = { step: 'restore', epoch, peer, seq, intact, carved, ticket } as const
        return (await this.#gate.ask(shard, (store) => store.step(at, command))).ok
      }
    }
  }

  async #again(evidence: Evidence): Promise<Evidence> {
    const { bucketId } = evidence
    const segments = new Set<SegmentId>([bucketSegment(bucketId), ...evidence.assigned.keys()])
    for (const records of evidence.fences.values())
      for (const segment of records.keys()) segments.add(segment)
    const asked = [...segments].map((segment) => ({ segment, bucketId }))
    const fences: Fences = new Map()
    for (const shard of evidence.fences.keys()) {
      const listings = await this.#gate.ask(shard, (store) => store.fences(asked))
      fences.set(shard, new Map(listings.map(({ segment, record }) => [segment, record])))
    }
    return { ...evidence, fences }
  }

  /** What the topology is to learn of a bucket: its owners, and the copies that nobody else will purge. */
  #note({ fences, assigned, lost }: Evidence, { owners, remedies }: Salvage): void {
    const { known, clock } = this.#office
    const retain = (segment: SegmentId, shard: ShardId, epoch: number) => {
      if (known.isRetained(segment, shard, epoch)) return
      this.#retain.push({ segment, shard, epoch, until: clock.now() })
    }
    for (const { segment, shard, epoch } of owners) {
      this.#assignments.push({ segment, shard, epoch })
      for (const [former, records] of fences) {
        const record = records.get(segment)
        if (former === shard || record?.state !== 'moved' || lost.has(former)) continue
        if (record.epoch > (assigned.get(segment)?.epoch ?? 0)) retain(segment, former, record.epoch)
      }
    }
    const renewed = new Set<string>()
    for (const it of remedies)
      if (it.step === 'restore' && it.peer !== '') {
        renewed.add(`${it.segment} ${it.shard}`)
        retain(it.segment, it.shard, it.epoch)
      }
    // What had been purged may be there again.
    for (const shard of lost)
      for (const [segment, record] of fences.get(shard) ?? NO_FENCES)
        if (record.state === 'moved' && !renewed.has(`${segment} ${shard}`))
          retain(segment, shard, record.epoch)
  }

  async #publish(): Promise<void> {
    const { known } = this.#office
    while (this.#assignments.length + this.#retain.length > 0) {
      const assignments = this.#assignments.splice(0, PUBLISHED_AT_ONCE)
      const retain = this.#retain.splice(0, PUBLISHED_AT_ONCE)
      await this.#gate.askTopology((topology) =>
        topology.commit({
          ...(assignments.length > 0 && { assignments }),
          ...(retain.length > 0 && { retain }),
        }),
      )
    }
    await this.#gate.askTopology(() => known.refresh())
  }

  /** A shard that was restarted again meanwhile may have lost what was done to it. */
  #checkNames(shards: readonly ShardId[]): void {
    for (const shard of shards) {
      const now = this.#office.store(shard)?.incarnation
      if (now === undefined || now === this.#found.get(shard)) continue
      throw new ForeshardError(
        ErrorCode.SHARD_UNAVAILABLE,
        `shard ${shard} came back once more while its fences were compared`,
        { shard },
      )
    }
  }

  /** The topology takes them for what they are now; whoever waits for that serves from them again. */
  async #admit(): Promise<void> {
    const { known } = this.#office
    for (let race = 0; race < RACES; race++) {
      const { revision } = known
      const shards = known.shards.map((it) => {
        const incarnation = this.#found.get(it.id)
        return incarnation === undefined || it.incarnation === '' ? it : { ...it, incarnation }
      })
      const done = await this.#gate.askTopology((topology) =>
        topology.commit({ shards, expect: { revision } }),
      )
      await this.#gate.askTopology(() => known.refresh())
      if (done !== undefined) return
    }
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_UNAVAILABLE,
      `the topology changed ${RACES} times while a shard was to be admitted again`,
    )
  }
}

const NO_FENCES: ReadonlyMap<SegmentId, FenceRecord> = new Map()

function assignedTo(known: KnownTopology, bucketId: number): Map<SegmentId, Assigned> {
  const assigned = new Map<SegmentId, Assigned>()
  for (const segment of [bucketSegment(bucketId), ...known.tagsOf(bucketId)]) {
    const it = known.assigned(segment)
    if (it) assigned.set(segment, it)
  }
  return assigned
}

function notDurable(shard: ShardId): ForeshardError {
  return new ForeshardError(
    ErrorCode.SHARD_MISMATCH,
    `shard ${shard} has lost state, although its store is said to be durable: its fences are older than the topology's or ` +
      "a peer's; restore its data, or open it as what it is, before it serves",
    { shard },
  )
}
