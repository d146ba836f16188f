import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { postgresStore } from '../../../src/backends/postgres/postgres-store'
import { postgresTopology } from '../../../src/backends/postgres/postgres-topology'
import { type Random, seededRandom, systemClock } from '../../../src/clock'
import { isForeshardError } from '../../../src/errors'
import type { SegmentId } from '../../../src/placement/segment'
import { ShardRouter } from '../../../src/router/router'
import { externalStore } from '../../../src/testing/external-store'
import { History } from '../../../src/testing/history'
import { checkLinearizable } from '../../../src/testing/linearizability'
import { SimulatedProcess } from '../../../src/testing/simulated-process'
import { simulation } from '../../../src/testing/simulation'
import { PostgresServer, postgresIsMissing } from '../../servers/postgres-server'

const SHARDS = ['a', 'b', 'c']
const BUCKETS = 8
const KEYS = Array.from({ length: 24 }, (_, i) => `{user:${i % 6}}:${i}`)
const ROUNDS = 8

/** Routers over a real server, over time that really passes. */
describe.skipIf(postgresIsMissing)('routers over shards and a topology in Postgres', () => {
  let server: PostgresServer
  const routers: ShardRouter[] = []
  beforeAll(async () => {
    server = await PostgresServer.start()
  })
  afterAll(async () => {
    for (const router of routers) await router.close()
    await PostgresServer.stopAll()
  })

  /** Pools of its own, as another process would have. */
  async function router(max: number, buckets = BUCKETS): Promise<ShardRouter> {
    const options = { durable: false }
    const opened = await ShardRouter.open({
      shards: Object.fromEntries(
        SHARDS.map((id) => [id, postgresStore(server.pool({ max }), { ...options, table: `shard_${id}` })]),
      ),
      topology: postgresTopology(server.pool({ max }), options),
      buckets,
    })
    routers.push(opened)
    return opened
  }

  it('keep every key linearizable while segments move, split, are cancelled and rolled back', async () => {
    // The second has pools of one.
    const both = [await router(4), await router(1)]
    const history = new History(systemClock)
    const random = seededRandom(11)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
    let over = false
    const writers = both.flatMap((it, i) =>
      [0, 1, 2].map(async (strand) => {
        const process = new SimulatedProcess(`p${i}`, systemClock)
        const client = history.client(`p${i}.${strand}`, it, process)
        const own = seededRandom(100 + 10 * i + strand)
        for (let n = 0; !over; n++) await operate(client, own, `${i}.${strand}.${n}`)
      }),
    )
    const outcomes: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const map = new Map<SegmentId, string>()
      for (let i = 0; i < 3; i++) map.set(`#${Math.floor(random() * BUCKETS)}`, pick(SHARDS))
      map.set(`{user:${round % 6}}`, pick(SHARDS))
      const resharding = await pick(both).requestResharding(1, map)
      if (!resharding.accepted) continue
      if (round % 4 === 3) await resharding.cancel()
      const report = await resharding.done.catch((error) => error)
      outcomes.push(report instanceof Error ? report.message : 'done')
      if (round % 4 === 2) await pick(both).rollback()
    }
    over = true
    await Promise.all(writers)
    expect(history.unexpected).toEqual([])
    expect(outcomes.filter((it) => it === 'done').length).toBeGreaterThan(2)
    expect(history.operations.length).toBeGreaterThan(500)
    expect(checkLinearizable(history.operations)).toMatchObject({ ok: true })

    // What is read at the end, through either router, is what the tables hold, on the shard that is said to have it.
    const contents = await Promise.all(both.map(contentsOf))
    expect(contents[0]).toEqual(contents[1])
    const admin = server.pool()
    for (const [key, value] of contents[0]!) {
      const table = `shard_${both[0]!.getShardLocation(key)}_entry`
      const { rows } = await admin.query(`select value from ${table} where key = convert_to($1, 'UTF8')`, [
        key,
      ])
      expect(JSON.parse(String(rows[0].value))).toEqual(value)
    }
  })

  async function contentsOf(it: ShardRouter): Promise<Map<string, unknown>> {
    const contents = new Map<string, unknown>()
    for await (const [key, value] of it.entries()) contents.set(key, value)
    return contents
  }

  function operate(client: ReturnType<History['client']>, own: Random, value: string): Promise<void> {
    const key = KEYS[Math.floor(own() * KEYS.length)]!
    const at = own()
    if (at < 0.4) return client.get(key)
    if (at < 0.75) return client.set(key, value)
    if (at < 0.85) return client.delete(key)
    return client.replace(key, value)
  }

  it('keep over a crash of the server every write that was acknowledged, and say of which they do not know', async () => {
    const own = await PostgresServer.start()
    const one = await ShardRouter.open({
      shards: {
        a: postgresStore(own.pool(), { durable: false }),
        b: postgresStore(own.pool(), { durable: false, table: 'b' }),
      },
      topology: postgresTopology(own.pool(), { durable: false }),
      buckets: BUCKETS,
    })
    /** key -> the last acknowledged number, and the one after it whose outcome is not known. */
    const known = new Map<string, { acknowledged: number; unknown: number | undefined }>()
    const errors = new Set<string>()
    let over = false
    const writing = Array.from({ length: 16 }, async (_, i) => {
      const key = `counter:${i}`
      const state = { acknowledged: 0, unknown: undefined as number | undefined }
      known.set(key, state)
      for (let n = 1; !over; n++)
        try {
          await one.set(key, n)
          state.acknowledged = n
          state.unknown = undefined
        } catch (error) {
          errors.add(isForeshardError(error) ? error.code : String(error))
          if (isForeshardError(error, 'OUTCOME_UNKNOWN')) state.unknown = n
          else n--
          await systemClock.sleep(10)
        }
    })
    for (let round = 0; round < 2; round++) {
      await systemClock.sleep(200)
      await own.crash()
      await own.run()
    }
    await systemClock.sleep(200)
    over = true
    await Promise.all(writing)
    for (const [key, { acknowledged, unknown }] of known) {
      expect(acknowledged).toBeGreaterThan(10)
      expect([acknowledged, unknown]).toContain(await one.get(key))
    }
    for (const code of errors) expect(['OUTCOME_UNKNOWN', 'SHARD_UNAVAILABLE']).toContain(code)
    expect(errors.size).toBeGreaterThan(0)
    await one.close()
    await own.stop()
  })

  it('keep the promise in simulations over real tables', async () => {
    const pool = server.pool({ max: 1 })
    for (const seed of [3, 4]) {
      const { problems, history } = await simulation({
        seed,
        operations: 150,
        store: (shard, time) => {
          const options = { table: `s${seed}_${shard}`, durable: false, clock: time.clock }
          return externalStore(postgresStore(pool, options), time)
        },
        topology: (time) =>
          externalStore(
            postgresTopology(pool, { table: `s${seed}`, durable: false, clock: time.clock }),
            time,
          ),
      })
      expect(problems, `seed ${seed}`).toEqual([])
      expect(history.length).toBeGreaterThan(100)
    }
  })
})
