import { systemClock } from '../clock'
import type { ShardStore, ShardSupports } from '../shard-store'
import { copyPromises } from './shard-store-suite/copying'
import { expiryPromises } from './shard-store-suite/expiry'
import { fencePromises } from './shard-store-suite/fences'
import { keyPromises } from './shard-store-suite/keys'
import { lifecyclePromises } from './shard-store-suite/lifecycle'
import { operationPromises } from './shard-store-suite/operations'
import { randomWalk } from './shard-store-suite/random-walk'
import { scanPromises } from './shard-store-suite/scans'
import { BINDING, ShardUnderTest } from './shard-store-suite/shard-under-test'

export interface StoreUnderTest {
  /** Empty, and not yet opened. */
  store: ShardStore
  /** The clock that the store judges expiries and holds by; `advance` may really wait where it is a server's. */
  clock: { now(): number; advance(ms: number): Promise<void> }
  /** Of a durable store: what another process finds after this one is gone, not yet opened. */
  reopen?(): Promise<ShardStore>
  /** Called when the test is over and the store is closed: removes what was made for it. */
  close?(): Promise<void>
}

/** A test of the suite, and what a store must declare for it to make sense. */
export interface Promised {
  readonly name: string
  readonly needs?: (supports: ShardSupports) => string | false
  readonly run: (shard: ShardUnderTest, made: StoreUnderTest) => Promise<void>
}

/**
 * The contract of ShardStore as tests: every row of the fence table, every promise of its comments. `test` is that of
 * vitest, jest or node:test. What a store declares it cannot do is reported as skipped, by a test of that name.
 */
export async function testShardStore(options: {
  test: (name: string, run: () => Promise<void>) => void
  factory: () => Promise<StoreUnderTest> | StoreUnderTest
  /** Of a store whose factory is costly to call outside of a test. */
  supports?: ShardSupports
}): Promise<void> {
  const { test, factory } = options
  const supports = options.supports ?? (await declared(factory))
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
  for (const { name, needs, run } of promises) {
    const missing = needs?.(supports)
    if (missing) {
      test(`SKIPPED, ${missing}: ${name}`, async () => {})
      continue
    }
    test(name, async () => {
      const made = await factory()
      const shard = new ShardUnderTest(made.store, made.clock)
      try {
        await shard.open()
        await run(shard, made)
      } finally {
        await shard.store.close()
        await made.close?.()
      }
    })
  }
}

async function declared(factory: () => Promise<StoreUnderTest> | StoreUnderTest): Promise<ShardSupports> {
  const made = await factory()
  const { supports } = made.store
  await made.store.open({ ...BINDING, clock: systemClock })
  await made.store.close()
  await made.close?.()
  return supports
}
