import { describe, expect, it } from 'vitest'
import { Tracker } from '../../src/tracking/tracker'

describe('the counters of a segment', () => {
  it('count reads, writes and bytes of buckets and carved tags apart', () => {
    const tracker = new Tracker(8)
    tracker.record(0, 'a', 5, undefined, true, 10)
    tracker.record(0, 'a', 5, undefined, false, 10)
    tracker.record(0, 'b', 5, 'x', false, 3)
    expect(tracker.ofBucket(5, 0)).toEqual({ reads: 1, writes: 1, bytes: 20, accessScore: 2 })
    expect(tracker.ofTag('x', 0)).toEqual({ reads: 1, writes: 0, bytes: 3, accessScore: 1 })
    expect(tracker.ofTag('never', 0)).toEqual({ reads: 0, writes: 0, bytes: 0, accessScore: 0 })
    expect([...tracker.bucketScores(0)]).toEqual([[5, 2]])
  })

  it('go back into the bucket when a tag is merged', () => {
    const tracker = new Tracker(8)
    tracker.record(0, 'a', 5, undefined, true, 1)
    tracker.record(0, 'b', 5, '__proto__', true, 2)
    tracker.fold('__proto__', 5)
    tracker.fold('__proto__', 5)
    expect(tracker.ofBucket(5, 0)).toEqual({ reads: 0, writes: 2, bytes: 3, accessScore: 2 })
    expect(tracker.ofTag('__proto__', 0).writes).toBe(0)
  })
})
