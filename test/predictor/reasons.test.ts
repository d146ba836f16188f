import { describe, expect, test } from 'vitest'
import { type Grounds, reasonFor, show } from '../../src/predictor/reasons'
import { HOUR } from './generated-log'

const DAY = 24 * HOUR

const grounds: Grounds = {
  segment: '{airport:ORD}',
  from: 's3',
  to: 's1',
  fromBefore: [0.8, 1.4, 1.42, 0.9],
  fromAfter: [0.7, 1.05, 1.06, 0.8],
  toAfter: [0.9, 1.0, 1.02, 1.1],
  part: [0.1, 0.1, 0.11, 0.1],
  // Thursday, 1970-01-01, 16:00.
  start: 16 * HOUR,
  intervalMs: HOUR,
  gain: 0.0213,
  uncrossed: 0,
  probability: 0.83,
  carved: false,
  draining: false,
}

describe('a reason', () => {
  test('names shard, hours, share and gain', () => {
    expect(reasonFor(grounds)).toBe(
      's3 will peak at 1.42 of its share on Thursdays 17:00–19:00 UTC; {airport:ORD} carries 11 % of it then; with all moves s3 comes to 1.06 then, s1 to 1.02; J falls by 0.021, confidence 0.83.',
    )
  })

  test('names the date where intervals are not hours', () => {
    const start = 20_000 * DAY
    expect(reasonFor({ ...grounds, start, intervalMs: 60_000 })).toContain('on 2024-10-04 00:01–00:03 UTC')
    expect(reasonFor({ ...grounds, start, intervalMs: DAY })).toContain('from 2024-10-05 to 2024-10-07')
  })

  test('says what else is behind it', () => {
    expect(reasonFor({ ...grounds, uncrossed: 0.034 })).toContain('3.4 % of the multi-key transactions')
    expect(reasonFor({ ...grounds, carved: true })).toContain('carved out')
    expect(reasonFor({ ...grounds, alone: 1.31 })).toContain('alone it is 1.31 of a shard')
    expect(reasonFor({ ...grounds, draining: true })).toMatch(/^s3 is to be emptied/)
    expect(reasonFor({ ...grounds, alike: 'it behaves like 4 others' })).toContain('like 4 others')
  })

  test('shows names of any length and content in one short line', () => {
    expect(show(`{${'x'.repeat(500)}}`)).toHaveLength(80)
    expect(show('{a\nb\u0000}')).toBe('{a·b·}')
  })
})
