import { describe, test } from 'vitest'
import { rowStore } from '../../../src/backends/rows/row-store'
import { ManualClock } from '../../../src/clock'
import { testShardStore } from '../../../src/testing/shard-store-suite'
import { MapOfRows } from './map-of-rows'

describe('rowStore keeps the contract', async () => {
  await testShardStore({
    test,
    factory: () => {
      const rows = new MapOfRows()
      const store = () => rowStore(rows, { supports: { durable: true } })
      return { store: store(), clock: new ManualClock(1_000_000), reopen: async () => store() }
    },
  })
})
