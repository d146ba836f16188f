import { describe, expect, it } from 'vitest'
import { Logarithm } from '../../../src/predictor/forecast/logarithm'

describe('logarithms by table', () => {
  it('are those of Math.log to one part in ten million, over all rates there are', () => {
    const values = Float64Array.from({ length: 5_000 }, (_, t) => 10 ** (t / 100 - 20))
    const into = new Float64Array(values.length)
    const sum = new Logarithm(values.length).of(values, 0, values.length, into)
    let worst = 0
    let expected = 0
    values.forEach((value, t) => {
      worst = Math.max(worst, Math.abs(into[t]! - Math.log(value)))
      expected += Math.log(value)
    })
    expect(worst).toBeLessThan(1.5e-7)
    expect(sum).toBeCloseTo(expected, 3)
  })

  it('stay finite where a float does not reach', () => {
    const into = new Float64Array(3)
    new Logarithm(3).of(Float64Array.of(0, 1e-60, 1e60), 0, 3, into)
    expect(into.every(Number.isFinite)).toBe(true)
  })
})
