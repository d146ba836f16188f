import { describe, expect, it } from 'vitest'
import { judge, type Tested } from '../../src/rebalancer/probation'

const RULES = { patience: 6, horizon: 24, minGain: 0.01 }
const seen = (count: number, difference: (k: number) => number, noise = 0.001): Tested[] =>
  Array.from({ length: count }, (_, k) => ({ before: 1.2, after: 1.2 + difference(k), noise }))

describe('the verdict on a resharding', () => {
  it('waits until enough has been seen, however bad it looks', () => {
    expect(
      judge(
        seen(5, () => 3),
        0,
        0,
        RULES,
      ).kind,
    ).toBe('early')
    expect(judge([], 0, 0, RULES).kind).toBe('early')
    expect(
      judge(
        seen(6, () => 3),
        0,
        0,
        RULES,
      ).kind,
    ).toBe('worse')
  })

  it('does not take chance for harm', () => {
    expect(
      judge(
        seen(24, (k) => 0.1 + (k % 2 ? 0.5 : -0.5)),
        0,
        0,
        RULES,
      ).kind,
    ).toBe('kept')
    expect(
      judge(
        seen(24, () => 0.1, 1),
        0,
        0,
        RULES,
      ).kind,
    ).toBe('kept')
    expect(
      judge(
        seen(24, () => 0.1, 0.01),
        0,
        0,
        RULES,
      ).kind,
    ).toBe('worse')
  })

  it('asks for more than it costs to go back', () => {
    expect(
      judge(
        seen(24, () => 0.1),
        0,
        0.2,
        RULES,
      ).kind,
    ).toBe('kept')
    expect(
      judge(
        seen(24, () => 0.1),
        0,
        0.05,
        RULES,
      ).kind,
    ).toBe('worse')
  })

  it('leaves a plan for the night alone by day, as long as the night may make up for it', () => {
    const day = seen(12, () => 0.1)
    expect(judge(day, 0.3, 0, RULES).kind).toBe('open')
    expect(judge([...day, ...seen(6, () => 0.1)], 0.3, 0, RULES).kind).toBe('open')
    expect(judge([...day, ...seen(12, () => -0.5)], 0.3, 0, RULES).kind).toBe('kept')
    expect(judge([...day, ...seen(12, () => 0.1)], 0.3, 0, RULES).kind).toBe('worse')
  })

  it('lets by-gones be by-gones: what has become better again is not undone', () => {
    expect(judge([...seen(14, () => 1), ...seen(6, () => 0)], 0, 0, RULES).kind).toBe('open')
  })

  it('is not led astray by what is no number', () => {
    const broken = seen(6, () => Number.NaN)
    expect(judge(broken, 0, 0, RULES).kind).toBe('early')
    expect(judge([...broken, ...seen(6, () => 1)], Number.NaN, Number.NaN, RULES).kind).not.toBe('worse')
  })
})
