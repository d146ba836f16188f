import type { Random } from '../../clock'
import type { SegmentId, ShardId } from '../../placement/segment'
import type { MigratorTunables } from '../../router/options'
import { ShardRouter } from '../../router/router'
import type { ShardStore } from '../../shard-store'
import type { Topology, TopologyStore } from '../../topology-store'
import type { FaultCounts, FaultInjector, FaultRates } from '../fault-injector'
import { faultyStore } from '../faulty-store'
import { faultyTopology } from '../faulty-topology'
import { SimulatedProcess } from '../simulated-process'
import type { VirtualTime } from '../virtual-time'

export interface DeploymentOptions {
  readonly time: VirtualTime
  /** A source of its own for everyone who asks. */
  readonly randomOf: (name: string) => Random
  readonly stores: ReadonlyMap<ShardId, ShardStore>
  readonly topology: TopologyStore
  readonly buckets: number
  readonly rates: FaultRates
  /** Clocks of processes differ by up to so much, either way. */
  readonly skewMs: number
  /** Of all members, unless one is started with its own. */
  readonly migrator?: MigratorTunables
  /** Whether the process is to die here, before or after a step of its migrator. */
  readonly diesAt?: (step: string) => boolean
  /** A process died at a step of its migrator. */
  readonly onDeath?: (name: string, step: string) => void
}

/** One router in a process of its own, with connections of its own. */
export interface Member {
  readonly name: string
  readonly process: SimulatedProcess
  readonly router: ShardRouter
  readonly connections: ReadonlyMap<ShardId, FaultInjector>
}

/** Routers over the same stores, as a deployment of several processes would have them. */
export class Deployment {
  readonly members: Member[] = []
  readonly #options: DeploymentOptions
  readonly #faults = new Set<FaultInjector>()
  #started = 0
  #calm = false

  constructor(options: DeploymentOptions) {
    this.#options = options
  }

  /** Starts a process, at the given place among the members or as one more. It is there when it has opened its router. */
  async start(place = this.members.length, migrator: MigratorTunables = {}): Promise<Member> {
    for (;;) {
      const name = `p${++this.#started}`
      const member = await this.#open(name, migrator).catch(() => undefined)
      if (member) {
        this.members[place] = member
        return member
      }
      await this.#options.time.clock.sleep(100)
    }
  }

  get shards(): readonly ShardId[] {
    return [...this.#options.stores.keys()]
  }

  kill(member: Member): void {
    member.process.kill()
  }

  /** Cuts the shard off from everyone, for so long. */
  cutOff(shard: ShardId, ms: number): void {
    for (const { connections } of this.members) connections.get(shard)!.down(ms)
  }

  setFull(shard: ShardId, full: boolean): void {
    for (const { connections } of this.members) connections.get(shard)!.full = full
  }

  /** From now on nothing goes wrong any more. What was sent and not yet delivered still arrives. */
  calm(): void {
    this.#calm = true
    for (const faults of this.#faults) faults.calm()
    for (const { process } of this.members) process.thaw()
  }

  get underWay(): number {
    return [...this.#faults].reduce((sum, faults) => sum + faults.underWay, 0)
  }

  get counts(): FaultCounts {
    const sum = {} as FaultCounts
    for (const faults of this.#faults)
      for (const [name, count] of Object.entries(faults.counts) as [keyof FaultCounts, number][])
        sum[name] = (sum[name] ?? 0) + count
    return sum
  }

  /** What the topology store holds, read past all faults. */
  topology(): Promise<Topology> {
    return this.#options.topology.read()
  }

  async segments(): Promise<SegmentId[]> {
    return [...(await this.topology()).assignments].map(({ segment }) => segment)
  }

  async #open(name: string, migrator: MigratorTunables): Promise<Member> {
    const { time, randomOf, stores, topology, buckets, rates, skewMs } = this.#options
    const random = randomOf(name)
    const process = new SimulatedProcess(name, time.clock, Math.round((random() * 2 - 1) * skewMs))
    const connect = (store: string) => {
      const options = { random: randomOf(`${name} to ${store}`), clock: time.clock, process }
      return this.#calm ? options : { ...options, ...rates }
    }
    const connections = new Map<ShardId, FaultInjector>()
    const shards: Record<ShardId, ShardStore> = Object.create(null)
    for (const [shard, store] of stores) {
      const faulty = faultyStore(store, connect(shard))
      connections.set(shard, faulty.faults)
      this.#faults.add(faulty.faults)
      shards[shard] = faulty
    }
    const faulty = faultyTopology(topology, connect('topology'))
    this.#faults.add(faulty.faults)
    const opening = ShardRouter.open({
      shards,
      topology: faulty,
      buckets,
      clock: process.clock,
      random,
      migrator: {
        holder: name,
        failpoint: (step) => this.#reached(process, step),
        ...this.#options.migrator,
        ...migrator,
      },
    })
    const router = await opening.catch((error) => {
      process.kill()
      throw error
    })
    return { name, process, router, connections }
  }

  #reached(process: SimulatedProcess, step: string): Promise<void> | undefined {
    const { diesAt, onDeath } = this.#options
    if (!diesAt?.(step)) return undefined
    process.kill()
    onDeath?.(process.name, step)
    return process.running()
  }
}
