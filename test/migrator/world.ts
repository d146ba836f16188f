import { expect } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { ManualClock, type Random, seededRandom } from '../../src/clock'
import { Migrator, type MigratorOptions } from '../../src/migrator/migrator'
import { Placement } from '../../src/placement/assignment'
import { type FenceRecord, type Proof, proofOf } from '../../src/placement/fence'
import { bucketSegment, type SegmentId, type ShardId, tagSegment } from '../../src/placement/segment'
import type { Entry, Operation, ShardStore } from '../../src/shard-store'
import type { Topology } from '../../src/topology-store'

export interface WorldOptions {
  seed?: number
  shards?: ShardId[]
  buckets?: number
  /** Longest time a request or an answer travels; 0: none. */
  latencyMs?: number
}

interface Truth {
  value: string
  expiresAt: number
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array) => new TextDecoder().decode(value)

/** A few shards in memory, time that is passed in, clients that know only what shards tell them, and the truth. */
export class World {
  readonly clock = new ManualClock(1_000_000)
  readonly random: Random
  readonly placement: Placement
  readonly raw = new Map<ShardId, ShardStore>()
  readonly truth = new Map<string, Truth>()
  readonly topology
  /** Acknowledged writes of each segment's life, by bucket. */
  readonly #beliefs = new Map<string, { shard: ShardId; segment: SegmentId; epoch: number }>()
  readonly #latencyMs: number
  #writes = 0
  #holders = 0

  constructor({ seed = 1, shards = ['a', 'b', 'c'], buckets = 8, latencyMs = 0 }: WorldOptions = {}) {
    this.random = seededRandom(seed)
    this.#latencyMs = latencyMs
    this.placement = Placement.initial({ shards, buckets })
    this.topology = memoryTopology({ clock: this.clock, random: this.random })
    for (const shard of shards) this.raw.set(shard, memoryStore({ clock: this.clock, random: this.random }))
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const world = new World(options)
    const { placement } = world
    const shards = placement.shards.map((id) => ({ id, weight: 1 }))
    const owners = new Int32Array(placement.buckets)
    for (let i = 0; i < owners.length; i++)
      owners[i] = placement.shards.indexOf(placement.shardOf(bucketSegment(i)))
    const { id } = await world.topology.open({ buckets: placement.buckets, seed: 0, shards, owners })
    for (const [shard, store] of world.raw) {
      await store.open({ topologyId: id, shard, buckets: placement.buckets, clock: world.clock })
      await store.found([...owners.keys()].filter((i) => placement.shards[owners[i]!] === shard))
    }
    return world
  }

  migrator(options: Partial<MigratorOptions> = {}): Migrator {
    const stores = new Map([...this.raw].map(([shard, store]) => [shard, this.travelled(store)]))
    return new Migrator({
      topology: this.topology,
      store: (shard) => stores.get(shard),
      bucketOf: (segment) => this.placement.bucketOf(segment),
      clock: this.clock,
      random: this.random,
      holder: `migrator-${++this.#holders}`,
      ...options,
    })
  }

  /** The store as seen from afar: requests and answers take their time, and overtake one another. */
  travelled(store: ShardStore): ShardStore {
    const travel = async () => {
      if (this.#latencyMs > 0) await this.clock.sleep(this.random() * this.#latencyMs)
    }
    return intercept(store, async (_method, send) => {
      await travel()
      const answer = await send()
      await travel()
      return answer
    })
  }

  /** Lets time pass until the promise is settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const outcome = promise.finally(() => {
      settled = true
    })
    outcome.catch(() => undefined)
    for (let idle = 0; !settled; ) {
      await new Promise((resolve) => setImmediate(resolve))
      if (settled) break
      const { nextAt } = this.clock
      if (Number.isFinite(nextAt)) {
        idle = 0
        await this.clock.advance(Math.max(0, nextAt - this.clock.now()))
      } else if (++idle > 20) throw new Error('nothing is going to happen any more')
    }
    return outcome
  }

  /** A bucket of this shard, and some keys of it. */
  bucketOn(shard: ShardId): SegmentId {
    for (let i = 0; i < this.placement.buckets; i++)
      if (this.placement.shardOf(bucketSegment(i)) === shard) return bucketSegment(i)
    throw new Error(`no bucket on ${shard}`)
  }

  keysOf(segment: SegmentId, count: number): string[] {
    const found: string[] = []
    for (let i = 0; found.length < count; i++)
      if (this.placement.segmentOf(`key-${i}`) === segment) found.push(`key-${i}`)
    return found
  }

  /** A tag whose keys lie in that bucket. */
  tagIn(segment: SegmentId, nth = 0): string {
    for (let i = 0; ; i++)
      if (this.placement.segmentOf(`{tag-${i}}`) === segment && nth-- === 0) return `tag-${i}`
  }

  async set(key: string, value: string, expiresAt = 0): Promise<void> {
    await this.#execute(key, { kind: 'set', value: bytes(value), expiresAt }, () =>
      this.truth.set(key, { value, expiresAt }),
    )
  }

  async delete(key: string): Promise<void> {
    await this.#execute(key, { kind: 'delete' }, () => this.truth.delete(key))
  }

  async fill(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.set(key, `first of ${key}`)
  }

