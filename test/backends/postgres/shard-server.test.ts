import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate, migrationSql } from '../../../src/backends/postgres/migrate'
import { type PostgresStoreOptions, postgresStore } from '../../../src/backends/postgres/postgres-store'
import { systemClock } from '../../../src/clock'
import type { SegmentId } from '../../../src/placement/segment'
import type { Answer, Call, Operation, ShardStore } from '../../../src/shard-store'
import { CuttingProxy } from '../../servers/cutting-proxy'
import { PostgresServer, postgresIsMissing } from '../../servers/postgres-server'

const BUCKETS = 16
const BINDING = { topologyId: 'test', shard: 'a', buckets: BUCKETS, clock: systemClock }
const bytes = (text: string) => Buffer.from(text)

function callOf(key: string, bucketId: number, operation: Operation, epoch = 1): Call {
  return { segment: `#${bucketId}`, bucketId, epoch, key, tag: key, operation }
}

const set = (value: string, ifVersion?: number): Operation => ({
  kind: 'set',
  value: bytes(value),
  expiresAt: 0,
  ifVersion,
})

async function one(store: ShardStore, key: string, bucketId: number, operation: Operation): Promise<Answer> {
  const [answer] = await store.execute([callOf(key, bucketId, operation)])
  return answer!
}

async function read(store: ShardStore, key: string, bucketId = 3): Promise<string | undefined> {
  const answer = await one(store, key, bucketId, { kind: 'get' })
  if (!answer.ok) throw new Error(`refused: ${answer.reason}`)
  return answer.value && String(Buffer.from(answer.value))
}

