import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import type { ReshardingReport } from '../migrator/progress'
import { checkFields, type Fields } from '../options'
import { unknownShard } from '../placement/assignment'
import { checkShards } from '../placement/ring'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { ShardEntry, Topology } from '../topology-store'
import { openStore } from './opening'
import type { Readmission } from './readmission'
import type { Resharding, Reshardings } from './resharding'
import { checkReshardingOptions, LIMITS, type ReshardingOptions } from './resharding-options'
import { checkStore, type ShardSet } from './shard-set'
import { bucketsToTake, spread } from './spreading'
import type { TopologyFeed } from './topology-feed'
import type { View } from './view'

export type AddShardOptions = Omit<ReshardingOptions, 'merge' | 'placement'> & {
  /** Share of the buckets relative to the others'; default 1. */
  weight?: number
  /** Move its share of the buckets to it at once; default true. */
  rebalance?: boolean
}

export type DrainShardOptions = Omit<ReshardingOptions, 'merge' | 'placement'> & {
  /** Take the empty shard out of the topology and close its store; default false: it stays, draining. */
  remove?: boolean
}

const ADD_FIELDS: Fields<AddShardOptions> = { ...LIMITS, reason: true, weight: true, rebalance: true }
const DRAIN_FIELDS: Fields<DrainShardOptions> = { ...LIMITS, reason: true, remove: true }

/** Plans that a drain may need: others may carve tags out on the shard, or cancel, meanwhile. */
const DRAIN_ROUNDS = 8

/** Shards that come and go. */
export class Membership {
  readonly #topologyId: string
  readonly #view: View
  readonly #shards: ShardSet
  readonly #feed: TopologyFeed
  readonly #reshardings: Reshardings
  readonly #clock: Clock
  readonly #readmission: Readmission

  constructor(
    topologyId: string,
    parts: {
      view: View
      shards: ShardSet
      feed: TopologyFeed
      reshardings: Reshardings
      clock: Clock
      readmission: Readmission
    },
  ) {
    this.#topologyId = topologyId
    this.#view = parts.view
    this.#shards = parts.shards
    this.#feed = parts.feed
    this.#reshardings = parts.reshardings
    this.#clock = parts.clock
    this.#readmission = parts.readmission
  }

  /**
   * Binds the store, enters the shard into the topology, and moves its share of the buckets to it. Resolves when it has
   * them, as a drain does when the shard has nothing; progress and the signal are there meanwhile. A shard that the
   * topology has already, because another router added it, is only attached; one that is draining is taken back.
   */
  async add(id: ShardId, store: ShardStore, options: AddShardOptions): Promise<Resharding> {
    checkFields(options, ADD_FIELDS, 'options')
    const { weight = 1, rebalance = true, ...resharding } = options
    checkFlag(rebalance, 'options.rebalance')
    checkReshardingOptions(resharding)
    checkShards([{ id, weight }], 'shard')
    checkStore(store, 'store')
    const attached = this.#shards.store(id)
    if (attached && attached !== store)
      throw invalid('id', `shard ${id} has a store in this router already; choose another name`)
    for (const [, shard] of this.#shards)
      if (shard.store === store && shard.id !== id)
        throw invalid('store', `is the store of ${shard.id} already`)
    this.#checkLimits(store)

    const { buckets } = this.#view
    const incarnation = attached
      ? undefined
      : await openStore(id, store, { id: this.#topologyId, buckets }, this.#clock)
    let isNew: boolean
    try {
      isNew = await this.#enter(id, weight, incarnation)
    } catch (error) {
      if (!attached) await store.close().catch(() => {})
      throw error
    }
    if (!attached) {
      this.#shards.add(id, store, incarnation!)
      await this.#admit(id, store)
    }
    if (!isNew)
      return { accepted: false, reason: `shard ${id} is part of the topology already; its store is attached` }
    if (!rebalance) return { accepted: false, reason: `shard ${id} has joined empty, as asked` }
    const asked = { reason: `shard ${id} has joined`, ...resharding }
    const answer = await this.#reshardings.request(1, this.#share(id), asked)
    if (answer.accepted) await answer.done
    return answer
  }

  /**
   * Makes the shard no target any more and moves everything that it has to the others. Resolves with the reports of
   * the plans that it took when the shard owns nothing.
   */
  async drain(id: ShardId, options: DrainShardOptions): Promise<ReshardingReport[]> {
    checkFields(options, DRAIN_FIELDS, 'options')
    const { remove = false, ...resharding } = options
    checkFlag(remove, 'options.remove')
    checkReshardingOptions(resharding)
    await this.#feed.change((topology) => drainingShard(topology, id))
    const reports: ReshardingReport[] = []
    for (let round = 0; ; round++) {
      const segments = this.#segmentsOf(id)
      if (segments.length === 0) break
      if (round === DRAIN_ROUNDS) throw notEmpty(id, segments, reports.at(-1))
      const others = this.#view.shards.filter((it) => it.state === 'active')
      const map = spread(segments, others, this.#held())
      // A copy that stays behind is of no use to whoever wants to take the shard away.
      const asked = { reason: `shard ${id} is drained`, retainMs: 0, ...resharding }
      const answer = await this.#reshardings.request(1, map, asked)
      if (!answer.accepted) continue
      const report = await answer.done
      reports.push(report)
      if (report.outcome !== 'done') throw notEmpty(id, this.#segmentsOf(id), report)
    }
    if (remove) await this.#remove(id)
    return reports
  }

  /** Of several routers that enter a shard at the same time one is told that it is new: it moves the shard's share to it. */
  async #enter(id: ShardId, weight: number, incarnation: string | undefined): Promise<boolean> {
    let isNew = false
    const changed = await this.#feed.change((topology) => {
      isNew = !topology.shards.some((it) => it.id === id && it.state === 'active')
      const shards = withShard(topology, id, weight, incarnation)
      return shards && { shards }
    })
    return changed && isNew
  }

  async #remove(id: ShardId): Promise<void> {
    await this.#feed.change(({ shards }) =>
      shards.some((it) => it.id === id) ? { shards: shards.filter((it) => it.id !== id) } : undefined,
    )
    const shard = this.#shards.at(this.#view.indexOf(id))
    const { store } = shard
    shard.store = undefined
    await store?.close()
  }

