import { describe, expect, it } from 'vitest'
import { SimulatedProcess } from '../../src/testing/simulated-process'
import { VirtualTime } from '../../src/testing/virtual-time'

describe('virtual time', () => {
  it('lets sleepers wake in the order of their time, however long they sleep', async () => {
    const time = new VirtualTime(0)
    const woken: string[] = []
    const sleeper = async (name: string, ms: number) => {
      await time.clock.sleep(ms)
      woken.push(`${name} at ${time.clock.now()}`)
    }
    await time.run(() => Promise.all([sleeper('year', 3e10), sleeper('day', 864e5), sleeper('none', 0)]))
    expect(woken).toEqual(['none at 0', 'day at 86400000', 'year at 30000000000'])
  })

  it('hands on what the main function returns or throws', async () => {
    const time = new VirtualTime()
    await expect(time.run(async () => 7)).resolves.toBe(7)
    await expect(
      time.run(async () => {
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
  })

  it('says so when nothing will ever happen', async () => {
    await expect(new VirtualTime().run(() => new Promise(() => {}))).rejects.toThrow('nobody sleeps')
  })

  it('gives up where only a heartbeat goes on', async () => {
    const time = new VirtualTime()
    time.clock.every(10, () => {})
    await expect(time.run(() => new Promise(() => {}), 1_000)).rejects.toThrow('not done after 1000 ms')
  })

  it('stands still while real work is under way', async () => {
    const time = new VirtualTime(0)
    const work = () => time.external(() => new Promise((resolve) => setImmediate(resolve)))
    await time.run(async () => {
      const late = time.clock.sleep(1).then(() => time.clock.now())
      for (let i = 0; i < 5; i++) await work()
      expect(time.clock.now()).toBe(0)
      expect(await late).toBe(1)
    })
  })
})

describe('a simulated process', () => {
  it('does nothing while frozen, and goes on when thawed', async () => {
    const time = new VirtualTime(0)
    const process = new SimulatedProcess('p', time.clock)
    let beats = 0
    process.clock.every(10, () => beats++)
    const slept = process.clock.sleep(5).then(() => time.clock.now())
    process.freeze()
    await time.run(() => time.clock.sleep(100))
    expect(beats).toBe(0)
    process.thaw()
    expect(await slept).toBe(100)
    await time.run(() => time.clock.sleep(20))
    expect(beats).toBe(2)
  })

  it('never wakes again after it was killed', async () => {
    const time = new VirtualTime(0)
    const process = new SimulatedProcess('p', time.clock)
    let woken = false
    process.clock.sleep(5).then(() => {
      woken = true
    })
    process.kill()
    process.thaw()
    await time.run(() => time.clock.sleep(100))
    expect(woken).toBe(false)
    expect(process.isDead).toBe(true)
  })

  it('has a clock that may be wrong', async () => {
    const time = new VirtualTime(1_000)
    expect(new SimulatedProcess('p', time.clock, -300).clock.now()).toBe(700)
  })
})
