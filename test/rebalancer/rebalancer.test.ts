import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ManualClock, seededRandom } from '../../src/clock'
import { ErrorCode, ForeshardError } from '../../src/errors'
import { Placement } from '../../src/placement/assignment'
import type { SegmentId } from '../../src/placement/segment'
import type { ShardAssignmentPrediction } from '../../src/predictor/prediction'
import { Predictor } from '../../src/predictor/predictor'
import type { RebalancerOptions } from '../../src/rebalancer/options'
import { Rebalancer, type Recommendation } from '../../src/rebalancer/rebalancer'
import type { Resharding } from '../../src/router/resharding'
import { ShardRouter } from '../../src/router/router'
import type { AccessLogEntry } from '../../src/tracking/access-log'

const HOUR = 3_600_000
const START = 1_600_000_000_000
const placement = Placement.initial({ shards: ['a', 'b'], buckets: 16 })
const report = { id: 'r1', outcome: 'done' } as never

/** A router that writes down what it is asked, and a predictor that answers what it is given. */
function setup(options: Partial<RebalancerOptions> = {}) {
  const clock = new ManualClock(START)
  const listeners = new Set<(entry: AccessLogEntry) => void>()
  let finish: (outcome: never) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const requests: { confidence: number; map: unknown; options: unknown }[] = []
  const router = {
    placement,
    answer: undefined as Resharding | Error | undefined,
    phase: undefined as string | undefined,
    observe(listener: (entry: AccessLogEntry) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async requestResharding(confidence: number, map: unknown, given: unknown): Promise<Resharding> {
      requests.push({ confidence, map, options: given })
      if (router.answer instanceof Error) throw router.answer
      if (router.answer) return router.answer
      const done = new Promise<never>((resolve, reject) => {
        finish = resolve
        fail = reject
      })
      done.catch(() => {})
      return { accepted: true, id: `r${requests.length}`, done, cancel: async () => {} }
    },
    monitorReshardingProgress: () => (router.phase ? { phase: router.phase } : undefined),
  }
  const predictor = {
    recorded: [] as AccessLogEntry[],
    asked: 0,
    netGain: 0.2,
    confidence: 0.9,
    map: new Map([['#1' as SegmentId, 'a']]),
    merges: [] as SegmentId[],
    think: async () => {},
    record(entry: AccessLogEntry) {
      predictor.recorded.push(entry)
    },
    async predict() {
      predictor.asked++
      await predictor.think()
      return {
        shardAssignmentMap: predictor.map,
        merges: predictor.merges,
        confidence: predictor.confidence,
        expected: { netGain: predictor.netGain, keysMoved: 0, bytesMoved: 0 },
      } as unknown as ShardAssignmentPrediction
    },
  }
  const rebalancer = new Rebalancer({ router, predictor, clock, mode: 'auto', ...options })
  const events: string[] = []
  rebalancer.on('recommendation', () => events.push('recommendation'))
  rebalancer.on('resharding', ({ id }) => events.push(`resharding ${id}`))
  rebalancer.on('skipped', ({ because }) => events.push(`skipped: ${because}`))
  rebalancer.on('finished', ({ outcome }) => events.push(`finished: ${outcome}`))
  rebalancer.on('error', (error) => events.push(`error: ${(error as Error).message}`))
  const settle = () => clock.advance(0)
  return {
    clock,
    router,
    predictor,
    rebalancer,
    events,
    requests,
    listeners,
    settle,
    finish: () => finish(report),
    fail: (error: Error) => fail(error),
  }
}

const entry: AccessLogEntry = { timestamp: START, key: 'k', operation: 'read' }

describe('a rebalancer in mode auto', () => {
  it('hands what is worth it to the router, with the placement it was made for', async () => {
    const { rebalancer, requests, events, predictor } = setup({ migration: { maxKeysPerSecond: 100 } })
    predictor.merges = ['{t}']
    expect(await rebalancer.tick()).toMatchObject({ act: true })
    expect(requests).toEqual([
      {
        confidence: 0.9,
        map: predictor.map,
        options: {
          maxKeysPerSecond: 100,
          placement,
          merge: ['{t}'],
          reason: expect.stringMatching(/J falls by 0.2/),
        },
      },
    ])
    expect(events).toEqual(['recommendation', 'resharding r1'])
  })

  it('hands nothing over outside its maintenance windows, and says when the next one begins', async () => {
    // START is 2020-09-13T12:26:40Z, a Sunday.
    const { rebalancer, events, clock, predictor } = setup({
      windows: [{ days: ['sun'], from: '14:00', to: '15:00' }],
      cooldownMs: 0,
    })
    const round = await rebalancer.tick()
    expect(round.reason).toMatch(/the next one begins at 2020-09-13T14:00:00.000Z/)
    expect(predictor.asked).toBe(0)
    await clock.advance(2 * HOUR)
    await rebalancer.tick()
    expect(events).toEqual(['skipped: outside-windows', 'recommendation', 'resharding r1'])
  })

  it('hands over no more in 24 hours than the budget of the day has, also of recommendations accepted late', async () => {
    const { rebalancer, clock, settle, finish, requests } = setup({
      mode: 'suggest',
      cooldownMs: 0,
      dailyBudget: { maxMoves: 1 },
    })
    const recommendations: Recommendation[] = []
    rebalancer.on('recommendation', (it) => recommendations.push(it))
    await rebalancer.tick()
    await rebalancer.tick()
    expect(recommendations).toHaveLength(2)
    expect(await recommendations[0]!.accept()).toMatchObject({ accepted: true })
    finish()
    await settle()
    expect(await recommendations[1]!.accept()).toMatchObject({
      accepted: false,
      reason: expect.stringMatching(/0 moves are left/),
    })
    expect(rebalancer.spent).toMatchObject([{ at: START, moves: 1 }])
    expect(await rebalancer.tick()).toMatchObject({ because: 'budget-spent' })
    await clock.advance(24 * HOUR)
    expect(await rebalancer.tick()).toMatchObject({ act: true })
    expect(requests).toHaveLength(1)
  })

  it('does one resharding at a time, and rests after it', async () => {
    const { rebalancer, events, finish, settle, clock, predictor } = setup({ cooldownMs: HOUR })
    await rebalancer.tick()
    await rebalancer.tick()
    finish()
    await settle()
    await rebalancer.tick()
    await clock.advance(HOUR)
    await rebalancer.tick()
    expect(events).toEqual([
      'recommendation',
      'resharding r1',
      'skipped: resharding-in-flight',
      'finished: done',
      'skipped: cooling-down',
      'recommendation',
      'resharding r2',
    ])
    expect(predictor.asked).toBe(2)
  })

  it('keeps out of the way of a resharding that somebody else asked the router for, and rests after that too', async () => {
    const { rebalancer, router, events, clock } = setup({ cooldownMs: HOUR })
    router.phase = 'running'
    await rebalancer.tick()
    router.phase = 'done'
    await rebalancer.tick()
    await clock.advance(HOUR)
    await rebalancer.tick()
    expect(events).toEqual([
      'skipped: resharding-in-flight',
      'skipped: cooling-down',
      'recommendation',
      'resharding r1',
    ])
  })

  it('notices a resharding that began while it was thinking', async () => {
    const { rebalancer, router, predictor, requests } = setup()
    predictor.think = async () => {
      router.phase = 'waiting'
    }
    expect(await rebalancer.tick()).toMatchObject({ because: 'resharding-in-flight' })
    expect(requests).toEqual([])
  })

  it('takes the no of the router for a no', async () => {
    const { rebalancer, router, events } = setup()
    router.answer = { accepted: false, reason: 'the map is stale' }
    expect(await rebalancer.tick()).toEqual({ act: false, because: 'refused', reason: 'the map is stale' })
    router.answer = new ForeshardError(ErrorCode.LEASE_HELD, 'another process migrates')
    expect(await rebalancer.tick()).toMatchObject({ because: 'refused' })
    expect(events.filter((event) => event.startsWith('error'))).toEqual([])
  })

  it('tells of failures and goes on: of the predictor, the router, a resharding, a listener', async () => {
    const { rebalancer, router, predictor, events, fail, settle, clock } = setup({ cooldownMs: 0 })
    predictor.think = () => Promise.reject(new Error('no forecast'))
    expect(await rebalancer.tick()).toEqual({ act: false, because: 'failed', reason: 'no forecast' })
    predictor.think = async () => {}
    router.answer = new Error('no topology')
    expect(await rebalancer.tick()).toMatchObject({ because: 'failed' })
    router.answer = undefined
    rebalancer.once('recommendation', () => {
      throw new Error('my own mistake')
    })
    expect(await rebalancer.tick()).toMatchObject({ act: true })
    fail(new Error('the disk is full'))
    await settle()
    await clock.advance(1)
    expect(await rebalancer.tick()).toMatchObject({ act: true })
    expect(events.filter((event) => event.startsWith('error'))).toEqual([
      'error: no forecast',
      'error: no topology',
      'error: my own mistake',
      'error: the disk is full',
    ])
  })

  it('folds tags back without a forecast that must come true', async () => {
    const { rebalancer, predictor, requests } = setup()
    Object.assign(predictor, { map: new Map(), merges: ['{cold}'], confidence: 0, netGain: 0 })
    await rebalancer.tick()
    expect(requests).toMatchObject([{ confidence: 1, options: { merge: ['{cold}'] } }])
  })
})

describe('a rebalancer in mode suggest', () => {
  async function suggested(options: Partial<RebalancerOptions> = {}) {
    const all = setup({ mode: 'suggest', cooldownMs: HOUR, ...options })
    const recommendations: Recommendation[] = []
    all.rebalancer.on('recommendation', (it) => recommendations.push(it))
    await all.rebalancer.tick()
    return { ...all, recommendation: recommendations[0]! }
  }

  it('recommends, and moves nothing until that is accepted, once', async () => {
    const { recommendation, requests, events, finish, settle } = await suggested()
    expect(requests).toEqual([])
    const [one, two] = await Promise.all([recommendation.accept(), recommendation.accept()])
    expect(one).toBe(two)
    expect(one).toMatchObject({ accepted: true, id: 'r1' })
    finish()
    await settle()
    expect(requests).toHaveLength(1)
    expect(events).toEqual(['recommendation', 'resharding r1', 'finished: done'])
  })

  it('leaves a rejected recommendation alone until the cool-down is over', async () => {
    const { recommendation, rebalancer, requests, events, clock } = await suggested()
    recommendation.reject()
    expect(await recommendation.accept()).toMatchObject({ accepted: false })
    await rebalancer.tick()
    await clock.advance(HOUR)
    await rebalancer.tick()
    expect(requests).toEqual([])
    expect(events).toEqual(['recommendation', 'skipped: cooling-down', 'recommendation'])
  })
})

describe('a rebalancer in mode observe', () => {
  it('only shows the predictor what the router sees', async () => {
    const { rebalancer, predictor, listeners, events } = setup({ mode: 'observe' })
    rebalancer.start()
    for (const listener of listeners) listener(entry)
    await rebalancer.tick()
    await rebalancer.stop()
    expect(predictor.recorded).toEqual([entry])
    expect(predictor.asked).toBe(0)
    expect(events).toEqual(['skipped: observing'])
  })
})

describe('a rebalancer that is started', () => {
  it('makes a round an interval, and none after it was stopped', async () => {
    const { rebalancer, predictor, listeners, clock } = setup({ intervalMs: HOUR, mode: 'suggest' })
    expect(rebalancer.start().start().started).toBe(true)
    expect(listeners.size).toBe(1)
    await clock.advance(3 * HOUR)
    expect(predictor.asked).toBe(3)
    await rebalancer.stop()
    expect(rebalancer.started).toBe(false)
    expect(listeners.size).toBe(0)
    expect(clock.nextAt).toBe(Number.POSITIVE_INFINITY)
    expect(await rebalancer.tick()).toMatchObject({ because: 'stopped' })
    expect(predictor.asked).toBe(3)
    rebalancer.start()
    await clock.advance(HOUR)
    expect(predictor.asked).toBe(4)
    await rebalancer.stop()
  })

  it('waits for the round under way when it is stopped, and hands nothing over any more', async () => {
    const { rebalancer, predictor, requests } = setup()
    let answer = () => {}
    predictor.think = () => new Promise((resolve) => (answer = resolve))
    rebalancer.start()
    const round = rebalancer.tick()
    expect(rebalancer.tick()).toBe(round)
    const stopped = rebalancer.stop()
    await Promise.resolve()
    answer()
    await stopped
    expect(await round).toMatchObject({ because: 'stopped' })
    expect(requests).toEqual([])
  })

  it('keeps the data path clear of what goes wrong while recording', async () => {
    const { rebalancer, predictor, listeners, events, settle } = setup()
    rebalancer.start()
    predictor.record = () => {
      throw new Error('full')
    }
    for (const listener of listeners) listener(entry)
    predictor.record = (() => Promise.reject(new Error('gone'))) as never
    for (const listener of listeners) listener(entry)
    await settle()
    expect(events).toEqual(['error: full', 'error: gone'])
    await rebalancer.stop()
  })
})

describe('options that cannot be used', () => {
  it.each([
    [{ router: {} }, 'options.router'],
    [{ predictor: undefined }, 'options.predictor'],
    [{ mode: 'yolo' }, 'options.mode'],
    [{ intervalMs: 0 }, 'options.intervalMs'],
    [{ horizonMs: 1 }, 'options.horizonMs'],
    [{ minConfidence: 1.1 }, 'options.minConfidence'],
    [{ minGain: Number.NaN }, 'options.minGain'],
    [{ cooldownMs: -1 }, 'options.cooldownMs'],
    [{ costs: { perMove: -1 } }, 'options.costs.perMove'],
  ])('%j are refused', (wrong, field) => {
    expect(() => setup(wrong as never)).toThrow(expect.objectContaining({ field }))
  })
})

describe('a rebalancer between a router and a predictor', () => {
  it('evens out a skewed load on its own, and every value is still there', async () => {
    const clock = new ManualClock(START)
    const shards = { a: memoryStore({ clock }), b: memoryStore({ clock }) }
    const random = seededRandom(4)
    const router = await ShardRouter.open({ shards, buckets: 64, clock, random })
    const predictor = new Predictor({ shards: ['a', 'b'], buckets: 64, intervalMs: HOUR, clock })
    const rebalancer = new Rebalancer({
      router,
      predictor,
      mode: 'auto',
      intervalMs: HOUR,
      cooldownMs: 0,
      clock,
    })
    const outcomes: string[] = []
    rebalancer.on('finished', ({ outcome }) => outcomes.push(outcome))
    const errors: unknown[] = []
    rebalancer.on('error', (error) => errors.push(error))
    rebalancer.start()

    const keys: string[] = []
    for (let i = 0; keys.length < 12; i++) if (router.getShardLocation(`k${i}`) === 'a') keys.push(`k${i}`)
    for (const key of keys) await router.set(key, key)
    for (let hour = 0; hour < 12; hour++) {
      for (let i = 0; i < 60; i++) {
        for (const key of keys) await router.get(key)
        await clock.advance(HOUR / 60)
      }
    }
    await rebalancer.stop()
    const onB = keys.filter((key) => router.getShardLocation(key) === 'b').length
    expect(errors).toEqual([])
    expect(outcomes).toContain('done')
    expect(onB).toBeGreaterThanOrEqual(5)
    expect(onB).toBeLessThanOrEqual(7)
    for (const key of keys) expect(await router.get(key)).toBe(key)
    await router.close()
  })
})
