import { systemClock } from '../clock'
import type { TopologyStore } from '../topology-store'
import { registerContract, type TestFunction } from './contract-suite'
import { assignmentPromises } from './topology-store-suite/assignments'
import { foundingPromises } from './topology-store-suite/founding'
import { leasePromises } from './topology-store-suite/leases'
import { planPromises } from './topology-store-suite/plans'
import type { TopologyUnderTest } from './topology-store-suite/promise'

/** The contract of TopologyStore as tests; used as testShardStore is. A store given without its clock is really waited for. */
export function testTopologyStore(options: {
  test: TestFunction
  factory: () => TopologyUnderTest | TopologyStore | Promise<TopologyUnderTest | TopologyStore>
  /** Of a store whose factory is costly to call outside of a test. */
  supports?: TopologyStore['supports']
}): void | Promise<void> {
  return registerContract({
    test: options.test,
    factory: () => {
      const made = options.factory()
      return made instanceof Promise ? made.then(withClock) : withClock(made)
    },
    supports: options.supports,
    supportsOf: (made: TopologyUnderTest) => made.topology.supports,
    promises: [...foundingPromises, ...assignmentPromises, ...planPromises, ...leasePromises],
    dispose: async (made) => {
      await made.topology.close()
      await made.close?.()
    },
  })
}

function withClock(made: TopologyUnderTest | TopologyStore): TopologyUnderTest {
  if ('topology' in made) return made
  return { topology: made, clock: { now: () => systemClock.now(), advance: (ms) => systemClock.sleep(ms) } }
}
