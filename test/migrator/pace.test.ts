import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/clock'
import { MaintenanceWindows } from '../../src/maintenance-window'
import { type Latency, Pace, type PaceOptions, type PaceReading } from '../../src/migrator/pace'
import { PLAN, World } from './world'

const HOUR = 3_600_000
const forever = new AbortController().signal

/** A pace whose operations take what `p99Ms` says; one look a period. */
function setup(pace: PaceOptions = {}, maxKeysPerSecond = 10_000, before: Latency = latency(10)) {
  const clock = new ManualClock(0)
  const told: PaceReading[] = []
  const it = { p99Ms: 10, count: 1000 }
  const kept = new Pace({
    clock,
    maxKeysPerSecond,
    pace,
    probe: { recent: () => before, take: () => latency(it.p99Ms, it.count) },
    windows: undefined,
    onChange: (reading) => told.push(reading),
  })
  const period = (p99Ms: number, count = 1000) => {
    it.p99Ms = p99Ms
    it.count = count
    clock.jump(clock.now() + 1000)
    kept.copying(500)
    return kept.keysPerSecond
  }
  kept.copying(500)
  return { kept, period, told, clock }
}

const latency = (p99Ms: number, count = 1000): Latency => ({ count, p50Ms: p99Ms / 2, p99Ms })

describe('the pace of copying', () => {
  it('is halved in every period in which the p99 of operations is beyond what is tolerated, down to its floor', () => {
    const { period, told } = setup({ minKeysPerSecond: 1500 })
    expect([period(10), period(50), period(50), period(50), period(50)]).toEqual([
      10_000, 1500, 1500, 1500, 1500,
    ])
    expect(told.at(-1)).toMatchObject({ keysPerSecond: 1500, p99BeforeMs: 10 })
  })

  it('starts from what was copied where there was no limit', () => {
    const { period } = setup({ minKeysPerSecond: 10 }, Number.MAX_SAFE_INTEGER)
    // 500 keys a period of a second.
    expect(period(50)).toBe(250)
    expect(period(50)).toBe(125)
  })

  it('is restored by recovery: back at its ceiling after forty quiet periods, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 60 }), (p99s) => {
        const { period } = setup({ minKeysPerSecond: 100 }, 400)
        for (const p99 of p99s) {
          const pace = period(p99)
          expect(pace).toBeGreaterThanOrEqual(100)
          expect(pace).toBeLessThanOrEqual(400)
        }
        let last = period(10)
        for (let i = 0; i < 80; i++) {
          const next = period(10)
          expect(next).toBeGreaterThanOrEqual(last)
          last = next
        }
        expect(last).toBe(400)
      }),
      { seed: 5 },
    )
  })

  it('is kept where a rise is within the tolerance or the slack, or too few operations tell of it', () => {
    const { period } = setup({ tolerance: 2, slackMs: 5 })
    expect([period(19), period(500, 3)]).toEqual([10_000, 10_000])
    const quick = setup({ tolerance: 2, slackMs: 5 }, 10_000, latency(0.1))
    expect([quick.period(4), quick.period(6)]).toEqual([10_000, 250])
  })

  it('is kept where too little is known of the time before', () => {
    const { period } = setup({}, 10_000, latency(1, 5))
    expect(period(500)).toBe(10_000)
  })
})

describe('a plan with maintenance windows', () => {
  it('is paused when its window closes, and goes on when the next one opens', async () => {
    const world = await World.open()
    // World's time begins at 00:16:40.
    const windows = [
      { from: '00:00', to: '00:18' },
      { from: '03:00', to: '05:00' },
    ]
    const open = new MaintenanceWindows(windows)
    const segments = [world.bucketOn('a'), world.bucketOn('b')]
    for (const segment of segments) await world.fill(world.keysOf(segment, 300))
    const migrator = world.migrator({ windows, batchKeys: 10 })
    const copiedAt: number[] = []
    let copied = 0
    migrator.on('progress', ({ keysCopied }) => {
      if (keysCopied > copied) copiedAt.push(world.clock.now())
      copied = keysCopied
    })
    const told: (number | undefined)[] = []
    migrator.on('pace', ({ pausedUntil }) => told.push(pausedUntil))
    const moves = segments.map((segment) => ({ segment, to: 'c' }))
    const report = await world.until(
      migrator.run({ moves, maxKeysPerSecond: 2, ...PLAN, concurrency: 1 }).done,
    )
    expect(report).toMatchObject({ outcome: 'done', keysCopied: 600 })
    expect(told).toEqual([3 * HOUR, undefined])
    expect(copiedAt.length).toBeGreaterThan(20)
    // A batch that was let through just before the end is written at most one batch's time after it.
    expect(copiedAt.filter((at) => !open.isOpen(at) && !open.isOpen(at - 10_000))).toEqual([])
    expect(copiedAt.some((at) => at >= 3 * HOUR)).toBe(true)
  })

  it('is cancelled in a pause as at any time', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    await world.fill(world.keysOf(segment, 10))
    const migrator = world.migrator({ windows: [{ from: '12:00', to: '13:00' }] })
    const { id, done } = migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    await world.until(new Promise((resolve) => migrator.on('pace', resolve)))
    expect(migrator.progress()?.pace?.pausedUntil).toBe(12 * HOUR)
    void migrator.cancel(id)
    const report = await world.until(done)
    expect(report.outcome).toBe('cancelled')
    expect(world.clock.now()).toBeLessThan(HOUR)
  })

  it('is open to whoever waits in it', async () => {
    const { kept } = setup()
    await kept.open(forever)
  })
})
