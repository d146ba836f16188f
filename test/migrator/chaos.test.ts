import { describe, expect, it } from 'vitest'
import { type Clock, type Random, seededRandom } from '../../src/clock'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { Migrator } from '../../src/migrator/migrator'
import type { PlanRequest } from '../../src/migrator/plan'
import { bucketSegment, type SegmentId, type ShardId, tagSegment } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { intercept, World } from './world'

/** The clock of a process that is now and then not given any time. */
class PatchyClock implements Clock {
  #asleepUntil = 0
  #fellAsleepAt = 0
  constructor(readonly world: World) {}

  get #asleep(): boolean {
    return this.world.clock.now() < this.#asleepUntil
  }
  now(): number {
    return this.#asleep ? this.#fellAsleepAt : this.world.clock.now()
  }
  fallAsleep(ms: number): Promise<void> {
    this.#fellAsleepAt = this.now()
    this.#asleepUntil = this.world.clock.now() + ms
    return this.world.clock.sleep(ms)
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.world.clock.sleep(ms, signal)
    while (this.#asleep) await this.world.clock.sleep(this.#asleepUntil - this.world.clock.now(), signal)
  }
  every(ms: number, fn: () => void): () => void {
    return this.world.clock.every(ms, () => {
      if (!this.#asleep) fn()
    })
  }
}

/** Requests and answers are lost, and some requests arrive a second time, at any later moment. */
function lossy(store: ShardStore, random: Random, late: (() => Promise<unknown>)[]): ShardStore {
  return intercept(store, async (method, send) => {
    const fate = random()
    if (fate < 0.02) late.push(send)
    if (late.length > 0 && random() < 0.05)
      await late.splice(Math.floor(random() * late.length), 1)[0]!().catch(() => undefined)
    if (fate > 0.98) {
      if (random() < 0.5) late.push(send)
      throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `${method} did not get through`)
    }
    const answer = await send()
    if (fate > 0.96) throw new ForeshardError(ErrorCode.OUTCOME_UNKNOWN, `the answer to ${method} was lost`)
    return answer
  })
}

async function chaos(seed: number): Promise<void> {
  const world = await World.open({ seed, latencyMs: 3, buckets: 3 })
  const random = seededRandom(seed * 7919)
  const any = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const shards: ShardId[] = ['a', 'b', 'c']
  const buckets = [0, 1, 2].map(bucketSegment)
  const tags = buckets.flatMap((bucket) => [world.tagIn(bucket), world.tagIn(bucket, 1)])
  const keys = [
    ...buckets.flatMap((bucket) => world.keysOf(bucket, 6)),
    ...tags.flatMap((tag) => [`{${tag}}:1`, `{${tag}}:2`]),
  ]
  await world.until(world.fill(keys))
  const late: (() => Promise<unknown>)[] = []
  let calm = false

  const born: Migrator[] = []
  const bear = (): Migrator => {
    const clock = new PatchyClock(world)
    const stores = new Map(
      [...world.raw].map(([shard, store]) => [shard, lossy(world.travelled(store), random, late)]),
    )
    const migrator = world.migrator({
      clock,
      store: (shard) => stores.get(shard),
      leaseMs: 600,
      pollMs: 100,
      batchKeys: 3,
      maxHoldMs: 20,
      failpoint: (step) => {
        if (calm) return
        const fate = random()
        if (fate < 0.006) throw new Error(`dies at ${step}`)
        if (fate < 0.02) return clock.fallAsleep(1_500 * random())
      },
    })
    migrator.start()
    born.push(migrator)
    return migrator
  }
  const living = [bear(), bear()]
  const stops = [1, 2, 3].map(() => world.clients(keys, 12))
  const plan = (): PlanRequest => {
    const moves = new Map<SegmentId, ShardId>()
    for (let i = random() * 4; i > 0; i--)
      moves.set(random() < 0.5 ? any(buckets) : tagSegment(any(tags)), any(shards))
    const merge = tagSegment(any(tags))
    return {
      moves: [...moves].map(([segment, to]) => ({ segment, to })),
      merges: random() < 0.4 && !moves.has(merge) ? [merge] : [],
      retainMs: random() < 0.3 ? 0 : random() * 2_000,
      verify: random() < 0.5,
      concurrency: 2,
      confidence: 1,
      reason: 'chaos',
    }
  }
  const ended: Promise<unknown>[] = []
  for (let round = 0; round < 12; round++) {
    const i = Math.floor(random() * living.length)
    try {
      const { id, done } = living[i]!.run(plan())
      ended.push(done.catch(() => undefined))
      if (random() < 0.2)
        void any(living)
          .cancel(id)
          .catch(() => undefined)
    } catch {
      // It is dead: another process takes its place.
      living[i] = bear()
    }
    await world.clock.advance(random() * 600)
  }
  calm = true
  await world.clock.advance(3_000)
  for (const request of late) await world.until(request().catch(() => undefined))
  for (const migrator of born) await world.until(migrator.close())
  for (const stop of stops) await world.until(stop())
  await world.until(Promise.all(ended))

  await world.clock.advance(60_000)
  const last = world.migrator()
  await world.until(last.steward())
  await world.clock.advance(2_000)
  await world.until(last.steward())
  await world.expectTruth()
  expect((await world.topologyNow()).retained).toEqual([])
}

describe('migrators that die, sleep and wake up again, over a network that loses and repeats', () => {
  const seeds = Number(process.env.CHAOS_SEEDS ?? 25)
  for (let seed = 1; seed <= seeds; seed++)
    it(`lose nothing and leave no loose end (seed ${seed})`, () => chaos(seed))
})
