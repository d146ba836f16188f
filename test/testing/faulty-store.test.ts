import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { seededRandom } from '../../src/clock'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { Call, ShardStore } from '../../src/shard-store'
import type { FaultRates } from '../../src/testing/fault-injector'
import { faultyStore } from '../../src/testing/faulty-store'
import { SimulatedProcess } from '../../src/testing/simulated-process'
import { VirtualTime } from '../../src/testing/virtual-time'

const AT = { segment: '#0', bucketId: 0 } as const
const set = (key: string, value = 'v'): Call => ({
  ...AT,
  epoch: 1,
  key,
  tag: key,
  operation: { kind: 'set', value: Buffer.from(value), expiresAt: 0 },
})
const get = (key: string): Call => ({ ...AT, epoch: 1, key, tag: key, operation: { kind: 'get' } })

async function opened(time: VirtualTime): Promise<ShardStore> {
  const store = memoryStore({ clock: time.clock, random: seededRandom(1) })
  await store.open({ topologyId: 't', shard: 'a', buckets: 4, clock: time.clock })
  await store.found([0, 1, 2, 3])
  return store
}

/** Runs `body` with a store that was opened without faults and the same store behind a faulty connection. */
function scene(
  rates: FaultRates,
  body: (it: {
    store: ShardStore
    faulty: ReturnType<typeof faultyStore>
    time: VirtualTime
    process: SimulatedProcess
    has: (key: string) => Promise<boolean>
  }) => Promise<void>,
) {
  const time = new VirtualTime()
  return time.run(async () => {
    const store = await opened(time)
    const process = new SimulatedProcess('p', time.clock)
    const faulty = faultyStore(store, { random: seededRandom(7), clock: time.clock, process, ...rates })
    const has = async (key: string) => {
      const [answer] = await store.execute([get(key)])
      return answer!.ok && answer!.applied
    }
    await body({ store, faulty, time, process, has })
  })
}

