import { PGlite } from '@electric-sql/pglite'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { migrate } from '../../../src/backends/postgres/migrate'
import { postgresTopology } from '../../../src/backends/postgres/postgres-topology'
import { ManualClock, systemClock } from '../../../src/clock'
import type { SegmentId } from '../../../src/placement/segment'
import { testTopologyStore } from '../../../src/testing/topology-store-suite'
import { FOUNDING } from '../../../src/testing/topology-store-suite/founding'
import type { TopologyDelta } from '../../../src/topology-store'
import { PostgresServer, postgresIsMissing } from '../../servers/postgres-server'
import { emptied } from './places'

const until = async (so: () => boolean) => {
  while (!so()) await systemClock.sleep(2)
}

describe.skipIf(postgresIsMissing)('postgresTopology over a Pool keeps the contract', async () => {
  let server: PostgresServer
  let pool: pg.Pool
  beforeAll(async () => {
    server = await PostgresServer.start('fsync=on')
    pool = server.pool({ max: 4 })
    await migrate(pool)
  })
  afterAll(() => PostgresServer.stopAll())

  await testTopologyStore({
    test,
    supports: { durable: true, multiProcess: true },
    factory: async () => {
      await emptied((sql) => pool.query(sql))
      const clock = new ManualClock(1_000_000)
      const topology = () => postgresTopology(pool, { clock })
      return { topology: topology(), clock, reopen: async () => topology(), beside: async () => topology() }
    },
  })
})

describe('postgresTopology over PGlite keeps the contract', async () => {
  const pglite = new PGlite()
  beforeAll(async () => {
    await pglite.waitReady
    await migrate(pglite)
  })
  afterAll(() => pglite.close())

  await testTopologyStore({
    test,
    supports: { durable: false, multiProcess: false },
    factory: async () => {
      await emptied((sql) => pglite.exec(sql))
      const clock = new ManualClock(1_000_000)
      return { topology: postgresTopology(pglite, { clock }), clock }
    },
  })
})