  /** Clients that write and delete these keys, one operation every `everyMs`, until told to stop. */
  clients(keys: readonly string[], everyMs: number): () => Promise<void> {
    let going = true
    const run = (async () => {
      while (going) {
        const key = keys[Math.floor(this.random() * keys.length)]!
        if (this.random() < 0.2) await this.delete(key)
        else await this.set(key, `value ${++this.#writes}`)
        await this.clock.sleep(everyMs * (0.5 + this.random()))
      }
    })()
    run.catch(() => undefined)
    return () => {
      going = false
      return run
    }
  }

  async #execute(key: string, operation: Operation, acknowledged: () => void): Promise<void> {
    const tag = this.placement.tagOf(key)
    const bucketId = this.placement.bucketOfTag(tag)
    const start = this.placement.locate(key)
    let belief = this.#beliefs.get(tag) ?? { shard: start.shard, segment: start.segment, epoch: start.epoch }
    let proof: Proof | undefined
    for (let tries = 0; tries < 500; tries++) {
      const store = this.raw.get(belief.shard)!
      if (this.#latencyMs > 0) await this.clock.sleep(this.random() * this.#latencyMs)
      const { segment, epoch } = belief
      const [answer] = await store.execute([{ segment, epoch, bucketId, key, tag, operation, proof }])
      if (answer!.ok) {
        acknowledged()
        this.#beliefs.set(tag, belief)
        return
      }
      const { reason, governs, record, retryAfterMs } = answer!
      if (reason === 'held') {
        await this.clock.sleep(retryAfterMs)
        continue
      }
      proof = proofOf(record)
      if (proof) belief = { shard: proof.shard, segment: governs, epoch: proof.epoch }
      else if (record.state === 'owned')
        belief = { shard: belief.shard, segment: governs, epoch: record.epoch }
      else {
        await this.clock.sleep(5)
        const [owner] = await this.ownersOf(tag)
        if (owner) belief = owner
      }
    }
    throw new Error(`${key} found no owner`)
  }

  /** Who says that he serves this tag. */
  async ownersOf(tag: string): Promise<{ shard: ShardId; segment: SegmentId; epoch: number }[]> {
    const bucketId = this.placement.bucketOfTag(tag)
    const own = tagSegment(tag)
    const home = bucketSegment(bucketId)
    const owners: { shard: ShardId; segment: SegmentId; epoch: number }[] = []
    for (const shard of this.raw.keys()) {
      const bucket = await this.fence(shard, home)
      const carved = await this.fence(shard, own)
      if (carved.state === 'owned') owners.push({ shard, segment: own, epoch: carved.epoch })
      if (bucket.state === 'owned' && !bucket.carved.has(tag))
        owners.push({ shard, segment: home, epoch: bucket.epoch })
    }
    return owners
  }

  async fence(shard: ShardId, segment: SegmentId): Promise<FenceRecord> {
    const at = { segment, bucketId: this.placement.bucketOf(segment) }
    const [listing] = await this.raw.get(shard)!.fences([at])
    return listing!.record
  }

  /** All that the shard holds of the segment as its owner. */
  async contents(shard: ShardId, segment: SegmentId): Promise<Entry[]> {
    const { epoch } = await this.fence(shard, segment)
    const at = { segment, bucketId: this.placement.bucketOf(segment) }
    const page = await this.raw
      .get(shard)!
      .scan({ ...at, as: { role: 'owner', epoch }, want: 'values', limit: 1_000_000 })
    if (!page.ok) throw new Error(`${shard} does not own ${segment}`)
    return [...page.entries]
  }

  topologyNow(): Promise<Topology> {
    return this.topology.read()
  }

  async assigned(segment: SegmentId): Promise<ShardId | undefined> {
    return [...(await this.topologyNow()).assignments].find((it) => it.segment === segment)?.shard
  }

  /** Invariants I1 to I5: one owner of every key, who holds the truth; no export stands; the topology knows it all. */
  async expectTruth(): Promise<void> {
    const { assignments, plan } = await this.topologyNow()
    expect(plan).toBeUndefined()
    const held = new Map<string, Truth>()
    for (const { segment, shard, epoch } of assignments) {
      const states = await Promise.all(
        [...this.raw.keys()].map(async (id) => [id, await this.fence(id, segment)] as const),
      )
      const owners = states.filter(([, record]) => record.state === 'owned')
      expect(owners.map(([id, record]) => [segment, id, record.epoch])).toEqual([[segment, shard, epoch]])
      expect(owners[0]![1]).toMatchObject({ export: 0, holdUntil: 0 })
      expect(states.filter(([, record]) => record.state === 'importing')).toEqual([])
      for (const { key, value, expiresAt } of await this.contents(shard!, segment)) {
        expect(held.has(key)).toBe(false)
        held.set(key, { value: text(value!), expiresAt })
      }
    }
    const now = this.clock.now()
    const truth = [...this.truth].filter(([, it]) => it.expiresAt === 0 || it.expiresAt > now)
    expect(new Map([...held].sort())).toEqual(new Map(truth.sort()))
  }

  /** Keys of any state on a shard: what purges and sweeps should have taken away. */
  async keysOn(shard: ShardId): Promise<number> {
    return (await this.raw.get(shard)!.size()).keys
  }
}

export type Method = Exclude<keyof ShardStore, 'supports'>
type Intercept = (method: Method, send: () => Promise<unknown>, argument: unknown) => Promise<unknown>

/** The store with something in the way of every request. */
export function intercept(store: ShardStore, way: Intercept): ShardStore {
  return new Proxy(store, {
    get(target, property) {
      const value = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => way(property as Method, () => value.apply(target, args), args[0])
    },
  })
}

export const PLAN = { confidence: 0.9, reason: 'because the test says so' }
