import { afterEach, describe, expect } from 'vitest'
import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import type { FaultRates } from '../../src/testing/fault-injector'
import { inspect } from '../../src/testing/inspection'
import { Deployment, type Member } from '../../src/testing/simulation/deployment'
import { VirtualTime } from '../../src/testing/virtual-time'
import type { TopologyStore } from '../../src/topology-store'
import { type Backend, lmdbBackend, memoryBackend } from './backends'

const BACKENDS = { memory: memoryBackend, lmdb: lmdbBackend }

/** Plays the scenarios on every embedded store. */
export function onEveryStore(title: string, scenarios: (stage: () => Stage) => void): void {
  for (const [name, backend] of Object.entries(BACKENDS))
    describe(`${title} (${name})`, () => {
      const stages: Stage[] = []
      afterEach(async () => {
        for (const stage of stages.splice(0)) await stage.strike()
      })
      scenarios(() => {
        const stage = new Stage(backend())
        stages.push(stage)
        return stage
      })
    })
}

/** One bucket on shard a, and another shard b; processes that come and go; time that jumps. */
export class Stage {
  readonly time = new VirtualTime()
  readonly stores: ReadonlyMap<ShardId, ShardStore>
  readonly deployment: Deployment
  /** The bucket that shard a has at first. */
  segment: SegmentId = '#0'
  /** Every request that changed fences or copies, to be sent again. */
  readonly sent: (() => Promise<unknown>)[] = []
  readonly #backend: Backend
  readonly #topology: TopologyStore
  readonly rates: FaultRates = {}

  constructor(backend: Backend) {
    this.#backend = backend
    this.stores = new Map(['a', 'b'].map((shard) => [shard, this.#recorded(backend.store(shard, this.time))]))
    this.#topology = backend.topology(this.time)
    this.deployment = new Deployment({
      time: this.time,
      randomOf: (name) => seededRandom(murmur3(name)),
      stores: this.stores,
      topology: this.#topology,
      buckets: 4,
      rates: this.rates,
      skewMs: 0,
    })
  }

  /** A store whose requests of migrators are put on a list. */
  #recorded(store: ShardStore): ShardStore {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        const send = (...args: unknown[]) => member.apply(target, args)
        if (name !== 'step' && name !== 'ingest' && name !== 'erase') return send
        return (...args: unknown[]) => {
          this.sent.push(() => send(...args))
          return send(...args)
        }
      },
    })
  }

  /** Runs the play in virtual time. */
  play(acts: () => Promise<void>): Promise<void> {
    return this.time.run(acts, 24 * 3_600_000)
  }

  /** Moves the bucket, or another segment, and says what became of it. */
  async move(member: Member, to: ShardId, options: { segment?: SegmentId; retainMs?: number } = {}) {
    const { segment = this.segment, retainMs = 10_000 } = options
    const resharding = await member.router.requestResharding(1, new Map([[segment, to]]), { retainMs })
    if (!resharding.accepted) throw new Error(resharding.reason)
    return member.process.answer(resharding.done)
  }

  /** Keys of the bucket that shard a has at first. */
  async keys(member: Member, count: number): Promise<string[]> {
    const { placement } = member.router
    this.segment = [...placement.segments()].find(({ shard }) => shard === 'a')!.segment
    const found: string[] = []
    for (let i = 0; found.length < count; i++)
      if (placement.segmentOf(`key-${i}`) === this.segment) found.push(`key-${i}`)
    return found
  }

  bucketId(): number {
    return Number(this.segment.slice(1))
  }

  async fence(shard: ShardId) {
    const [listing] = await this.stores
      .get(shard)!
      .fences([{ segment: this.segment, bucketId: this.bucketId() }])
    return listing!.record
  }

  sleep(ms: number): Promise<void> {
    return this.time.clock.sleep(ms)
  }

  /** Until the stewards have finished and purged what there was; then nothing may be left. */
  async expectRest(): Promise<Map<string, { shard: ShardId; value: unknown }>> {
    for (const { process } of this.deployment.members) process.thaw()
    await this.sleep(5 * 60_000)
    const { problems, entries } = await inspect(this.stores, await this.deployment.topology())
    expect(problems).toEqual([])
    const values = [...entries].map(([key, { shard, entry }]) => {
      const value = JSON.parse(Buffer.from(entry.value!).toString())
      return [key, { shard, value }] as const
    })
    return new Map(values)
  }

  async strike(): Promise<void> {
    for (const { process } of this.deployment.members) process.kill()
    // Dead processes have closed nothing: once for each time that it was opened.
    for (const store of this.stores.values()) while (await isOpen(() => store.size())) await store.close()
    while (await isOpen(() => this.#topology.changesSince(0))) await this.#topology.close()
    this.#backend.remove()
  }
}

async function isOpen(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false
  }
}
