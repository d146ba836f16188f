import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { seededRandom } from '../../src/clock'
import type { RouterOptions } from '../../src/router/options'
import type { AcceptedResharding, Resharding } from '../../src/router/resharding'
import { ShardRouter } from '../../src/router/router'
import type { ShardStore } from '../../src/shard-store'
import { VirtualTime } from '../../src/testing/virtual-time'
import type { TopologyStore } from '../../src/topology-store'

/** Stores, a topology, and routers over them, all in virtual time. */
export class Harness {
  readonly time = new VirtualTime(1_700_000_000_000)
  readonly clock = this.time.clock
  readonly stores: Record<string, ShardStore> = {}
  readonly topology: TopologyStore = memoryTopology({ clock: this.clock, random: seededRandom(1) })
  #seed = 10

  constructor(names: Iterable<string> = 'abc') {
    for (const name of names) this.stores[name] = this.store()
  }

  store(): ShardStore {
    return memoryStore({ clock: this.clock, random: seededRandom(this.#seed++) })
  }

  open(options: Partial<RouterOptions> = {}): Promise<ShardRouter> {
    return ShardRouter.open({
      shards: this.stores,
      topology: this.topology,
      buckets: 8,
      clock: this.clock,
      random: seededRandom(this.#seed++),
      ...options,
    })
  }

  /** A router that learns nothing of the topology's changes unless it asks. */
  openDeaf(options: Partial<RouterOptions> = {}): Promise<ShardRouter> {
    const topology = wrap(this.topology, { watch: () => () => {} })
    return this.open({ topology, pollMs: 1e12, migrator: false, ...options })
  }
}

/** Runs a test in virtual time: whoever sleeps is woken as soon as all others wait. */
export function inVirtualTime(
  test: (harness: Harness) => Promise<void>,
  names?: Iterable<string>,
): () => Promise<void> {
  return () => {
    const harness = new Harness(names)
    return harness.time.run(() => test(harness))
  }
}

/** The same thing with some of its methods replaced. */
export function wrap<T extends object>(it: T, replaced: Partial<T>): T {
  return new Proxy(it, {
    get(target, name) {
      if (Object.hasOwn(replaced, name)) return replaced[name as keyof T]
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

export function accepted(resharding: Resharding): AcceptedResharding {
  if (!resharding.accepted) throw new Error(`not accepted: ${resharding.reason}`)
  return resharding
}

/** Has a map carried out, to its end. */
export async function carryOut(router: ShardRouter, map: Record<string, string>, merge: string[] = []) {
  const answer = await router.requestResharding(1, new Map(Object.entries(map)) as never, {
    merge: merge as never,
  })
  const report = await accepted(answer).done
  if (report.outcome !== 'done') throw new Error(JSON.stringify(report))
  return report
}

/** A key of each bucket that the placement has. */
export function keyIn(router: ShardRouter, bucketId: number, nth = 0): string {
  for (let i = 0; ; i++)
    if (router.placement.locate(`k${i}`).bucketId === bucketId && nth-- === 0) return `k${i}`
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The error with which it rejects. */
export async function errorOf(promise: Promise<unknown>): Promise<{
  code: string
  field?: string
  message: string
  shard?: string
  failed?: ReadonlyMap<string, { code: string }>
  cause?: unknown
}> {
  try {
    await promise
  } catch (error) {
    return error as never
  }
  throw new Error('did not reject')
}
