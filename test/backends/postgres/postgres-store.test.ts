import type pg from 'pg'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { migrate } from '../../../src/backends/postgres/migrate'
import { postgresStore } from '../../../src/backends/postgres/postgres-store'
import { ManualClock } from '../../../src/clock'
import { testShardStore } from '../../../src/testing/shard-store-suite'
import { PostgresServer, postgresIsMissing } from '../../servers/postgres-server'
import { emptied, SMALL, supports } from './places'

describe.skipIf(postgresIsMissing)('postgresStore over a Pool keeps the contract', async () => {
  let server: PostgresServer
  let pool: pg.Pool
  beforeAll(async () => {
    server = await PostgresServer.start('fsync=on')
    pool = server.pool({ max: 4 })
    await migrate(pool)
  })
  afterAll(() => PostgresServer.stopAll())

  await testShardStore({
    test,
    supports: supports(),
    factory: async () => {
      await emptied((sql) => pool.query(sql))
      const clock = new ManualClock(1_000_000)
      const store = () => postgresStore(pool, { clock, ...SMALL })
      return { store: store(), clock, reopen: async () => store() }
    },
  })
})