describe.skipIf(postgresIsMissing)('a topology in Postgres', () => {
  let server: PostgresServer
  let admin: pg.Pool
  let tables = 0
  beforeAll(async () => {
    server = await PostgresServer.start()
    admin = server.pool()
  })
  afterAll(() => PostgresServer.stopAll())
  const place = () => ({ table: `topology_${++tables}`, durable: false })

  it('tells other processes of a change with one message, which they read as one delta', async () => {
    const options = place()
    const [here, there] = [postgresTopology(server.pool(), options), postgresTopology(server.pool(), options)]
    const { revision } = await here.open(FOUNDING)
    await there.open(FOUNDING)
    const told: (TopologyDelta | undefined)[] = []
    const stop = there.watch((delta) => told.push(delta))
    const listening = "select 1 from pg_stat_activity where query like 'listen%'"
    while ((await admin.query(listening)).rowCount === 0) await systemClock.sleep(2)
    const assignments = [{ segment: '#0', shard: 'b', epoch: 2 }] as const
    await here.commit({ assignments })
    await until(() => told.length > 0)
    expect(told).toEqual([{ revision: revision + 1, assignments }])
    // What is too long for a message is told by its number.
    const tags = Array.from({ length: 2000 }, (_, i) => ({
      segment: `{${i}}` as SegmentId,
      shard: 'a',
      epoch: 2,
    }))
    await here.commit({ assignments: tags })
    await until(() => told.length > 1)
    expect(told[1]).toBeUndefined()
    expect((await there.changesSince(revision + 1))![0]!.assignments).toEqual(tags)
    stop()
    while ((await admin.query(listening)).rowCount !== 0) await systemClock.sleep(2)
  })

  it('listens again after the server was restarted, and tells that something may have been missed', async () => {
    const own = await PostgresServer.start()
    const topology = postgresTopology(own.pool(), { durable: false })
    await topology.open(FOUNDING)
    let told = 0
    topology.watch(() => told++)
    const beside = own.pool()
    const listening = "select 1 from pg_stat_activity where query like 'listen%'"
    while ((await beside.query(listening)).rowCount === 0) await systemClock.sleep(2)
    await own.kill()
    await own.run()
    await until(() => told > 0)
    expect((await beside.query(listening)).rowCount).toBe(1)
    await topology.close()
    await own.stop()
  })

  it('works with a pool of one, and hears of its own changes', async () => {
    const topology = postgresTopology(server.pool({ max: 1 }), place())
    await topology.open(FOUNDING)
    let told = 0
    topology.watch(() => told++)
    const work = Array.from({ length: 16 }, async (_, i) => {
      await topology.drawTicket()
      return topology.commit({ assignments: [{ segment: '#1', shard: 'b', epoch: i + 2 }] })
    })
    await Promise.all(work)
    expect(told).toBeGreaterThan(0)
    await topology.close()
  })

  it('draws no ticket and no term twice, even if a backup was restored', async () => {
    const options = place()
    const topology = postgresTopology(server.pool(), options)
    await topology.open(FOUNDING)
    const before = await topology.drawTicket()
    const lease = await topology.acquireLease('m', 60_000)
    await systemClock.sleep(2)
    await admin.query(`update ${options.table}_ticket set ticket = 0`)
    await admin.query(`update ${options.table}_lease set term = 0, holder = '', expires = 0`)
    expect(await topology.drawTicket()).toBeGreaterThan(before)
    expect((await topology.acquireLease('m2', 1000))!.term).toBeGreaterThan(lease!.term)
  })

  it("lets a lease run out by the server's clock", async () => {
    const topology = postgresTopology(server.pool(), place())
    await topology.open(FOUNDING)
    const lease = (await topology.acquireLease('m1', 200))!
    expect(await topology.acquireLease('m2', 200)).toBeUndefined()
    await systemClock.sleep(210)
    expect(await topology.renewLease('m1', lease.term, 200)).toBe(false)
    expect((await topology.acquireLease('m2', 200))!.term).toBeGreaterThan(lease.term)
  })

  it('commits one change and no other where many would each be the next, over many connections', async () => {
    const options = place()
    const stores = [0, 1, 2].map(() => postgresTopology(server.pool({ max: 3 }), options))
    const opened = await Promise.all(stores.map((it) => it.open(FOUNDING)))
    const { revision } = opened[0]!
    const commits = Array.from({ length: 30 }, (_, i) =>
      stores[i % 3]!.commit({
        expect: { revision },
        assignments: [{ segment: '#1', shard: 'a', epoch: i + 2 }],
      }),
    )
    const made = (await Promise.all(commits)).filter((it) => it !== undefined)
    expect(made).toEqual([revision + 1])
    const tickets = await Promise.all(Array.from({ length: 60 }, (_, i) => stores[i % 3]!.drawTicket()))
    expect(new Set(tickets).size).toBe(60)
  })

  it('says that it cannot be read when its tables were tampered with', async () => {
    const options = place()
    const topology = postgresTopology(server.pool(), options)
    await topology.open(FOUNDING)
    const corrupt = { code: 'TOPOLOGY_CORRUPT' }
    await admin.query(`update ${options.table}_topology set shards = '{'`)
    await expect(topology.read()).rejects.toMatchObject(corrupt)
    await admin.query(`update ${options.table}_topology set shards = '[]'`)
    await admin.query(`delete from ${options.table}_assignment where segment = '#3'`)
    await expect(topology.read()).rejects.toMatchObject(corrupt)
    await admin.query(`update ${options.table}_assignment set segment = '#99' where segment = '#2'`)
    await expect(topology.read()).rejects.toMatchObject(corrupt)
    await admin.query(`delete from ${options.table}_topology`)
    await expect(topology.read()).rejects.toMatchObject(corrupt)
    await expect(topology.changesSince(1)).rejects.toMatchObject(corrupt)
  })

  it('is unavailable at once when there is no server', async () => {
    const own = await PostgresServer.start()
    const topology = postgresTopology(own.pool(), { durable: false })
    await topology.open(FOUNDING)
    await own.kill()
    for (const attempt of [
      () => topology.drawTicket(),
      () => topology.read(),
      () => topology.commit({ founded: true }),
      () => topology.acquireLease('m', 1000),
    ])
      await expect(attempt()).rejects.toMatchObject({ code: 'TOPOLOGY_UNAVAILABLE' })
    await own.stop()
  })
})
