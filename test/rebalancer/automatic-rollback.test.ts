import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ManualClock, seededRandom } from '../../src/clock'
import { Predictor } from '../../src/predictor/predictor'
import type { RebalancerOptions } from '../../src/rebalancer/options'
import { Rebalancer, type RollbackEvent } from '../../src/rebalancer/rebalancer'
import { ShardRouter } from '../../src/router/router'

const HOUR = 3_600_000
const START = 1_600_000_000_000 - (1_600_000_000_000 % HOUR)
const SHARDS = ['a', 'b']

/** Loads by the hour: key -> accesses. */
type Traffic = (key: string) => number

/**
 * A deployment in virtual time: sixteen keys in buckets of their own, the first eight on a, the rest on b. Traffic goes past the
 * router straight to the predictor, as counts that vary by chance.
 */
async function deploy(options: Partial<RebalancerOptions> = {}, seed = 7) {
  const clock = new ManualClock(START)
  const random = seededRandom(seed)
  const stores = { a: memoryStore({ clock }), b: memoryStore({ clock }) }
  const router = await ShardRouter.open({
    shards: stores,
    buckets: 64,
    // Hours of virtual time, in which nobody else does anything.
    pollMs: 24 * HOUR,
    migrator: { pollMs: 24 * HOUR, leaseMs: 24 * HOUR },
    clock,
    random,
  })
  const keys: Record<string, string[]> = { a: [], b: [] }
  const taken = new Set<string>()
  for (let i = 0; keys.a!.length < 8 || keys.b!.length < 8; i++) {
    const { shard, segment } = router.locate(`k${i}`)
    if (taken.has(segment) || keys[shard]!.length === 8) continue
    taken.add(segment)
    keys[shard]!.push(`k${i}`)
  }
  const all = [...keys.a!, ...keys.b!]
  for (const key of all) await router.set(key, key)
  let predictor = new Predictor({
    shards: SHARDS,
    buckets: 64,
    intervalMs: HOUR,
    clock,
    random: seededRandom(1),
  })
  const rollbacks: RollbackEvent[] = []
  const handed: string[] = []
  const errors: unknown[] = []
  const make = () => {
    const rebalancer = new Rebalancer({
      router,
      predictor,
      mode: 'auto',
      intervalMs: HOUR,
      horizonMs: 24 * HOUR,
      cooldownMs: 72 * HOUR,
      clock,
      ...options,
    })
    rebalancer.on('rollback', (event) => rollbacks.push(event))
    rebalancer.on('resharding', ({ id }) => handed.push(id))
    rebalancer.on('error', (error) => errors.push(error))
    return rebalancer
  }
  let rebalancer = make()
  return {
    router,
    clock,
    keys,
    rollbacks,
    handed,
    errors,
    get rebalancer() {
      return rebalancer
    },
    get predictor() {
      return predictor
    },
    /** The process ends, and another one takes up what it had saved. */
    restart() {
      predictor = Predictor.restore(JSON.parse(JSON.stringify(predictor.snapshot())), { clock })
      rebalancer = make()
    },
    async hours(count: number, traffic: Traffic, rounds = true) {
      for (let hour = 0; hour < count; hour++) {
        for (const key of all) {
          const mean = traffic(key)
          const accesses = Math.max(0, Math.round(mean + Math.sqrt(mean) * 3 * (random() - 0.5)))
          if (accesses > 0)
            predictor.record({ timestamp: clock.now(), key, operation: 'read', count: accesses })
        }
        await clock.advance(HOUR)
        if (!rounds) continue
        await rebalancer.tick()
        // A resharding takes its time on the same clock.
        await clock.advance(0)
        for (let k = 0; k < 50 && router.monitorReshardingProgress().phase !== 'done'; k++)
          await clock.advance(1_000)
      }
    },
    async close() {
      await rebalancer.stop()
      const closed = router.close()
      await clock.advance(10_000)
      await closed
    },
  }
}

type Deployment = Awaited<ReturnType<typeof deploy>>

/** Everything on a; half of it is moved to b. Then those that were moved get hot together with what had always been on b. */
function traffics({ keys, router }: Deployment) {
  const before: Traffic = (key) => (keys.a!.includes(key) ? 400 : 4)
  const adversarial = (): Traffic => {
    const moved = new Set(keys.a!.filter((key) => router.getShardLocation(key) === 'b'))
    return (key) => (moved.has(key) ? 400 : keys.b!.includes(key) ? (400 * moved.size) / keys.b!.length : 4)
  }
  return { before, adversarial }
}

async function misled(options?: Partial<RebalancerOptions>) {
  const it = await deploy(options)
  const { before, adversarial } = traffics(it)
  await it.hours(48, before, false)
  await it.hours(1, before)
  expect(it.errors).toEqual([])
  expect(it.handed).toHaveLength(1)
  return { it, before, adversarial: adversarial() }
}

