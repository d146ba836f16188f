import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { migrate } from '../../../src/backends/postgres/migrate'
import { postgresStore } from '../../../src/backends/postgres/postgres-store'
import { ManualClock } from '../../../src/clock'
import { testShardStore } from '../../../src/testing/shard-store-suite'
import { postgresIsMissing } from '../../servers/postgres-server'
import { emptied, SMALL } from './places'

const isWalk = (name: string) => name.startsWith('a long random walk')

describe('postgresStore over PGlite keeps the contract', async () => {
  // It takes seconds to start: one for all tests.
  const pglite = new PGlite()
  beforeAll(async () => {
    await pglite.waitReady
    await migrate(pglite)
  })
  afterAll(() => pglite.close())

  await testShardStore({
    // The longest promise is about SQL that is the same for both: once is enough where there is a server.
    test: (name, run) => (isWalk(name) && !postgresIsMissing ? undefined : test(name, run)),
    supports: postgresStore(pglite, SMALL).supports,
    factory: async () => {
      await emptied((sql) => pglite.exec(sql))
      const clock = new ManualClock(1_000_000)
      return { store: postgresStore(pglite, { clock, ...SMALL }), clock }
    },
  })
})
