import { describe, test } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ManualClock } from '../../src/clock'
import { testShardStore } from '../../src/testing/shard-store-suite'

describe('memoryStore keeps the contract', async () => {
  await testShardStore({ test, factory: () => ({ store: memoryStore(), clock: new ManualClock(1_000_000) }) })
})
