import type { Random } from '../../clock'
import type { SegmentId, ShardId } from '../../placement/segment'
import type { MigratorTunables } from '../../router/options'
import { ShardRouter } from '../../router/router'
import type { ShardStore } from '../../shard-store'
import type { Topology, TopologyStore } from '../../topology-store'
import type { FaultCounts, FaultInjector, FaultOptions, FaultRates } from '../fault-injector'
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
  /** A process comes to a step of its migrator, before or after it; true: it dies there. */
  readonly diesAt?: (step: string, name: string) => boolean
  /** A process died of itself: of a call, or at a step of its migrator. */
  readonly onDeath?: (name: string, where: string) => void
}

/** Stands for the topology where shards are named. */
export const TOPOLOGY = 'the topology'

/** One router in a process of its own, with connections of its own. */
export interface Member {
  readonly name: string
  readonly process: SimulatedProcess
  readonly router: ShardRouter
  /** By shard, and that to the topology. */
  readonly connections: ReadonlyMap<string, FaultInjector>
}

/** Routers over the same stores, as a deployment of several processes would have them. */
export class Deployment {
  readonly members: Member[] = []
  readonly #options: DeploymentOptions
  readonly #faults = new Set<FaultInjector>()
  readonly #downUntil = new Map<string, number>()
  readonly #full = new Set<ShardId>()
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
      if (member && !member.process.isDead) {
        this.members[place] = member
        return member
      }
      await this.#options.time.clock.sleep(100)
    }
  }

  /** One that lives, the given one if it does. */
  living(place: number): Member | undefined {
    const { members } = this
    for (let i = 0; i < members.length; i++) {
      const member = members[(place + i) % members.length]!
      if (!member.process.isDead) return member
    }
    return undefined
  }

  get shards(): readonly ShardId[] {
    return [...this.#options.stores.keys()]
  }

  kill(member: Member): void {
    member.process.kill()
  }

  /** Cuts a shard, or the topology, off from everyone, also from those who start meanwhile. */
  cutOff(store: ShardId | typeof TOPOLOGY, ms: number): void {
    this.#downUntil.set(store, this.#options.time.clock.now() + ms)
    for (const { connections } of this.members) connections.get(store)!.down(ms)
  }

  setFull(shard: ShardId, full: boolean): void {
    if (full) this.#full.add(shard)
    else this.#full.delete(shard)
    for (const { connections } of this.members) connections.get(shard)!.full = full
  }

  get isCalm(): boolean {
    return this.#calm
  }

  /** From now on nothing goes wrong any more. What was sent and not yet delivered still arrives. */
  calm(): void {
    this.#calm = true
    this.#downUntil.clear()
    this.#full.clear()
    for (const faults of this.#faults) faults.calm()
    for (const { process } of this.members) process.thaw()
  }

  get underWay(): number {
    return [...this.#faults].reduce((sum, faults) => sum + faults.underWay, 0)
  }

  /** How often a process had to be slowed down that never pauses. */
  get rushes(): number {
    return [...this.#faults].reduce((sum, faults) => sum + faults.rushes, 0)
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
    const { time, randomOf, stores, topology, buckets, rates, skewMs, onDeath } = this.#options
    const random = randomOf(name)
    const process = new SimulatedProcess(name, time.clock, Math.round((random() * 2 - 1) * skewMs))
    const connections = new Map<string, FaultInjector>()
    const options = (store: string): FaultOptions => ({
      random: randomOf(`${name} to ${store}`),
      clock: time.clock,
      process,
      onCrash: () => onDeath?.(name, `a call to ${store}`),
      ...(this.#calm ? {} : rates),
    })
    const connected = (store: string, faults: FaultInjector) => {
      const ms = (this.#downUntil.get(store) ?? 0) - time.clock.now()
      if (ms > 0) faults.down(ms)
      faults.full = this.#full.has(store)
      connections.set(store, faults)
      this.#faults.add(faults)
    }
    const shards: Record<ShardId, ShardStore> = Object.create(null)
    for (const [shard, store] of stores) {
      const faulty = faultyStore(store, options(shard))
      connected(shard, faulty.faults)
      shards[shard] = faulty
    }
    const faulty = faultyTopology(topology, options(TOPOLOGY))
    connected(TOPOLOGY, faulty.faults)
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
    const router = await process.answer(opening).catch((error) => {
      process.kill()
      throw error
    })
    return { name, process, router, connections }
  }

  #reached(process: SimulatedProcess, step: string): Promise<void> | undefined {
    const { diesAt, onDeath } = this.#options
    if (!diesAt?.(step, process.name)) return undefined
    process.kill()
    onDeath?.(process.name, step)
    return process.running()
  }
}
