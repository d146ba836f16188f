import { type Clock, seededRandom } from '../../../src/clock'
import { murmur3 } from '../../../src/placement/hash'
import type { SegmentId, ShardId } from '../../../src/placement/segment'
import type { Call, FenceListing, IngestRequest, SegmentAt, ShardStore } from '../../../src/shard-store'
import { Deployment } from '../../../src/testing/simulation/deployment'
import { VirtualTime } from '../../../src/testing/virtual-time'
import type { Topology, TopologyStore } from '../../../src/topology-store'
import type { Backend } from '../../scenarios/backends'
import { ForgetfulStore } from './forgetful-store'
import { Judge } from './judge'
import { observedStore } from './observed-store'
import { observedTopology } from './observed-topology'

/** A store with a rule taken out: made of the real one, and of all that there are. */
export type Breakage = (
  store: ShardStore,
  around: { shard: ShardId; all: ReadonlyMap<ShardId, ShardStore>; clock: Clock },
) => ShardStore

/** The one bucket of every transcript. */
export const BUCKET: SegmentId = '#0'

/**
 * What a transcript is played on: real stores of one bucket, a real topology, time that passes only where something waits
 * for it, and a judge who knows what was acknowledged.
 */
export class Stage {
  readonly time = new VirtualTime()
  readonly #backend: Backend
  readonly #breakage: Breakage | undefined
  /** Past all observation. */
  readonly bare = new Map<ShardId, ShardStore>()
  readonly stores = new Map<ShardId, ShardStore>()
  /** What processes are given. */
  readonly #connections = new Map<ShardId, ShardStore>()
  readonly judge = new Judge(this.bare, this.time.clock)
  #bareTopology: TopologyStore | undefined
  #topology: TopologyStore | undefined
  #deployment: Deployment | undefined
  readonly #garbled = new Map<string, number>()
  readonly #servers = new Map<ShardId, { forgetful: ForgetfulStore; moment: number }>()
  #id = ''
  #lines: string[] = []

  constructor(backend: Backend, breakage?: Breakage) {
    this.#backend = backend
    this.#breakage = breakage
  }

  readonly tell = (line: string): void => {
    this.#lines.push(line)
  }

  /** The lines since the last time. */
  taken(): string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  /** The first shard owns the bucket, at epoch 1. */
  async open(shards: readonly ShardId[]): Promise<void> {
    const { time } = this
    this.#bareTopology = this.#backend.topology(time)
    this.#topology = observedTopology(this.#bareTopology, time.clock, this.tell)
    const owners = new Int32Array([0])
    const weighed = shards.map((id) => ({ id, weight: 1 }))
    this.#id = (await this.#bareTopology.open({ buckets: 1, seed: 0, shards: weighed, owners })).id
    for (const shard of shards) await this.#join(shard)
    await this.bare.get(shards[0]!)!.found([0])
    this.#deployment = new Deployment({
      time,
      randomOf: (name) => seededRandom(murmur3(name)),
      stores: this.#connections,
      topology: this.#topology,
      buckets: 1,
      rates: {},
      skewMs: 0,
    })
  }

  /** The next so many batches that bring this key bring it damaged. */
  garble(shard: ShardId, key: string, times: number): void {
    this.#garbled.set(`${shard} ${key}`, times)
  }

  #garbles(shard: ShardId, key: string): boolean {
    const times = this.#garbled.get(`${shard} ${key}`) ?? 0
    this.#garbled.set(`${shard} ${key}`, times - 1)
    return times > 0
  }

  async #join(shard: ShardId): Promise<void> {
    const { tell, judge, time } = this
    const { clock } = time
    const name = (life: number) => (life === 1 ? shard : `${shard}${life}`)
    const binding = { topologyId: this.#id, shard, buckets: 1, clock }
    const forgetful = new ForgetfulStore((life) => this.#backend.store(name(life), time), binding)
    await forgetful.open()
    const { store } = forgetful
    this.#servers.set(shard, { forgetful, moment: 0 })
    this.bare.set(shard, store)
    const broken = this.#breakage?.(store, { shard, all: this.bare, clock }) ?? store
    const garbled = garbledStore(broken, (key) => this.#garbles(shard, key))
    const written = (call: Call) => judge.acknowledged(call)
    const observed = observedStore(garbled, shard, { clock, tell, written })
    this.stores.set(shard, observed)
    this.#connections.set(shard, forgetful.connection(observed))
  }

  /** A moment that the shard will go back to when it is restarted. */
  remember(shard: ShardId): void {
    const server = this.#servers.get(shard)!
    server.moment = server.forgetful.moment
  }

  /** From now on nobody is served by it, until it is admitted. */
  async restart(shard: ShardId): Promise<void> {
    const { forgetful, moment } = this.#servers.get(shard)!
    await forgetful.restart(moment)
    this.judge.excuse(shard)
  }

  get deployment(): Deployment {
    if (!this.#deployment) throw new Error('nothing is open; begin with: open a b')
    return this.#deployment
  }

  store(shard: ShardId): ShardStore {
    const store = this.stores.get(shard)
    if (!store) throw new Error(`there is no shard ${shard}`)
    return store
  }

  async fence(shard: ShardId, at: SegmentAt): Promise<FenceListing> {
    const [listing] = await this.bare.get(shard)!.fences([at])
    return listing!
  }

  drawTicket(): Promise<number> {
    return this.#bareTopology!.drawTicket()
  }

  topology(): Promise<Topology> {
    return this.deployment.topology()
  }

  async strike(): Promise<void> {
    for (const { process } of this.#deployment?.members ?? []) process.kill()
    // Dead processes have closed nothing: once for each time that it was opened.
    for (const store of this.bare.values()) while (await isOpen(() => store.size())) await store.close()
    const topology = this.#bareTopology
    while (topology && (await isOpen(() => topology.changesSince(0)))) await topology.close()
    this.#backend.remove()
  }
}

/** Writes something else than it was given, where it is told to. */
function garbledStore(store: ShardStore, garbles: (key: string) => boolean): ShardStore {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name !== 'ingest') return member.bind(target)
      return (request: IngestRequest) => {
        const changes = request.changes.map((it) =>
          it.entry && garbles(it.key) ? { ...it, entry: { ...it.entry, value: GARBAGE } } : it,
        )
        return target.ingest({ ...request, changes })
      }
    },
  })
}
const GARBAGE = new TextEncoder().encode('"garbage"')

async function isOpen(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false
  }
}