  /** A key or value that is stored now must fit into every store, or its segment could not move. */
  #checkLimits({ supports }: ShardStore): void {
    const { keyRules, maxValueBytes } = this.#shards
    if (supports.maxKeyBytes < keyRules.maxBytes)
      throw invalid(
        'store',
        `keeps keys of ${supports.maxKeyBytes} bytes; there may be keys of ${keyRules.maxBytes}`,
      )
    if (!supports.nulInKeys && keyRules.nul)
      throw invalid('store', 'cannot keep U+0000 in keys; there may be some')
    for (const prefix of supports.reservedPrefixes ?? [])
      if (!keyRules.reserved?.some((it) => prefix.startsWith(it)))
        throw invalid(
          'store',
          `keeps keys that start with ${shown(prefix)} for itself; there may be some: open the router with it as reservedPrefix`,
        )
    if (supports.maxValueBytes < maxValueBytes)
      throw invalid(
        'store',
        `keeps values of ${supports.maxValueBytes} bytes; there may be values of ${maxValueBytes}`,
      )
    if (!supports.ttl && this.#shards.withoutTtl === undefined)
      throw invalid('store', 'cannot keep what expires; there may be keys that do')
  }

  async #admit(id: ShardId, store: ShardStore): Promise<void> {
    try {
      await this.#readmission.admit()
    } catch (error) {
      this.#shards.at(this.#view.indexOf(id)).store = undefined
      await store.close().catch(() => {})
      throw error
    }
  }

  /** The joining shard's share of the buckets as they are assigned now. */
  #share(id: ShardId): Map<SegmentId, ShardId> {
    const { placement, shards } = this.#view
    const active = shards.filter((it) => it.state === 'active')
    const owners = Array.from({ length: placement.buckets }, (_, bucketId) =>
      placement.shardOf(bucketSegment(bucketId)),
    )
    const taken = bucketsToTake(
      owners,
      active.filter((it) => it.id !== id),
      active.find((it) => it.id === id)!,
    )
    return new Map(taken.map((bucketId) => [bucketSegment(bucketId), id]))
  }

  #segmentsOf(id: ShardId): SegmentId[] {
    const index = this.#view.indexOf(id)
    return [...this.#view.segments()].filter(({ shard }) => shard === index).map(({ segment }) => segment)
  }

  #held(): Map<ShardId, number> {
    const held = new Map<ShardId, number>()
    for (const { shard } of this.#view.segments()) {
      const id = this.#view.shardId(shard)
      held.set(id, (held.get(id) ?? 0) + 1)
    }
    return held
  }
}

/** The topology's shards with this one active, undefined if it is so already. */
function withShard(
  topology: Pick<Topology, 'shards'>,
  id: ShardId,
  weight: number,
  incarnation: string | undefined,
): ShardEntry[] | undefined {
  const entry = topology.shards.find((it) => it.id === id)
  if (!entry) return [...topology.shards, { id, weight, state: 'active', incarnation: incarnation ?? '' }]
  // One that came back under another name keeps the old one until its fences have been compared.
  const next: ShardEntry = {
    ...entry,
    state: 'active',
    incarnation: entry.incarnation || (incarnation ?? ''),
  }
  if (next.state === entry.state && next.incarnation === entry.incarnation) return undefined
  return topology.shards.map((it) => (it.id === id ? next : it))
}

function drainingShard(
  topology: Pick<Topology, 'shards'>,
  id: ShardId,
): { shards: ShardEntry[] } | undefined {
  const entry = topology.shards.find((it) => it.id === id)
  if (!entry) throw unknownShard('id', id)
  if (!topology.shards.some((it) => it.id !== id && it.state === 'active'))
    throw invalid('id', `${id} is the only active shard; add another one before it is drained`)
  if (entry.state === 'draining') return undefined
  return { shards: topology.shards.map((it) => (it.id === id ? { ...it, state: 'draining' } : it)) }
}

function notEmpty(
  id: ShardId,
  segments: readonly SegmentId[],
  report: ReshardingReport | undefined,
): ForeshardError {
  const failure = report?.failed[0]
  const code =
    report?.outcome === 'cancelled' ? ErrorCode.CANCELLED : (failure?.code ?? ErrorCode.TOO_MANY_REFUSALS)
  return new ForeshardError(
    code,
    `shard ${id} still has ${segments.length} segments${failure ? `; ${failure.segment}: ${failure.message}` : ''}; it stays draining, drain it again`,
    { shard: id },
  )
}

function checkFlag(value: unknown, field: string): void {
  if (typeof value !== 'boolean') throw invalid(field, `must be true or false, not ${shown(value)}`)
}
