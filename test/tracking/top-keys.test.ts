import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { Decay } from '../../src/tracking/access-score'
import { TopKeys } from '../../src/tracking/top-keys'

describe('the hottest keys', () => {
  it('are exact while there is room for all of them', () => {
    const keys = new TopKeys(3, new Decay())
    for (const key of ['a', 'b', '__proto__', 'b', 'b', '__proto__']) keys.record(key, 1)
    expect(keys.top(2, 0)).toEqual([
      { key: 'b', accessScore: 3, overestimate: 0 },
      { key: '__proto__', accessScore: 2, overestimate: 0 },
    ])
    expect(keys.of('c', 0)).toBeUndefined()
    expect(keys.replaced).toBe(0)
  })

  it('never cost more than their capacity, whatever the number of distinct keys', () => {
    const keys = new TopKeys(16, new Decay())
    for (let i = 0; i < 10_000; i++) keys.record(`key ${i}`, 1)
    expect(keys.size).toBe(16)
    expect(keys.replaced).toBeGreaterThan(16)
    expect(keys.replaced).toBeLessThan(3_000)
    expect(keys.memoryBytes).toBeLessThan(5_000)
  })

  it('hold the bounds of Space-Saving: every heavy key is there, no score is too low or too high by more', () => {
    const random = seededRandom(11)
    const capacity = 40
    const keys = new TopKeys(capacity, new Decay())
    const truth = new Map<string, number>()
    let total = 0
    for (let i = 0; i < 20_000; i++) {
      const key = `k${Math.floor(1000 * random() ** 4)}`
      const worth = 1 + Math.floor(random() * 3)
      keys.record(key, worth)
      truth.set(key, (truth.get(key) ?? 0) + worth)
      total += worth
    }
    for (const [key, score] of truth) {
      const kept = keys.of(key, 0)
      if (score > total / capacity) expect(kept).toBeDefined()
      if (!kept) continue
      expect(kept.accessScore).toBeGreaterThanOrEqual(score)
      expect(kept.accessScore - kept.overestimate).toBeLessThanOrEqual(score)
      expect(kept.overestimate).toBeLessThanOrEqual(total / capacity)
    }
  })

  it('let go of a key that was hot long ago', () => {
    const decay = new Decay(1000)
    const keys = new TopKeys(2, decay)
    for (let i = 0; i < 100; i++) keys.record('yesterday', decay.worth(0))
    for (let i = 0; i < 10; i++) for (const key of ['x', 'y']) keys.record(key, decay.worth(20_000))
    expect(
      keys
        .top(2, 20_000)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(['x', 'y'])
  })
})