describe('a rebalancer in mode auto whose forecast was wrong', () => {
  it('goes back once, says why, and stays there', async () => {
    const { it, adversarial } = await misled()
    const home = it.keys.a!.filter((key) => it.router.getShardLocation(key) === 'a').length
    expect(home).toBeLessThan(8)
    await it.hours(24 * 6, adversarial)
    expect(it.errors).toEqual([])
    expect(it.rollbacks).toHaveLength(1)
    const [rollback] = it.rollbacks
    expect(rollback).toMatchObject({ to: it.handed[0] })
    expect(rollback!.loss).toBeGreaterThan(0.5)
    expect(rollback!.loss).toBeGreaterThan(rollback!.interval)
    expect(rollback!.reason).toMatch(/rolled back to before .*: J is higher by \d/)
    expect(it.handed).toHaveLength(1)
    for (const key of it.keys.a!) expect(it.router.getShardLocation(key)).toBe('a')
    expect(it.rebalancer.metrics).toMatchObject({ rollbacks: 1, reshardings: 1 })
    await it.close()
  })

  it('does so with values in place, and not before its patience is over', async () => {
    const { it, adversarial } = await misled()
    await it.hours(5, adversarial)
    expect(it.rollbacks).toEqual([])
    await it.hours(19, adversarial)
    expect(it.rollbacks).toHaveLength(1)
    for (const key of [...it.keys.a!, ...it.keys.b!]) expect(await it.router.get(key)).toBe(key)
    await it.close()
  })

  it('learns from it: what is calibrated has seen that plan fail before its horizon was over', async () => {
    const { it, adversarial } = await misled()
    const { score } = it.predictor.metrics
    await it.hours(20, adversarial)
    expect(it.rollbacks).toHaveLength(1)
    const after = it.predictor.metrics.score
    expect(after.recommendations).toBe(score.recommendations + 1)
    expect(after.hits).toBe(score.hits)
    expect(after.realisedLoss).toBeGreaterThan(score.realisedLoss)
    await it.close()
  })

  it('also goes back where the process was restarted in between', async () => {
    const { it, adversarial } = await misled()
    await it.hours(4, adversarial)
    expect(it.rollbacks).toEqual([])
    it.restart()
    await it.hours(20, adversarial)
    expect(it.errors).toEqual([])
    expect(it.rollbacks).toMatchObject([{ to: it.handed[0] }])
    it.restart()
    await it.hours(48, adversarial)
    expect(it.rollbacks).toHaveLength(1)
    await it.close()
  })

  it('does not swing to and fro where the traffic turns every day', async () => {
    const it = await deploy({ cooldownMs: HOUR })
    const { before, adversarial } = traffics(it)
    await it.hours(48, before, false)
    for (let day = 0; day < 12; day++) await it.hours(24, day % 2 === 0 ? before : adversarial())
    expect(it.errors).toEqual([])
    expect(it.rollbacks.length).toBeLessThanOrEqual(3)
    expect(it.rebalancer.metrics.reshardings).toBeLessThanOrEqual(12)
    await it.close()
  })
})

describe('a rebalancer in mode auto lets a resharding stand', () => {
  it('where J rises for a reason that it did not cause', async () => {
    const { it, before } = await misled()
    const hot = it.keys.a!.find((key) => it.router.getShardLocation(key) === 'a')!
    await it.hours(48, (key) => (key === hot ? 20_000 : before(key)))
    expect(it.rollbacks).toEqual([])
    expect(it.rebalancer.metrics.rollbacks).toBe(0)
    await it.close()
  })

  it('where what was expected comes', async () => {
    const { it, before } = await misled()
    await it.hours(60, before)
    expect(it.rollbacks).toEqual([])
    expect(it.handed).toHaveLength(1)
    await it.close()
  })

  it('where it is told to', async () => {
    const { it, adversarial } = await misled({ rollback: false })
    expect(it.rebalancer.rollsBack).toBe(false)
    await it.hours(30, adversarial)
    expect(it.rollbacks).toEqual([])
    await it.close()
  })

  it("where somebody's own resharding builds on it, until that is undone", async () => {
    const { it, adversarial } = await misled()
    const settle = async (resharding: Promise<unknown>) => {
      await it.clock.advance(0)
      for (let k = 0; k < 30; k++) await it.clock.advance(1_000)
      return resharding
    }
    const { segment } = it.router.locate(it.keys.b![0]!)
    const own = it.router.requestResharding(1, new Map([[segment, 'a']]), { reason: 'I know better' })
    expect(await settle(own)).toMatchObject({ accepted: true })
    await it.hours(20, adversarial)
    expect(it.rollbacks).toEqual([])
    await settle(it.router.rollback())
    expect(it.router.getShardLocation(it.keys.b![0]!)).toBe('b')
    await it.hours(4, adversarial)
    expect(it.rollbacks).toMatchObject([{ to: it.handed[0] }])
    await it.close()
  })

  it('where it was never its own', async () => {
    const it = await deploy({ minConfidence: 1 })
    const { before } = traffics(it)
    const map = new Map(it.keys.a!.map((key) => [it.router.locate(key).segment, 'b']))
    await it.hours(1, before, false)
    const resharding = await it.router.requestResharding(1, map, { reason: 'J falls by 1' })
    expect(resharding.accepted).toBe(true)
    for (let k = 0; k < 30; k++) await it.clock.advance(1_000)
    expect(it.router.getShardLocation(it.keys.a![0]!)).toBe('b')
    await it.hours(48, (key) => (it.keys.a!.includes(key) ? 400 : 400))
    expect(it.rollbacks).toEqual([])
    await it.close()
  })
})

describe('options of the automatic rollback', () => {
  it.each([
    [{ rollback: { patience: 1 } }, 'options.rollback.patience'],
    [{ rollback: { restMs: -1 } }, 'options.rollback.restMs'],
    [{ rollback: { patient: 3 } }, 'options.rollback.patient'],
  ])('%j are refused', async (wrong, field) => {
    await expect(deploy(wrong as never)).rejects.toThrow(expect.objectContaining({ field }))
  })
})
