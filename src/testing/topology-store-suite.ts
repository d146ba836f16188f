import type { TopologyStore } from '../topology-store'
import { assignmentPromises } from './topology-store-suite/assignments'
import { foundingPromises } from './topology-store-suite/founding'
import { leasePromises } from './topology-store-suite/leases'
import { planPromises } from './topology-store-suite/plans'

export interface TopologyUnderTest {
  /** Empty, and not yet opened. */
  topology: TopologyStore
  /** The clock that leases are judged by; `advance` may really wait where it is a server's. */
  clock: { now(): number; advance(ms: number): Promise<void> }
  /** Of a durable topology: what another process finds after this one is gone, not yet opened. */
  reopen?(): Promise<TopologyStore>
  /** Of one for several processes: the same topology, as another process would open it beside the first. */
  beside?(): Promise<TopologyStore>
  /** Called when the test is over and the topology is closed. */
  close?(): Promise<void>
}

/** A test of the suite, and what a topology store must declare for it to make sense. */
export interface TopologyPromise {
  readonly name: string
  readonly needs?: (supports: TopologyStore['supports']) => string | false
  readonly run: (made: TopologyUnderTest) => Promise<void>
}

/** The contract of TopologyStore as tests; used as testShardStore is. */
export async function testTopologyStore(options: {
  test: (name: string, run: () => Promise<void>) => void
  factory: () => Promise<TopologyUnderTest> | TopologyUnderTest
  /** Of a store whose factory is costly to call outside of a test. */
  supports?: TopologyStore['supports']
}): Promise<void> {
  const { test, factory } = options
  const supports = options.supports ?? (await declared(factory))
  for (const { name, needs, run } of [
    ...foundingPromises,
    ...assignmentPromises,
    ...planPromises,
    ...leasePromises,
  ]) {
    const missing = needs?.(supports)
    if (missing) {
      test(`SKIPPED, ${missing}: ${name}`, async () => {})
      continue
    }
    test(name, async () => {
      const made = await factory()
      try {
        await run(made)
      } finally {
        await made.topology.close()
        await made.close?.()
      }
    })
  }
}

async function declared(factory: () => Promise<TopologyUnderTest> | TopologyUnderTest) {
  const made = await factory()
  const { supports } = made.topology
  await made.topology.close()
  await made.close?.()
  return supports
}
