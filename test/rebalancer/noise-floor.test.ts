import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { noiseFloor } from '../../src/rebalancer/replay/noise-floor'

/** Max/mean of accesses thrown at shards by chance, over many intervals. */
function thrown(accesses: number, shards: number, rounds: number, seed: number): number {
  const random = seededRandom(seed)
  let sum = 0
  for (let round = 0; round < rounds; round++) {
    const loads = new Array<number>(shards).fill(0)
    for (let i = 0; i < accesses; i++) loads[Math.floor(random() * shards)]!++
    sum += (Math.max(...loads) * shards) / accesses
  }
  return sum / rounds
}

describe('the noise floor', () => {
  it.each([
    [40, 2],
    [500, 8],
    [3_000, 4],
    [3_000, 64],
  ])('is what %i accesses thrown at %i even shards come to', (accesses, shards) => {
    // A fixed number of accesses varies a little less than a Poisson number of them.
    const expected = thrown(accesses, shards, 2_000, 7)
    expect(noiseFloor(accesses, shards) - 1).toBeGreaterThan(0.97 * (expected - 1))
    expect(noiseFloor(accesses, shards) - 1).toBeLessThan(1.08 * (expected - 1))
  })

  it('has no step where the normal approximation begins', () => {
    for (const shards of [2, 8, 100]) {
      const below = noiseFloor(9_999 * shards, shards) - 1
      const above = noiseFloor(10_001 * shards, shards) - 1
      expect(above / below).toBeGreaterThan(0.98)
      expect(above / below).toBeLessThan(1.001)
    }
  })

  it('falls towards 1 with every access more, and is 1 where there is nothing to be uneven', () => {
    let last = Number.POSITIVE_INFINITY
    for (let accesses = 1; accesses < 1e12; accesses *= 3) {
      const floor = noiseFloor(accesses, 8)
      expect(floor).toBeLessThan(last)
      last = floor
    }
    expect(last).toBeLessThan(1.00001)
    expect(noiseFloor(1000, 1)).toBe(1)
    expect(noiseFloor(0, 8)).toBe(1)
  })
})
