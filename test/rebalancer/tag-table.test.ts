import { describe, expect, it } from 'vitest'
import { Placement } from '../../src/placement/assignment'
import { TagTable } from '../../src/rebalancer/replay/tag-table'
import { simulate } from '../../src/rebalancer/simulate'
import type { AccessLogEntry } from '../../src/tracking/access-log'

const placement = Placement.initial({ shards: ['a', 'b'], buckets: 8 })

describe('a table of tags', () => {
  it('gives keys of one tag one number, and finds them by their bucket', () => {
    const table = new TagTable(placement)
    const id = table.seen('{t}:1', 0)
    expect(table.seen('{t}:2', 1)).toBe(id)
    expect(table.seen('other', 1)).not.toBe(id)
    expect([table.nameOf(id), table.find('t'), table.find('nobody')]).toEqual(['t', id, undefined])
    expect([...table.inBucket(placement.bucketOfTag('t'))]).toContain(id)
  })

  it('gives the numbers of forgotten tags out again', () => {
    const table = new TagTable(placement)
    const old = table.seen('old', 0)
    const young = table.seen('young', 5)
    expect(table.forget(5)).toEqual([old])
    expect(table.find('old')).toBeUndefined()
    expect([...table.inBucket(placement.bucketOfTag('old'))]).not.toContain(old)
    expect(table.seen('new', 6)).toBe(old)
    expect(table.nameOf(young)).toBe('young')
    expect(table.capacity).toBe(2)
  })
})

describe('a log of endless distinct keys', () => {
  it('is replayed as if nothing had been forgotten', async () => {
    const MINUTE = 60_000
    // A few keys that stay, among many that come once: enough for numbers to be given out again.
    const log = function* (): Generator<AccessLogEntry> {
      for (let i = 0; i < 260_000; i++) {
        const key = i % 4 === 0 ? `stays${(i / 4) % 10}` : `passes${i}`
        yield { timestamp: i * 10, key, operation: 'read' }
      }
    }
    const options = { shards: 4, buckets: 32, intervalMs: MINUTE, policies: ['hash' as const] }
    const { policies, load } = await simulate(log(), { ...options, horizonMs: MINUTE })
    const whole = await simulate(log(), { ...options, horizonMs: 60 * MINUTE })
    expect(load).toBe(260_000)
    expect(policies.hash!.intervals).toEqual(whole.policies.hash!.intervals)
  })
})
