import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/clock'
import { autocorrelation, findSeasons } from '../../../src/predictor/forecast/season'
import { normal, rates } from './series'

/** Straight from the definition. */
function directAutocorrelation(z: Float64Array, maxLag: number): number[] {
  const n = z.length
  const middle = (n - 1) / 2
  const mean = z.reduce((a, b) => a + b) / n
  const slope =
    z.reduce((a, v, t) => a + v * (t - middle), 0) / z.reduce((a, _, t) => a + (t - middle) ** 2, 0)
  const x = z.map((v, t) => v - mean - slope * (t - middle))
  const covariance = (lag: number) => {
    let sum = 0
    for (let t = lag; t < n; t++) sum += x[t]! * x[t - lag]!
    return sum / (n - lag)
  }
  return Array.from({ length: maxLag + 1 }, (_, lag) => covariance(lag) / covariance(0))
}

describe('the autocorrelation', () => {
  it.each([5, 8, 50, 333, 700])('by Fourier transform of %d points is that of the definition', (n) => {
    const random = seededRandom(n)
    const z = Float64Array.from({ length: n }, (_, t) => Math.sin(t / 3) + 0.02 * t + normal(random))
    const maxLag = Math.floor(n / 2)
    const direct = directAutocorrelation(z, maxLag)
    const fast = autocorrelation(z, maxLag)
    direct.forEach((value, lag) => {
      expect(fast[lag]).toBeCloseTo(value, 9)
    })
  })

  it('of a constant, or of a straight line, is nothing', () => {
    expect(Array.from(autocorrelation(new Float64Array(40).fill(3), 10))).toEqual(new Array(11).fill(0))
    expect(
      Array.from(
        autocorrelation(
          Float64Array.from({ length: 40 }, (_, t) => 5 * t),
          10,
        ),
      ),
    ).toEqual(new Array(11).fill(0))
  })

  it('leaves out what is not known', () => {
    const z = Float64Array.from({ length: 400 }, (_, t) => Math.sin((2 * Math.PI * t) / 20))
    const known = Uint8Array.from({ length: 400 }, (_, t) => (t >= 100 && t < 170 ? 0 : 1))
    const torn = z.map((v, t) => (known[t] ? v : 0))
    expect(autocorrelation(torn, 40, known)[20]).toBeGreaterThan(0.97)
    expect(autocorrelation(torn, 40)[20]).toBeLessThan(0.97)
  })
})

describe('the seasons of a series', () => {
  it('are the day and the week where the weekend differs', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const z = Float64Array.from(rates(500, 0.1, 672, seed), Math.log)
      expect(findSeasons(z).periods).toEqual([24, 168])
    }
  })

  it('are the day alone where all days are alike', () => {
    const random = seededRandom(1)
    const z = Float64Array.from(
      { length: 672 },
      (_, t) => Math.sin((2 * Math.PI * t) / 24) + 0.3 * normal(random),
    )
    expect(findSeasons(z).periods[0]).toBe(24)
  })

  it('are exact though a single peak of the autocorrelation is not', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = seededRandom(seed)
      const z = Float64Array.from(
        { length: 2_000 },
        (_, t) => Math.sin((2 * Math.PI * t) / 144) + 0.3 * normal(random),
      )
      expect(findSeasons(z).periods).toEqual([144])
    }
  })

  it('are none in too short a series, in a constant and in a trend', () => {
    expect(findSeasons(new Float64Array(7)).periods).toEqual([])
    expect(findSeasons(new Float64Array(300)).periods).toEqual([])
    expect(findSeasons(Float64Array.from({ length: 300 }, (_, t) => t)).periods).toEqual([])
  })
})
