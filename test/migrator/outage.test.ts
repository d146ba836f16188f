import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { MigratorOptions } from '../../src/migrator/migrator'
import type { ShardId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { intercept, type Method, PLAN, World } from './world'

/** A shard that can be taken away. */
class Outage {
  readonly down = new Set<ShardId>()
  asked = 0

  migrator(world: World, options: Partial<MigratorOptions> = {}) {
    const stores = new Map([...world.raw].map(([id, store]) => [id, this.#reached(id, store)]))
    return world.migrator({ store: (shard) => stores.get(shard), ...options })
  }

  #reached(id: ShardId, store: ShardStore): ShardStore {
    return intercept(store, async (_method: Method, send) => {
      if (!this.down.has(id)) return send()
      this.asked++
      throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, 'connection refused', { shard: id })
    })
  }
}

describe('a plan that meets a shard which does not answer', () => {
  for (const shard of ['a', 'b'])
    it(`waits for it, says so, and goes on (${shard === 'a' ? 'source' : 'target'})`, async () => {
      const world = await World.open()
      const segment = world.bucketOn('a')
      await world.fill(world.keysOf(segment, 40))
      const outage = new Outage()
      let taken = false
      const migrator = outage.migrator(world, {
        batchKeys: 8,
        failpoint: (step) => {
          if (step !== 'ingest:after' || taken) return
          taken = true
          outage.down.add(shard)
        },
      })
      const { done } = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
      const since = world.clock.now()
      while (!taken || world.clock.now() - since < 60_000) await world.until(world.clock.sleep(1_000))
      const progress = migrator.progress()!
      expect(progress.phase).toBe('running')
      expect(progress.waitingFor).toEqual([{ shard, since: expect.any(Number) }])
      expect(progress.moves[0]!.waiting).toMatch(
        new RegExp(`^waiting for shard ${shard} \\(unavailable for (59|60) s\\)$`),
      )
      // Often enough to go on soon, and not more.
      expect(outage.asked).toBeLessThan(100)
      outage.down.clear()
      expect(await world.until(done)).toMatchObject({ outcome: 'done', retries: 0 })
      expect(migrator.progress()!.waitingFor).toEqual([])
      expect(migrator.progress()!.moves[0]!.waiting).toBeUndefined()
      await world.expectTruth()
    })

  it('undoes itself when that takes too long, and says why', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 40))
    const outage = new Outage()
    const migrator = outage.migrator(world, {
      outageMs: 30_000,
      failpoint: (step) => {
        if (step === 'ingest:after') outage.down.add('b')
      },
    })
    const began = world.clock.now()
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(world.clock.now() - began).toBeGreaterThan(30_000)
    expect(world.clock.now() - began).toBeLessThan(60_000)
    expect(report).toMatchObject({ outcome: 'failed', failed: [{ code: 'SHARD_UNAVAILABLE' }] })
    expect(report.failed[0]!.message).toMatch(/shard b did not answer for 3\d s: connection refused/)
    expect(await world.fence('a', segment)).toMatchObject({ state: 'owned', export: 0 })
    outage.down.clear()
    await world.until(migrator.steward())
    expect(await world.keysOn('b')).toBe(0)
    await world.expectTruth()
  })

  it('does not wait for room: a full target has the move undone', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 40))
    const full = intercept(world.raw.get('b')!, (method, send) => {
      if (method !== 'ingest') return send()
      return Promise.reject(new ForeshardError(ErrorCode.SHARD_FULL, 'no room', { shard: 'b' }))
    })
    const migrator = world.migrator({ store: (id) => (id === 'b' ? full : world.raw.get(id)) })
    const began = world.clock.now()
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report).toMatchObject({ outcome: 'failed', failed: [{ code: 'SHARD_FULL' }] })
    expect(world.clock.now() - began).toBeLessThan(30_000)
    await world.expectTruth()
  })

  it('waits for the topology no longer than it has the lease, and then goes on', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    let down = false
    const topology = new Proxy(world.topology, {
      get(target, name) {
        const member = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        if (name === 'watch') return member.bind(target)
        return async (...args: unknown[]) => {
          if (down) throw new ForeshardError(ErrorCode.TOPOLOGY_UNAVAILABLE, 'gone')
          return member.apply(target, args)
        }
      },
    })
    const migrator = world.migrator({
      topology,
      failpoint: (step) => {
        if (step !== 'verify:after' || down) return
        down = true
        void world.clock.sleep(40_000).then(() => {
          down = false
        })
      },
    })
    const report = await world.until(migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN }).done)
    expect(report.outcome).toBe('done')
    await world.expectTruth()
  })
})

describe('a fault in the program', () => {
  it('is told as what it is, and not as a shard that does not answer', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 5))
    const faulty = intercept(world.raw.get('b')!, (method, send) => {
      if (method === 'ingest') throw new TypeError('undefined is not a function')
      return send()
    })
    let broken = true
    const migrator = world.migrator({
      store: (id) => (id === 'b' && broken ? faulty : world.raw.get(id)),
    })
    const { done } = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    await expect(world.until(done)).rejects.toThrow(new TypeError('undefined is not a function'))
    broken = false
    await world.until(migrator.steward())
    await world.expectTruth()
  })
})
