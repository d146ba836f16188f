import { ManualClock } from '../clock'
import type { ShardStore, ShardSupports } from '../shard-store'
import { registerContract, type TestFunction } from './contract-suite'
import { copyPromises } from './shard-store-suite/copying'
import { expiryPromises } from './shard-store-suite/expiry'
import { fencePromises } from './shard-store-suite/fences'
import { keyPromises } from './shard-store-suite/keys'
import { lifecyclePromises } from './shard-store-suite/lifecycle'
import { operationPromises } from './shard-store-suite/operations'
import type { Promised, StoreUnderTest } from './shard-store-suite/promise'
import { randomWalk } from './shard-store-suite/random-walk'
import { scanPromises } from './shard-store-suite/scans'
import { ShardUnderTest } from './shard-store-suite/shard-under-test'

/**
 * The contract of ShardStore as tests: every row of the fence table, every promise of its comments. `test` is that of
 * vitest, jest or node:test. What a store declares it cannot do is reported as skipped, by a test of that name. The
 * factory gives an empty store, or one with the clock that it has of its own; without one it goes by its binding's.
 */
export function testShardStore(options: {
  test: TestFunction
  factory: () => StoreUnderTest | ShardStore | Promise<StoreUnderTest | ShardStore>
  /** Of a store whose factory is costly to call outside of a test. */
  supports?: ShardSupports
}): void | Promise<void> {
  const promises: Promised[] = [
    ...operationPromises,
    ...keyPromises,
    ...expiryPromises,
    ...fencePromises,
    ...copyPromises,
    ...scanPromises,
    ...lifecyclePromises,
    randomWalk,
  ]
  return registerContract({
    test: options.test,
    factory: () => {
      const made = options.factory()
      return made instanceof Promise ? made.then(withClock) : withClock(made)
    },
    supports: options.supports,
    supportsOf: (made: StoreUnderTest) => made.store.supports,
    promises: promises.map(({ name, needs, run }) => ({
      name,
      needs,
      run: async (made: StoreUnderTest) => {
        const shard = new ShardUnderTest(made.store, made.clock)
        try {
          await shard.open()
          await run(shard, made)
        } finally {
          // The one that is open now: a test may have opened it anew.
          await shard.store.close()
        }
      },
    })),
    dispose: async (made) => made.close?.(),
  })
}

function withClock(made: StoreUnderTest | ShardStore): StoreUnderTest {
  return 'execute' in made ? { store: made, clock: new ManualClock(1_000_000) } : made
}