describe.skipIf(postgresIsMissing)('a shard in Postgres', () => {
  let server: PostgresServer
  let admin: pg.Pool
  let tables = 0
  beforeAll(async () => {
    server = await PostgresServer.start()
    admin = server.pool()
  })
  afterAll(() => PostgresServer.stopAll())

  /** A shard of its own, founded, and as many stores of it as there are pools. */
  async function shardOn(
    pools: readonly object[],
    options: PostgresStoreOptions = {},
  ): Promise<ShardStore[]> {
    const table = `shard_${++tables}`
    const stores = pools.map((pool) => postgresStore(pool, { table, durable: false, ...options }))
    for (const store of stores) await store.open(BINDING)
    await stores[0]!.found(Array.from({ length: BUCKETS }, (_, i) => i))
    return stores
  }

  /** Waits until a connection waits for a lock of another. */
  async function untilBlocked(): Promise<void> {
    const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
    while ((await admin.query(waiting)).rowCount === 0) await systemClock.sleep(2)
  }

  it('acknowledges no write behind a cutover that was committed while it waited', async () => {
    const [store] = await shardOn([server.pool()])
    const table = `public.shard_${tables}`
    await one(store!, 'k', 3, set('before'))
    await store!.step({ segment: '#3', bucketId: 3 }, { step: 'export', epoch: 1, ticket: 5, peer: 'b' })

    // The naive form, as it was first thought of: it acknowledges, and the write lies on a shard that has moved.
    const cutover = `update ${table}_fence set state = 'moved', epoch = 2 where bucket = 3 and tag = ''`
    const naive = `insert into ${table}_entry (bucket, tag, key, value, version, expires, born)
      select 3, 'k', 'k', 'lost', 2, 0, 2
      where exists (select from ${table}_fence where bucket = 3 and tag = '' and state = 'owned' and epoch = 1)
      on conflict (bucket, tag, key) do update set value = excluded.value, version = excluded.version`
    const mover = await admin.connect()
    const during = async (write: () => Promise<unknown>) => {
      await mover.query('begin')
      // What makes the naive form wait: somebody else's lock on the row, until after the cutover.
      await mover.query(`select from ${table}_entry where bucket = 3 and key = 'k' for update`)
      await mover.query(cutover)
      const writing = write()
      await untilBlocked()
      await mover.query('commit')
      return writing
    }
    const acknowledged = (await during(() => admin.query(naive))) as pg.QueryResult
    expect(acknowledged.rowCount).toBe(1)
    expect((await admin.query(`select value from ${table}_entry where key = 'k'`)).rows[0].value).toEqual(
      bytes('lost'),
    )

    await mover.query(`update ${table}_fence set state = 'owned', epoch = 1 where bucket = 3 and tag = ''`)
    const answer = (await during(() => one(store!, 'k', 3, set('after')))) as Answer
    expect(answer).toMatchObject({ ok: false, reason: 'elsewhere', record: { state: 'moved', epoch: 2 } })
    expect((await admin.query(`select value from ${table}_entry where key = 'k'`)).rows[0].value).toEqual(
      bytes('lost'),
    )
    mover.release()
  })

  it('decides a condition by what was written while it waited', async () => {
    const [here, there] = await shardOn([server.pool(), server.pool()])
    const table = `public.shard_${tables}`
    const first = await one(here!, 'k', 3, set('1'))
    const other = await admin.connect()
    await other.query('begin')
    await other.query(`select from ${table}_fence where bucket = 3 and tag = '' for update`)
    await other.query(`update ${table}_fence set seq = 2 where bucket = 3 and tag = ''`)
    await other.query(`update ${table}_entry set value = 'theirs', version = 2 where key = 'k'`)
    const late = one(there!, 'k', 3, set('2', first.ok ? first.version : 0))
    await untilBlocked()
    await other.query('commit')
    other.release()
    expect(await late).toMatchObject({ ok: true, applied: false, version: 2, seq: 2 })
    expect(await read(here!, 'k')).toBe('theirs')
  })

  it('counts every write once, and ends in no deadlock, whatever order batches name segments in', async () => {
    const stores = await shardOn([server.pool(), server.pool(), server.pool({ max: 2 })])
    const keys = Array.from({ length: BUCKETS }, (_, i) => i)
    const rounds = 30
    const answers = await Promise.all(
      stores.flatMap((store, i) =>
        Array.from({ length: rounds }, (_, round) => {
          const order = (i + round) % 2 ? keys : [...keys].reverse()
          return store.execute(
            order.map((bucketId) => callOf(`k${bucketId}`, bucketId, set(`${i}.${round}`))),
          )
        }),
      ),
    )
    for (const bucketId of keys) {
      const versions = answers.flat().flatMap((it) => (it.ok ? [it.version] : []))
      expect(versions.filter((it) => it === 1)).toHaveLength(BUCKETS)
      const [listing] = await stores[0]!.fences([{ segment: `#${bucketId}`, bucketId }])
      expect(listing!.record.seq).toBe(stores.length * rounds)
    }
    const { rows } = await admin.query('select sum(deadlocks)::int as n from pg_stat_database')
    expect(rows[0].n).toBe(0)
  })

  it('works with a pool of one, sixty-four operations and steps abreast', async () => {
    const [store] = await shardOn([server.pool({ max: 1 })])
    await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const bucketId = i % BUCKETS
        const at = { segment: `#${bucketId}` as SegmentId, bucketId }
        await one(store!, `k${i}`, bucketId, set(`${i}`))
        if (i < BUCKETS) await store!.step(at, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
        expect(await read(store!, `k${i}`, bucketId)).toBe(`${i}`)
        if (i >= BUCKETS) return
        const page = await store!.scan({ ...at, as: { role: 'source', ticket: 1 }, want: 'values', limit: 9 })
        expect(page.ok && page.entries.length).toBeGreaterThan(0)
      }),
    )
    expect(await store!.size()).toMatchObject({ keys: 64 })
  })

  it('sends what was asked for in the same tick as one statement', async () => {
    const pool = server.pool()
    const [store] = await shardOn([pool])
    let sent = 0
    pool.on('acquire', () => sent++)
    await Promise.all(Array.from({ length: 40 }, (_, i) => one(store!, `k${i}`, i % BUCKETS, set('v'))))
    expect(sent).toBe(1)
    await Promise.all(Array.from({ length: 40 }, (_, i) => read(store!, `k${i}`, i % BUCKETS)))
    expect(sent).toBe(2)
  })

  it('never repeats a write whose answer was lost, and says that it does not know', async () => {
    const proxy = await CuttingProxy.to(server.port)
    const pool = server.pool({ port: proxy.port, max: 1 })
    const [store] = await shardOn([pool])
    await one(store!, 'k', 3, set('1'))
    proxy.cutNextAnswer()
    const lost = await one(store!, 'k', 3, set('2')).catch((error) => error)
    expect(lost).toBeInstanceOf(Error)
    expect(lost.code).not.toBe('SHARD_UNAVAILABLE')
    expect(await read(store!, 'k')).toBe('2')
    const [listing] = await store!.fences([{ segment: '#3', bucketId: 3 }])
    expect(listing!.record.seq).toBe(2)
    proxy.cutNextAnswer()
    await expect(read(store!, 'k')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await pool.end()
    await proxy.close()
  })

  it('is unavailable at once when its server is down, and serves when it is back, without a listener of ours', async () => {
    const own = await PostgresServer.start()
    const pool = new pg.Pool(own.address)
    const store = postgresStore(pool, { durable: false })
    await store.open(BINDING)
    await store.found([3])
    await one(store, 'k', 3, set('v'))
    await own.kill()
    await expect(one(store, 'k', 3, set('w'))).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await expect(store.fences()).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await own.run()
    expect(await read(store, 'k')).toBe('v')
    await pool.end()
    await own.stop()
  })

  it('waits for an answer as long as it was told, and for a connection', async () => {
    const pool = server.pool({ max: 1 })
    const [store] = await shardOn([pool], { timeoutMs: 150 })
    const blocker = await admin.connect()
    await blocker.query('begin')
    await blocker.query(`select from public.shard_${tables}_fence where bucket = 3 for update`)
    const write = await one(store!, 'k', 3, set('v')).catch((error) => error)
    expect([write instanceof Error, write.code]).toEqual([true, undefined])
    await blocker.query('rollback')
    blocker.release()
    const taken = await pool.connect()
    await expect(one(store!, 'k', 3, set('w'))).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    taken.release()
    expect(await one(store!, 'k', 3, set('x'))).toMatchObject({ ok: true, applied: true })
  })

  it('says SHARD_UNAVAILABLE of a statement that the server cancelled: nothing has happened', async () => {
    const [, store] = await shardOn([admin, server.pool({ statement_timeout: 200 })])
    const blocker = await admin.connect()
    await blocker.query('begin')
    await blocker.query(`select from public.shard_${tables}_fence where bucket = 3 for update`)
    await expect(one(store!, 'k', 3, set('v'))).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await blocker.query('rollback')
    blocker.release()
    expect(await read(store!, 'k')).toBeUndefined()
  })

  it('says SHARD_UNAVAILABLE, with the reason, of a server that takes no writes', async () => {
    const pool = server.pool({ options: '-c default_transaction_read_only=on' })
    await shardOn([server.pool()])
    const store = postgresStore(pool, { table: `shard_${tables}`, durable: false })
    await store.open(BINDING)
    await expect(one(store, 'k', 3, set('v'))).rejects.toMatchObject({
      code: 'SHARD_UNAVAILABLE',
      message: expect.stringContaining('connect to the primary'),
    })
  })

  it('is right at every isolation level that the database may have been given, and tries again what lost a race', async () => {
    for (const level of ['repeatable read', 'serializable']) {
      const pools = [0, 1].map(() =>
        server.pool({ max: 3, options: `-c default_transaction_isolation=${level.replace(' ', '\\ ')}` }),
      )
      const stores = await shardOn(pools)
      const created = await Promise.all(
        stores.map(async (store, i) => {
          let applied = 0
          for (let n = 0; n < 25; n++) {
            const answer = await one(store, `k${n}`, 3, set(`${i}`, 0))
            if (answer.ok && answer.applied) applied++
          }
          return applied
        }),
      )
      expect(created[0]! + created[1]!).toBe(25)
      const [listing] = await stores[0]!.fences([{ segment: '#3', bucketId: 3 }])
      expect(listing!.record.seq).toBe(25)
    }
  })

  it('does not know what became of a write whose connection the server ended', async () => {
    const [store] = await shardOn([server.pool({ application_name: 'ended' })])
    const blocker = await admin.connect()
    await blocker.query('begin')
    await blocker.query(`select from public.shard_${tables}_fence where bucket = 3 for update`)
    const writing = one(store!, 'k', 3, set('v')).catch((error) => error)
    await untilBlocked()
    await admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ended' and state = 'active'",
    )
    const error = await writing
    expect([error instanceof Error, error.code]).toEqual([true, '57P01'])
    await blocker.query('rollback')
    blocker.release()
    expect(await one(store!, 'k', 3, set('w'))).toMatchObject({ ok: true, applied: true })
  })

  it('ends a scan, however fast keys are added behind its place', async () => {
    const [store] = await shardOn([server.pool()])
    let next = 0
    const add = (count: number) =>
      store!.execute(
        Array.from({ length: count }, () => callOf(`k${String(next++).padStart(6, '0')}`, 3, set('v'))),
      )
    await add(10)
    let cursor: string | undefined
    let shown = 0
    do {
      const as = { role: 'owner', epoch: 1 } as const
      const page = await store!.scan({ segment: '#3', bucketId: 3, as, want: 'digests', limit: 2, cursor })
      if (!page.ok) throw new Error('refused')
      shown += page.entries.length
      cursor = page.next
      await add(3)
    } while (cursor !== undefined && shown < 1000)
    expect(shown).toBe(10)
  })

  it('is refused as durable where the server says that it is not', async () => {
    const table = `shard_${++tables}`
    await expect(postgresStore(server.pool(), { table }).open(BINDING)).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringContaining('fsync is off'),
    })
  })

  it('has another incarnation after its tables were restored from a dump', async () => {
    const pool = server.pool()
    const [store] = await shardOn([pool])
    const table = `shard_${tables}`
    const before = await store!.open(BINDING)
    expect(await store!.open(BINDING)).toEqual(before)
    await admin.query(`alter table ${table}_shard rename to ${table}_old`)
    await admin.query(`create table ${table}_shard as select * from ${table}_old`)
    expect(await store!.open(BINDING)).not.toEqual(before)
  })

  it('serves nothing from a standby, nor after its promotion before it was opened again, as another incarnation', async () => {
    const own = await PostgresServer.start()
    const store = postgresStore(own.pool(), { durable: false })
    const { incarnation } = await store.open(BINDING)
    await store.found([3])
    await one(store, 'k', 3, set('v'))
    await own.kill()
    await own.run()
    // A crash loses nothing: it is the same one.
    expect(await read(store, 'k')).toBe('v')
    expect(await store.open(BINDING)).toEqual({ incarnation })
    await own.kill()
    await own.mark('standby.signal')
    await own.run()
    await expect(read(store, 'k')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await own.pool().query('select pg_promote()')
    for (let i = 0; i < 3; i++) {
      await expect(read(store, 'k')).rejects.toMatchObject({ code: 'SHARD_MISMATCH' })
      await expect(one(store, 'k', 3, set('w'))).rejects.toMatchObject({ code: 'SHARD_MISMATCH' })
      await expect(store.fences()).rejects.toMatchObject({ code: 'SHARD_MISMATCH' })
    }
    const promoted = await store.open(BINDING)
    expect(promoted.incarnation).not.toBe(incarnation)
    expect(await read(store, 'k')).toBe('v')
    await own.stop()
  })

  it('takes away what has expired, while it writes', async () => {
    const [store] = await shardOn([server.pool()])
    const now = systemClock.now()
    const dying = { kind: 'set', value: bytes('v'), expiresAt: now + 30 } as const
    await store!.execute(Array.from({ length: 100 }, (_, i) => callOf(`dies ${i}`, i % BUCKETS, dying)))
    await systemClock.sleep(40)
    for (let i = 0; i < 4; i++)
      await store!.execute(Array.from({ length: 100 }, (_, j) => callOf(`k${j}`, j % BUCKETS, set('v'))))
    const count = `select count(*)::int as n from shard_${tables}_entry`
    while ((await admin.query(count)).rows[0].n !== 100) await systemClock.sleep(5)
    expect(await store!.size()).toMatchObject({ keys: 100 })
  })

  it('empties a change log at once, and deletes its rows bit by bit', async () => {
    const [store] = await shardOn([server.pool()])
    const at = { segment: '#3', bucketId: 3 } as const
    await store!.step(at, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    await store!.execute(Array.from({ length: 300 }, (_, i) => callOf(`k${i}`, 3, set('v'))))
    await store!.step(at, { step: 'abort', epoch: 1, ticket: 1 })
    const counts = `select (select count(*)::int from shard_${tables}_change) as rows,
      (select count(*)::int from shard_${tables}_litter) as logs`
    expect((await admin.query(counts)).rows[0].logs).toBe(1)
    for (let i = 0; i < 3; i++)
      await store!.execute(Array.from({ length: 300 }, (_, j) => callOf(`k${j}`, 3, set('w'))))
    for (;;) {
      const { rows } = await admin.query(counts)
      if (rows[0].rows === 0 && rows[0].logs === 0) break
      await one(store!, 'k', 3, set('x'))
      await store!.execute(Array.from({ length: 128 }, (_, j) => callOf(`k${j}`, 3, set('w'))))
    }
  })

  it('reads a segment by its index, also where statistics are of an empty table', async () => {
    await shardOn([server.pool()])
    const table = `shard_${tables}`
    await admin.query(`vacuum analyze ${table}_entry`)
    await admin.query(`insert into ${table}_entry select i % 100, int4send(i), int4send(i), 'v', 1, 0, 0
      from generate_series(1, 20000) i`)
    const client = await admin.connect()
    await client.query('begin')
    const page = `select * from ${table}_scan_1(3, '', 'owner', 1, 100, 1e9, null, null, null, null)`
    expect((await client.query(page)).rowCount).toBe(100)
    const counts = `select seq_scan::int, idx_tup_fetch::int from pg_stat_xact_user_tables where relname = '${table}_entry'`
    const { seq_scan, idx_tup_fetch } = (await client.query(counts)).rows[0]
    await client.query('commit')
    client.release()
    expect(seq_scan).toBe(0)
    expect(idx_tup_fetch).toBeLessThan(110)
  })
})

