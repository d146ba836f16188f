import { describe, test } from 'vitest'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { ManualClock } from '../../src/clock'
import { testTopologyStore } from '../../src/testing/topology-store-suite'

describe('memoryTopology keeps the contract', async () => {
  const factory = () => {
    const clock = new ManualClock(1_000_000)
    return { topology: memoryTopology({ clock }), clock }
  }
  await testTopologyStore({ test, factory })
})
