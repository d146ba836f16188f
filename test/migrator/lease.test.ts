import { describe, expect, it } from 'vitest'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { ManualClock, seededRandom } from '../../src/clock'
import { MigratorLease } from '../../src/migrator/lease'
import type { TopologyStore } from '../../src/topology-store'

const LEASE_MS = 9_000

async function office() {
  const clock = new ManualClock(1_000)
  const topology = memoryTopology({ clock, random: seededRandom(1) })
  const shards = [{ id: 'a', weight: 1 }]
  await topology.open({ buckets: 1, seed: 0, shards, owners: new Int32Array(1) })
  const lease = (holder: string, own = clock, store: TopologyStore = topology) =>
    new MigratorLease(store, holder, own, LEASE_MS)
  return { clock, topology, lease }
}

describe('the lease', () => {
  it('is held by one at a time, and free again when it is let go', async () => {
    const { lease } = await office()
    const [one, two] = [lease('one'), lease('two')]
    const grip = (await one.hold())!
    expect(await two.hold()).toBeUndefined()
    await grip.release()
    expect((await two.hold())!.term).toBeGreaterThan(grip.term)
  })

  it('stays while anyone who works in its name has a grip on it', async () => {
    const { lease } = await office()
    const [one, two] = [lease('one'), lease('two')]
    const [plan, purge] = await Promise.all([one.hold(), one.hold()])
    expect(plan!.term).toBe(purge!.term)
    await plan!.release()
    await plan!.release()
    expect(await two.hold()).toBeUndefined()
    await purge!.release()
    expect(await two.hold()).toBeDefined()
  })

  it('is renewed for as long as it is held, and no longer', async () => {
    const { lease, clock } = await office()
    const [one, two] = [lease('one'), lease('two')]
    const grip = (await one.hold())!
    await clock.advance(10 * LEASE_MS)
    expect(await two.hold()).toBeUndefined()
    expect(grip.signal.aborted).toBe(false)
    await grip.release()
    expect(clock.nextAt).toBe(Number.POSITIVE_INFINITY)
  })

  it('that another has taken is noticed with the next renewal', async () => {
    const { lease, clock } = await office()
    const slow = new ManualClock(1_000)
    const grip = (await lease('one', slow).hold())!
    await clock.advance(LEASE_MS)
    expect(await lease('two').hold()).toBeDefined()
    expect(grip.signal.aborted).toBe(false)
    await slow.advance(LEASE_MS / 3)
    expect(grip.signal.aborted).toBe(true)
    expect(slow.nextAt).toBe(Number.POSITIVE_INFINITY)
  })

  it('that ran out while the process slept is noticed before anything else is done', async () => {
    const { lease } = await office()
    const own = new ManualClock(1_000)
    const one = lease('one', own)
    const grip = (await one.hold())!
    own.jump(1_000 + LEASE_MS)
    expect(grip.signal.aborted).toBe(false)
    one.check()
    expect(grip.signal.aborted).toBe(true)
  })

  it('outlasts a topology store that does not answer for a moment, but not for its whole time', async () => {
    const { lease, clock, topology } = await office()
    let down = true
    const flaky = new Proxy(topology, {
      get: (target, name) => {
        if (name === 'renewLease' && down) return () => Promise.reject(new Error('no answer'))
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const grip = (await lease('one', clock, flaky).hold())!
    await clock.advance(LEASE_MS / 3)
    down = false
    await clock.advance(LEASE_MS / 3)
    down = true
    await clock.advance(LEASE_MS - 1)
    expect(grip.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(grip.signal.aborted).toBe(true)
  })

  it('of a process that died is not given back', async () => {
    const { lease, clock } = await office()
    const [one, two] = [lease('one'), lease('two')]
    const grip = (await one.hold())!
    one.forget()
    await grip.release()
    expect(grip.signal.aborted).toBe(true)
    expect(await two.hold()).toBeUndefined()
    await clock.advance(LEASE_MS)
    expect(await two.hold()).toBeDefined()
  })
})
