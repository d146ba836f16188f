import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/clock'
import { Autoregression } from '../../../src/predictor/forecast/autoregression'
import { LagGram } from '../../../src/predictor/forecast/lag-gram'
import { LagProducts } from '../../../src/predictor/forecast/lag-products'
import { solveRidge } from '../../../src/predictor/forecast/ridge'
import { normal } from './series'

const noise = (n: number, seed: number) => {
  const random = seededRandom(seed)
  return Float64Array.from({ length: n }, () => normal(random))
}

/** Row by row, from the definition. */
function directGram(x: Float64Array, lags: number[], from: number, to: number): Float64Array {
  const width = lags.length + 2
  const gram = new Float64Array(width * width)
  for (let t = from; t < to; t++) {
    const row = [x[t]!, ...lags.map((lag) => x[t - lag]!), 1]
    for (let a = 0; a < width; a++) for (let b = a; b < width; b++) gram[a * width + b]! += row[a]! * row[b]!
  }
  return gram
}

function expectSame(actual: Float64Array, expected: Float64Array) {
  expected.forEach((value, k) => {
    expect(actual[k]).toBeCloseTo(value, 8)
  })
}

describe('sums of products at many lags', () => {
  const lags = [1, 2, 3, 23, 24, 25]
  const x = noise(200, 1)

  it('give the Gram matrix of any stretch of rows after one load', () => {
    const products = new LagProducts(lags)
    products.load(x, 200)
    for (const [from, to] of [
      [25, 200],
      [25, 60],
      [100, 101],
      [30, 30],
    ]) {
      const gram = new Float64Array(products.width ** 2)
      products.gram(from!, to!, gram)
      expectSame(gram, directGram(x, lags, from!, to!))
    }
  })

  it('add up over stretches', () => {
    const products = new LagProducts(lags)
    products.load(x, 200)
    const gram = new Float64Array(products.width ** 2)
    products.gram(25, 80, gram)
    products.gram(120, 200, gram)
    const first = directGram(x, lags, 25, 80)
    const second = directGram(x, lags, 120, 200)
    expectSame(
      gram,
      first.map((v, k) => v + second[k]!),
    )
  })

  it.each([
    [25, 200],
    [25, 40],
    [170, 180],
  ])('give the same for the one stretch [%d, %d) without memory of their own', (from, to) => {
    const gram = new Float64Array((lags.length + 2) ** 2)
    new LagGram(lags, from, to).compute(x, gram)
    expectSame(gram, directGram(x, lags, from, to))
  })
})

describe('ridge regression', () => {
  it('finds the coefficients that made the series', () => {
    const e = noise(5_000, 2)
    const x = new Float64Array(5_000)
    for (let t = 2; t < 5_000; t++) x[t] = 0.5 * x[t - 1]! - 0.3 * x[t - 2]! + 2 + e[t]!
    const coefficients = new Float64Array(3)
    solveRidge(directGram(x, [1, 2], 2, 5_000), 4, 0, coefficients, new Float64Array(9))
    expect(coefficients[0]).toBeCloseTo(0.5, 1)
    expect(coefficients[1]).toBeCloseTo(-0.3, 1)
    expect(coefficients[2]).toBeCloseTo(2, 0)
  })

  it('stays finite where regressors repeat each other, or are nothing', () => {
    for (const x of [new Float64Array(100), new Float64Array(100).fill(3)]) {
      const coefficients = new Float64Array(4)
      solveRidge(directGram(x, [1, 2, 3], 3, 100), 5, 0, coefficients, new Float64Array(16))
      expect(coefficients.every(Number.isFinite)).toBe(true)
    }
  })
})

describe('a member', () => {
  const shape = { name: 'm', lags: [1, 2], period: 1, smoothing: 0, ridge: 1e-4 }
  const forecastOf = (member: Autoregression, origin: number, horizon: number, bound = 1e9) => {
    const into = new Float64Array(horizon)
    member.forecast(origin, horizon, -bound, bound, into)
    return Array.from(into)
  }

  it('with a season of 4 and smoothing 1 repeats the last season, again and again', () => {
    const member = new Autoregression({ ...shape, lags: [], period: 4, smoothing: 1, fixed: [0] })
    const z = Float64Array.from([9, 9, 9, 9, 1, 2, 3, 4])
    member.load(z, 8)
    expect(forecastOf(member, 8, 10)).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 1, 2])
    expect(forecastOf(member, 6, 4)).toEqual([9, 9, 1, 2])
  })

  it('with smoothing between keeps a profile that follows, and repeats it', () => {
    const member = new Autoregression({ ...shape, lags: [], period: 2, smoothing: 0.5, fixed: [0] })
    member.load(Float64Array.from([0, 10, 0, 20, 8, 20]), 6)
    const [even, odd] = forecastOf(member, 6, 2)
    expect(even).toBe(4)
    expect(odd).toBe(17.5)
    expect(forecastOf(member, 6, 6)).toEqual([4, 17.5, 4, 17.5, 4, 17.5])
  })

  it('lets the profile follow what it forecasts itself after a whole season', () => {
    const member = new Autoregression({ ...shape, lags: [1], period: 2, smoothing: 0.5, fixed: [1, 0] })
    member.load(Float64Array.from([0, 10, 0, 10, 4, 14]), 6)
    // The profile expects 2 and 12 next, the last value lay 4 above it; each season takes up half of that.
    expect(forecastOf(member, 6, 6)).toEqual([6, 16, 8, 18, 10, 20])
  })

  it('knows nothing of what lies behind an origin', () => {
    const z = noise(300, 3)
    const other = z.slice()
    for (let t = 200; t < 300; t++) other[t] = 100
    for (const smoothing of [0, 0.1, 1]) {
      const forecasts = [z, other].map((series) => {
        const member = new Autoregression({ ...shape, lags: [1, 2, 24], period: 24, smoothing })
        member.load(series, 300)
        member.fit(200, [0, 300])
        return forecastOf(member, 200, 60)
      })
      expect(forecasts[0]).toEqual(forecasts[1])
    }
  })

  it('never leaves its bounds, even with an explosive root', () => {
    const member = new Autoregression({ ...shape, lags: [1], fixed: [1.5, 0] })
    member.load(Float64Array.from([1, 2, 3]), 3)
    expect(forecastOf(member, 3, 50, 10)[49]).toBe(10)
  })

  it('does not fit to targets that are not known', () => {
    const z = noise(400, 4)
    for (let t = 0; t < 400; t++) z[t] = t % 2 ? 1 : -1
    for (let t = 150; t < 250; t++) z[t] = 0
    const member = new Autoregression({ ...shape, lags: [1] })
    member.load(z, 400)
    member.fit(400, [0, 150, 251, 400])
    expect(member.coefficients[0]).toBeCloseTo(-1, 1)
    member.fit(400, [0, 400])
    expect(member.coefficients[0]).toBeGreaterThan(-1.01)
  })
})
