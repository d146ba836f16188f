import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { postgresStore } from '../../../src/backends/postgres/postgres-store'
import { systemClock } from '../../../src/clock'
import type { Answer, Call, ShardStore } from '../../../src/shard-store'
import { PostgresServer, postgresIsMissing } from '../../servers/postgres-server'

const AT = { segment: '#3', bucketId: 3 } as const
const BINDING = { topologyId: 'test', shard: 'a', buckets: 8, clock: systemClock }

/** Steps are decided in Node and taken in the database: what happens between the two. */
describe.skipIf(postgresIsMissing)('a step on a bucket that changes while it is decided', () => {
  let server: PostgresServer
  let admin: pg.Pool
  let tables = 0
  beforeAll(async () => {
    server = await PostgresServer.start()
    admin = server.pool()
  })
  afterAll(() => PostgresServer.stopAll())

  async function shard(stores: number): Promise<ShardStore[]> {
    const table = `shard_${++tables}`
    const made = Array.from({ length: stores }, () =>
      postgresStore(server.pool({ max: 6 }), { table, durable: false }),
    )
    for (const store of made) await store.open(BINDING)
    await made[0]!.found([3])
    return made
  }

  const recordOf = async (store: ShardStore, at: Parameters<ShardStore['step']>[0] = AT) =>
    (await store.fences([at]))[0]!

  function write(store: ShardStore, key: string, tag = key): Promise<Answer[]> {
    const operation = { kind: 'set', value: Buffer.from('v'), expiresAt: 0 } as const
    const call: Call = { ...AT, epoch: 1, key, tag, operation }
    return store.execute([call])
  }

  it('is decided anew: of many attempts at once the highest ticket stands at the end', async () => {
    const stores = await shard(3)
    for (let round = 0; round < 10; round++) {
      const tickets = Array.from({ length: 12 }, (_, i) => 1 + round * 12 + ((i * 7) % 12))
      const answers = await Promise.all(
        tickets.map((ticket, i) =>
          stores[i % 3]!.step(AT, { step: 'export', epoch: 1, ticket, peer: `p${ticket}` }),
        ),
      )
      const highest = (round + 1) * 12
      const { record, bucketTicket } = await recordOf(stores[0]!)
      expect([record.ticket, record.export, record.peer, bucketTicket]).toEqual([
        highest,
        highest,
        `p${highest}`,
        highest,
      ])
      for (const [i, answer] of answers.entries())
        if (answer.ok) expect(answer.record.ticket).toBe(tickets[i])
    }
  })

  it('cuts over at the seq that was named, with all that was acknowledged and nothing after it', async () => {
    const [mover, writer] = await shard(2)
    await mover!.step(AT, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    let highest = 0
    let over = false
    const writers = Array.from({ length: 6 }, async (_, i) => {
      while (!over) {
        const [answer] = await write(writer!, `k${i}`)
        if (!answer!.ok) return
        highest = Math.max(highest, answer!.version)
        await systemClock.sleep(1)
      }
    })
    let seq = 0
    for (let tries = 0; ; tries++) {
      seq = (await recordOf(mover!)).record.seq
      if ((await mover!.step(AT, { step: 'cutover', epoch: 1, ticket: 1, seq })).ok) break
      // As the migrator does when writes do not pause by themselves.
      if (tries === 20) await mover!.step(AT, { step: 'hold', epoch: 1, ticket: 1, durationMs: 2000 })
    }
    over = true
    await Promise.all(writers)
    const { record } = await recordOf(mover!)
    expect(record).toMatchObject({ state: 'moved', epoch: 2, seq })
    expect(highest).toBe(seq)
  })

  it('gives a tag that is carved out under writes the seq of its bucket, not one that was read before them', async () => {
    const [mover, writer] = await shard(2)
    for (let ticket = 1; ticket <= 12; ticket++) {
      const tag = `t${ticket}`
      const home = (await recordOf(mover!)).record
      let highest = 0
      const writes = Array.from({ length: 8 }, async () => {
        const operation = { kind: 'set', value: Buffer.from('v'), expiresAt: 0 } as const
        const [answer] = await writer!.execute([{ ...AT, epoch: home.epoch, key: tag, tag, operation }])
        if (answer!.ok) highest = Math.max(highest, answer!.version)
      })
      const split = { step: 'split', epoch: home.epoch, ticket } as const
      expect((await mover!.step({ segment: `{${tag}}`, bucketId: 3 }, split)).ok).toBe(true)
      await Promise.all(writes)
      const { record } = await recordOf(mover!, { segment: `{${tag}}`, bucketId: 3 })
      expect(record.seq).toBeGreaterThanOrEqual(highest)
    }
  })

  it('leaves nothing locked behind it: a migrator that sleeps between two steps holds up no client', async () => {
    const [store] = await shard(1)
    await store!.step(AT, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    const open = "select 1 from pg_stat_activity where state like 'idle in transaction%'"
    expect((await admin.query(open)).rowCount).toBe(0)
    expect((await write(store!, 'k'))[0]).toMatchObject({ ok: true, applied: true })
  })
})
