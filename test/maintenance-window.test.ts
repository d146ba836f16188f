import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type MaintenanceWindow, MaintenanceWindows } from '../src/maintenance-window'

const at = (iso: string) => Date.parse(iso)

describe('a maintenance window', () => {
  it('is open on its days between its times, UTC unless it says where', () => {
    const windows = new MaintenanceWindows([{ days: ['tue'], from: '02:00', to: '04:30' }])
    // 2024-05-07 was a Tuesday.
    expect(windows.isOpen(at('2024-05-07T01:59:59Z'))).toBe(false)
    expect(windows.isOpen(at('2024-05-07T02:00:00Z'))).toBe(true)
    expect(windows.isOpen(at('2024-05-07T04:29:59Z'))).toBe(true)
    expect(windows.isOpen(at('2024-05-07T04:30:00Z'))).toBe(false)
    expect(windows.isOpen(at('2024-05-08T03:00:00Z'))).toBe(false)
    const berlin = new MaintenanceWindows([
      { days: ['tue'], from: '02:00', to: '04:30', timeZone: 'Europe/Berlin' },
    ])
    expect(berlin.isOpen(at('2024-05-07T00:00:00Z'))).toBe(true)
  })

  it('goes over midnight where it ends before it begins, and belongs to the day on which it begins', () => {
    const windows = new MaintenanceWindows([{ days: ['fri'], from: '22:00', to: '06:00' }])
    expect(windows.isOpen(at('2024-05-10T21:59:00Z'))).toBe(false)
    expect(windows.isOpen(at('2024-05-10T22:00:00Z'))).toBe(true)
    expect(windows.isOpen(at('2024-05-11T05:59:00Z'))).toBe(true)
    expect(windows.isOpen(at('2024-05-11T06:00:00Z'))).toBe(false)
    expect(windows.isOpen(at('2024-05-10T03:00:00Z'))).toBe(false)
  })

  it('says when it opens and closes next: the very minute at which it does', () => {
    const window = fc.record({
      days: fc.uniqueArray(fc.constantFrom('sun' as const, 'mon' as const, 'wed' as const, 'sat' as const), {
        minLength: 1,
      }),
      from: fc.constantFrom('00:00', '03:10', '12:00', '23:45'),
      to: fc.constantFrom('00:00', '01:07', '12:00', '24:00'),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/St_Johns'),
    })
    fc.assert(
      fc.property(
        fc.array(window, { minLength: 1, maxLength: 2 }),
        // Around both changes of daylight saving time.
        fc.oneof(
          fc.integer({ min: at('2024-03-29T00:00:00Z'), max: at('2024-04-02T00:00:00Z') }),
          fc.integer({ min: at('2024-10-25T00:00:00Z'), max: at('2024-11-05T00:00:00Z') }),
        ),
        (given, now) => {
          const windows = new MaintenanceWindows(given as MaintenanceWindow[])
          for (const [next, open] of [
            [windows.opensAt(now), true],
            [windows.closesAt(now), false],
          ] as const) {
            if (next === undefined) continue
            expect(windows.isOpen(next)).toBe(open)
            if (next > now) expect(windows.isOpen(next - 1)).toBe(!open)
            for (let i = 0; i < 20; i++)
              expect(windows.isOpen(now + (i / 20) * (next - now))).toBe(next === now ? open : !open)
          }
        },
      ),
      { numRuns: 60, seed: 3 },
    )
  })

  it('is always open where there are none, and never ends', () => {
    const always = new MaintenanceWindows(undefined)
    expect([always.isOpen(0), always.opensAt(5), always.closesAt(5)]).toEqual([true, 5, undefined])
  })

  it.each([
    [[], 'options.windows'],
    [[{ from: '9:00', to: '10:00' }], 'options.windows[0].from'],
    [[{ from: '09:00', to: '10:61' }], 'options.windows[0].to'],
    [[{ from: '09:00', to: '10:00', days: ['monday'] }], 'options.windows[0].days'],
    [[{ from: '09:00', to: '10:00', timeZone: 'Mars/Base' }], 'options.windows[0].timeZone'],
    [[{ from: '09:00', to: '10:00', timezone: 'UTC' }], 'options.windows[0].timezone'],
  ])('%j is refused by name', (given, field) => {
    expect(() => new MaintenanceWindows(given as never)).toThrow(expect.objectContaining({ field }))
  })
})
