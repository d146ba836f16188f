import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { lmdbTopology } from '../../src/backends/lmdb/lmdb-topology'
import { ManualClock } from '../../src/clock'
import { testTopologyStore } from '../../src/testing/topology-store-suite'

describe('lmdbTopology keeps the contract', async () => {
  const factory = () => {
    const path = mkdtempSync(join(tmpdir(), 'foreshard-lmdb-'))
    const clock = new ManualClock(1_000_000)
    const made = () => lmdbTopology({ path, clock, durability: 'process' })
    return {
      topology: made(),
      clock,
      reopen: async () => made(),
      beside: async () => made(),
      close: async () => rmSync(path, { recursive: true }),
    }
  }
  await testTopologyStore({ test, factory })
})