describe.skipIf(postgresIsMissing)('migrate', () => {
  let server: PostgresServer
  let pool: pg.Pool
  beforeAll(async () => {
    server = await PostgresServer.start()
    pool = server.pool()
  })
  afterAll(() => PostgresServer.stopAll())

  it('may be run by many at once, and again, and loses nothing', async () => {
    const options = { schema: 'Own', table: 'Cities' }
    await Promise.all(Array.from({ length: 6 }, () => migrate(server.pool({ max: 1 }), options)))
    const store = postgresStore(pool, { ...options, durable: false })
    await store.open(BINDING)
    await store.found([3])
    await one(store, 'k', 3, set('v'))
    await migrate(pool, options)
    expect(await read(store, 'k')).toBe('v')
    const { rows } = await pool.query('select key, value from "Own"."Cities_readable"')
    expect(rows).toEqual([{ key: 'k', value: 'v' }])
  })

  it('refuses names that are none, and tables of a newer release', async () => {
    for (const bad of ['', '1a', 'a-b', 'a"b', 'a b', 'a;', 'x'.repeat(41)])
      await expect(migrate(pool, { table: bad })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'options.table',
      })
    await migrate(pool, { table: 'newer' })
    await pool.query('update newer_layout set version = 99')
    await expect(migrate(pool, { table: 'newer' })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    await expect(postgresStore(pool, { table: 'newer', durable: false }).open(BINDING)).rejects.toMatchObject(
      {
        code: 'NOT_SUPPORTED',
        message: expect.stringContaining('version 99'),
      },
    )
  })

  it('is not needed by a role that may not create tables: the error says what to run', async () => {
    await pool.query('create role guest login; revoke create on schema public from public')
    const guest = server.pool({ user: 'guest' })
    const opening = postgresStore(guest, { table: 'theirs', durable: false }).open(BINDING)
    await expect(opening).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringContaining("migrationSql({ schema: 'public', table: 'theirs' })"),
    })
    const without = postgresStore(guest, { table: 'theirs', durable: false, migrate: false }).open(BINDING)
    await expect(without).rejects.toMatchObject({ code: 'NOT_SUPPORTED', field: 'options.migrate' })
    await pool.query(migrationSql({ table: 'theirs' }))
    await pool.query(
      'grant all on all tables in schema public to guest; grant all on all sequences in schema public to guest',
    )
    const store = postgresStore(guest, { table: 'theirs', durable: false })
    await store.open(BINDING)
    await store.found([3])
    expect(await one(store, 'k', 3, set('v'))).toMatchObject({ ok: true, applied: true })
  })
})
