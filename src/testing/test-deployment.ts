import { memoryStore } from '../backends/memory/memory-store'
import { memoryTopology } from '../backends/memory/memory-topology'
import { type ManualClock, type Random, seededRandom } from '../clock'
import { invalid, shown } from '../errors'
import type { ReshardingReport } from '../migrator/progress'
import { checkFields, type Fields } from '../options'
import { murmur3 } from '../placement/hash'
import { checkSegment, type SegmentId, type ShardId, tagSegment } from '../placement/segment'
import type { RouterOptions } from '../router/options'
import { ShardRouter } from '../router/router'
import type { FaultRates } from './fault-injector'
import { type FaultyStore, faultyStore } from './faulty-store'
import { type CutoverFailure, type Steering, steeredStore } from './steered-store'
import { VirtualTime } from './virtual-time'

export interface TestDeploymentOptions {
  /** How many, named a, b, c, …; or their names. Default 2. */
  shards?: number | readonly ShardId[]
  /** Of all chance in it. Default 1. */
  seed?: number
  /** When it begins, ms since the epoch; default 1,000,000. */
  now?: number
  /** What goes wrong on the way to the shards once the router is open; default nothing. */
  faults?: FaultRates
  /** Of the router: schema, codec, buckets and the like. Buckets are 16 by default. */
  router?: Omit<RouterOptions, 'shards' | 'topology' | 'clock' | 'random'>
}

const FIELDS: Fields<TestDeploymentOptions> = {
  shards: true,
  seed: true,
  now: true,
  faults: true,
  router: true,
}
const MOST_SHARDS = 26

/**
 * Memory shards, a topology and a router in time and chance of their own, for unit tests of what uses a router. Time
 * stands still but for what an operation or a move has to wait for, and is told by `advance`.
 */
export async function testDeployment(options: TestDeploymentOptions = {}): Promise<TestDeployment> {
  checkFields(options, FIELDS, 'options')
  const { shards = 2, seed = 1, now = 1_000_000, faults = {}, router = {} } = options
  const names = typeof shards === 'number' ? lettered(shards) : [...shards]
  if (!Number.isSafeInteger(seed)) throw invalid('options.seed', `must be a whole number, not ${shown(seed)}`)
  const time = new VirtualTime(now)
  const { clock } = time
  const randomOf = (name: string): Random => seededRandom(seed ^ murmur3(name))
  const steering: Steering = { refusals: new Map(), cutovers: [] }
  const stores = new Map<ShardId, FaultyStore>()
  for (const name of names) {
    const store = steeredStore(memoryStore({ clock, random: randomOf(name) }), steering)
    stores.set(name, faultyStore(store, { clock, random: randomOf(`faults of ${name}`) }))
  }
  const opened = await time.run(() =>
    ShardRouter.open({
      buckets: 16,
      ...router,
      shards: stores,
      topology: memoryTopology({ clock, random: randomOf('topology') }),
      clock,
      random: randomOf('router'),
    }),
  )
  for (const store of stores.values()) store.faults.rates = faults
  return new TestDeployment(opened, stores, time, steering)
}

export class TestDeployment {
  /** Give it to what you test: a router like any other, for which time passes while it has to wait. */
  readonly router: ShardRouter
  /** By name; `faults` of each takes a connection down, loses replies, or has no room. */
  readonly stores: ReadonlyMap<ShardId, FaultyStore>
  readonly clock: ManualClock
  readonly #time: VirtualTime
  readonly #steering: Steering

  constructor(
    router: ShardRouter,
    stores: ReadonlyMap<ShardId, FaultyStore>,
    time: VirtualTime,
    steering: Steering,
  ) {
    this.stores = stores
    this.clock = time.clock
    this.#time = time
    this.#steering = steering
    this.router = driven(router, time)
  }

  /**
   * Moves the tag of a key now, or a segment, to a shard; by default to the next one. Resolves when that is done, with the
   * report; what is asked of the router meanwhile runs along.
   */
  async move(what: string, to?: ShardId): Promise<ReshardingReport> {
    const segment = this.#segmentOf(what)
    const names = [...this.stores.keys()]
    const from = /^#\d+$/.test(what)
      ? this.router.placement.shardOf(segment)!
      : this.router.getShardLocation(what)
    const target = to ?? names[(names.indexOf(from) + 1) % names.length]!
    return this.run(async () => {
      const resharding = await this.router.requestResharding(1, new Map([[segment, target]]))
      if (!resharding.accepted) throw invalid('what', `could not be moved to ${target}: ${resharding.reason}`)
      return resharding.done
    })
  }

  /** The next operations on a key are refused, so many times, as they are at a cutover. The router tries again. */
  refuse(key: string, times = 1): void {
    this.#steering.refusals.set(key, times)
  }

  /**
   * The next cutover does not arrive, is refused, or happens while nobody learns of it. The migrator has to make the best
   * of it.
   */
  failNextCutover(failure: CutoverFailure = 'unavailable'): void {
    this.#steering.cutovers.push(failure)
  }

  /** Lets time pass: what has a time to live expires, access scores fade, sleepers wake in their order. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms)
  }

  /** Runs work that waits for time, which then passes: `deployment.run(() => resharding.done)`. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#time.run(work)
  }

  async close(): Promise<void> {
    await this.router.close()
  }

  #segmentOf(what: string): SegmentId {
    const { placement } = this.router
    if (/^#\d+$/.test(what)) {
      checkSegment(what, placement.buckets, 'what')
      return what as SegmentId
    }
    const segment = placement.segmentOf(what)
    return segment.startsWith('{') ? segment : tagSegment(placement.tagOf(what))
  }
}

/** The router, with time passing while one of its promises is awaited. */
function driven(router: ShardRouter, time: VirtualTime): ShardRouter {
  return new Proxy(router, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        const answer: unknown = member.apply(target, args)
        if (answer === target) return driven(router, time)
        return answer instanceof Promise ? time.run(() => answer) : answer
      }
    },
  })
}

function lettered(count: number): ShardId[] {
  if (!Number.isSafeInteger(count) || count < 1 || count > MOST_SHARDS)
    throw invalid(
      'options.shards',
      `must be a whole number from 1 to ${MOST_SHARDS}, or names, not ${shown(count)}`,
    )
  return Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i))
}