describe('a store behind a faulty connection', () => {
  it('is the same store when nothing goes wrong', () =>
    scene({}, async ({ faulty, has, store }) => {
      expect(faulty.supports).toBe(store.supports)
      expect(await faulty.execute([set('k')])).toMatchObject([{ ok: true, applied: true }])
      expect(await has('k')).toBe(true)
      expect(await faulty.size()).toEqual({ keys: 1, bytes: 1 })
      expect(faulty.faults.counts).toMatchObject({ calls: 2, lostRequests: 0 })
    }))

  it('says SHARD_UNAVAILABLE of a lost request, and nothing has happened', () =>
    scene({ lostRequests: 1 }, async ({ faulty, has }) => {
      await expect(faulty.execute([set('k')])).rejects.toMatchObject({ code: ErrorCode.SHARD_UNAVAILABLE })
      expect(await has('k')).toBe(false)
      expect(faulty.faults.counts.lostRequests).toBe(1)
    }))

  it('does what was asked when the reply is lost, and the caller cannot know', () =>
    scene({ lostReplies: 1 }, async ({ faulty, has }) => {
      const error = await faulty.execute([set('k')]).catch((e) => e)
      expect(error).toBeInstanceOf(Error)
      expect(error).not.toBeInstanceOf(ForeshardError)
      expect(await has('k')).toBe(true)
    }))

  it('carries out a late request once, after the caller gave up', () =>
    scene({ lateRequests: 1, lateMs: [500, 500] }, async ({ faulty, has, time }) => {
      const error = await faulty.execute([set('k')]).catch((e) => e)
      expect(error).not.toBeInstanceOf(ForeshardError)
      expect(await has('k')).toBe(false)
      expect(faulty.faults.underWay).toBe(1)
      await time.clock.sleep(501)
      expect(await has('k')).toBe(true)
      expect(faulty.faults.underWay).toBe(0)
    }))

  it('repeats steps of a migrator, and never an operation of a client', () =>
    scene({ repeatedSteps: 1, lateMs: [100, 100] }, async ({ faulty, store, time }) => {
      await faulty.execute([set('k', 'one')])
      await faulty.step(AT, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
      await store.step(AT, { step: 'abort', epoch: 1, ticket: 2 })
      await store.execute([set('k', 'two')])
      await time.clock.sleep(200)
      expect(faulty.faults.counts.repeatedSteps).toBe(1)
      const [listing] = await store.fences([AT])
      expect(listing!.record).toMatchObject({ export: 0, ticket: 2, seq: 2 })
    }))

  it('answers nothing while it is down, and forgets nothing', () =>
    scene({}, async ({ faulty, has, time }) => {
      await faulty.execute([set('k')])
      faulty.faults.down(1_000)
      await expect(faulty.execute([get('k')])).rejects.toMatchObject({ code: ErrorCode.SHARD_UNAVAILABLE })
      await time.clock.sleep(1_000)
      expect(await faulty.execute([get('k')])).toMatchObject([{ ok: true, applied: true }])
      expect(await has('k')).toBe(true)
      expect(faulty.faults.counts.refusedWhileDown).toBe(1)
    }))

  it('refuses new values when it is full, and still reads and deletes', () =>
    scene({}, async ({ faulty, has }) => {
      await faulty.execute([set('k')])
      faulty.faults.full = true
      await expect(faulty.execute([set('l')])).rejects.toMatchObject({ code: ErrorCode.SHARD_FULL })
      expect(await faulty.execute([get('k')])).toMatchObject([{ applied: true }])
      await faulty.execute([{ ...get('k'), operation: { kind: 'delete' } }])
      expect(await has('k')).toBe(false)
    }))

  it('delays requests and replies, so that calls overtake each other', () =>
    scene({ delayMs: [0, 50] }, async ({ faulty, time }) => {
      const started = time.clock.now()
      const finished: number[] = []
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          await faulty.execute([set(`k${i}`)])
          finished.push(i)
        }),
      )
      expect(time.clock.now() - started).toBeGreaterThan(20)
      expect(finished).not.toEqual([...finished].sort((a, b) => a - b))
    }))

  it('keeps a frozen process waiting, and a dead one for ever; what it had sent arrives', () =>
    scene({ delayMs: [10, 10] }, async ({ faulty, has, process, time }) => {
      let answered = false
      const call = faulty.execute([set('k')]).then(() => {
        answered = true
      })
      await time.clock.sleep(5)
      process.freeze()
      await time.clock.sleep(1_000)
      expect([await has('k'), answered]).toEqual([true, false])
      process.thaw()
      await call
      faulty.execute([set('l')]).then(() => {
        answered = false
      })
      await time.clock.sleep(5)
      process.kill()
      await time.clock.sleep(1_000)
      expect([await has('l'), answered]).toEqual([true, true])
    }))

  it('gives the same faults for the same seed', async () => {
    const run = async () => {
      const outcomes: string[] = []
      const rates = { lostRequests: 0.2, lostReplies: 0.2, lateRequests: 0.2, delayMs: [0, 9] as const }
      await scene(rates, async ({ faulty, time }) => {
        for (let i = 0; i < 50; i++)
          outcomes.push(
            await faulty.execute([set(`k${i}`)]).then(
              () => `done ${time.clock.now()}`,
              (error) => `${error.message} ${time.clock.now()}`,
            ),
          )
      })
      return outcomes
    }
    const first = await run()
    expect(await run()).toEqual(first)
    expect(new Set(first.map((outcome) => outcome.replace(/ \d+$/, ''))).size).toBe(4)
  })

  it('refuses rates that are none', async () => {
    const store = memoryStore()
    const faults = (rates: FaultRates) => () =>
      faultyStore(store, { random: seededRandom(1), clock: new VirtualTime().clock, ...rates })
    expect(faults({ lostReplies: 1.5 })).toThrow(/options.lostReplies/)
    expect(faults({ delayMs: [5, 1] })).toThrow(/options.delayMs/)
  })
})
