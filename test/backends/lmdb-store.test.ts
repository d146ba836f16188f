import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { ManualClock } from '../../src/clock'
import { testShardStore } from '../../src/testing/shard-store-suite'

describe('lmdbStore keeps the contract', async () => {
  const factory = () => {
    const path = mkdtempSync(join(tmpdir(), 'foreshard-lmdb-'))
    return {
      // The suite asks for thousands of commits; what is synced to the disk is tested apart.
      store: lmdbStore({ path, durability: 'process' }),
      clock: new ManualClock(1_000_000),
      reopen: async () => lmdbStore({ path, durability: 'process' }),
      close: async () => rmSync(path, { recursive: true }),
    }
  }
  await testShardStore({ test, factory })
})
