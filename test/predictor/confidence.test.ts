import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { Bootstrap } from '../../src/predictor/confidence'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'

const FUTURES = 8
const HORIZON = 12
const SCENARIOS = { count: FUTURES, horizon: HORIZON, chances: new Array(FUTURES).fill(1 / FUTURES) }

function judged(gain: (future: number, step: number) => number, fixedGain = 0, deviation = 0) {
  const without = new Float64Array(FUTURES * HORIZON).fill(2)
  const after = without.map((peak, k) => peak - gain(Math.floor(k / HORIZON), k % HORIZON))
  return new Bootstrap(SCENARIOS, DEFAULT_OBJECTIVE, seededRandom(4)).judge({
    without,
    with: after,
    fixedGain,
    deviation,
  })
}

describe('the bootstrap', () => {
  test('is sure of what helps in every future, and of what helps in none', () => {
    expect(judged(() => 0.1).probability).toBeGreaterThan(0.98)
    expect(judged(() => -0.1).probability).toBeLessThan(0.02)
  })

  test('says a half where chance decides', () => {
    const { probability, gain } = judged((future) => (future % 2 ? 0.3 : -0.3))
    expect(probability).toBeGreaterThan(0.3)
    expect(probability).toBeLessThan(0.7)
    expect(Math.abs(gain)).toBeLessThan(0.1)
  })

  test('is less sure the more futures speak against it', () => {
    const helpsIn = (futures: number) => judged((future) => (future < futures ? 0.1 : -0.1)).probability
    expect(helpsIn(7)).toBeGreaterThan(helpsIn(5))
    expect(helpsIn(5)).toBeGreaterThan(helpsIn(3))
  })

  test('prices churn in: a gain below its price is no gain', () => {
    expect(judged(() => 0.1, -0.2).probability).toBeLessThan(0.02)
    expect(judged(() => 0.1, -0.05).gain).toBeCloseTo(0.05)
  })

  test('leaves intervals without load out', () => {
    const without = new Float64Array(FUTURES * HORIZON)
    const judgement = new Bootstrap(SCENARIOS, DEFAULT_OBJECTIVE, seededRandom(4)).judge({
      without,
      with: without.map(() => 5),
      fixedGain: 0.01,
      deviation: 0,
    })
    expect(judgement.gain).toBeCloseTo(0.01)
  })
})
