import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/clock'
import { type Forecast, forecast } from '../../../src/predictor/forecast'
import { counts, meanAbsoluteError, normal, rates, sum, weekly } from './series'

const H = 24

/** What must hold of every forecast of a rate. */
function expectSound(result: Forecast, horizon: number, nonNegative = true) {
  for (const part of [result.mean, result.lower, result.upper]) {
    expect(part).toHaveLength(horizon)
    expect(part.every(Number.isFinite)).toBe(true)
  }
  for (let h = 0; h < horizon; h++) {
    expect(result.lower[h]!).toBeLessThanOrEqual(result.mean[h]!)
    expect(result.mean[h]!).toBeLessThanOrEqual(result.upper[h]!)
    if (nonNegative) expect(result.lower[h]!).toBeGreaterThanOrEqual(0)
  }
  expect(sum(result.model.members.map((member) => member.weight))).toBeCloseTo(1, 9)
}

describe('the forecast of a seasonal rate', () => {
  it('is a sixth better than the value a week ago, which is as good as noise allows, over many seeds', () => {
    let mine = 0
    let naive = 0
    for (let seed = 1; seed <= 12; seed++) {
      const series = rates(800, 0.1, 672 + 48, seed)
      const future = series.slice(672)
      mine += meanAbsoluteError(future, forecast(series.slice(0, 672), { horizon: 48 }).mean)
      naive += meanAbsoluteError(future, series.slice(672 - 168, 672 - 168 + 48))
    }
    expect(mine / naive).toBeLessThan(0.84)
  })

  it('finds the day and the week by itself and names them with the members it used', () => {
    const { model } = forecast(rates(800, 0.1, 672, 3), { horizon: H })
    expect(model).toMatchObject({
      seasonality: [24, 168],
      seasonalitySource: 'found',
      intervals: 672,
      gaps: 0,
    })
    expect(model.fallback).toBeUndefined()
    expect(model.members.length).toBeGreaterThan(1)
    expect(model.members.every((member) => member.name.length > 0 && member.weight > 0)).toBe(true)
  })

  it.each([7, 12, 31, 48, 144])('finds a season of %d intervals that nobody named', (period) => {
    const random = seededRandom(period)
    const n = Math.max(400, 6 * period)
    const value = (t: number) => 100 + 60 * Math.sin((2 * Math.PI * t) / period)
    const series = Array.from({ length: n }, (_, t) => value(t) + 8 * normal(random))
    const result = forecast(series, { horizon: H })
    expect(result.model.seasonality[0]).toBe(period)
    expect(
      meanAbsoluteError(
        Array.from({ length: H }, (_, h) => value(n + h)),
        result.mean,
      ),
    ).toBeLessThan(8)
  })

  it('finds no season in noise', () => {
    let found = 0
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed)
      const series = Array.from({ length: 500 }, () => 100 + 10 * normal(random))
      if (forecast(series, { horizon: 2 }).model.seasonality.length) found++
    }
    expect(found).toBeLessThanOrEqual(2)
  })

  it('is the same for the same input, whatever was forecast in between', () => {
    const series = rates(300, 0.2, 700, 8)
    const once = forecast(series, { horizon: 48 })
    forecast(rates(5, 0.5, 700, 9), { horizon: 48 })
    forecast(rates(300, 0.2, 100, 9), { horizon: 7, seasonality: 24 })
    expect(forecast(series, { horizon: 48 })).toEqual(once)
  })

  it('is the same in any unit', () => {
    const series = rates(300, 0.2, 672, 8)
    const plain = forecast(series, { horizon: H })
    for (const unit of [2 ** -60, 2 ** 60, 2 ** 990]) {
      const other = forecast(
        series.map((v) => v * unit),
        { horizon: H },
      )
      for (let h = 0; h < H; h++) expect(other.mean[h]! / unit / plain.mean[h]!).toBeCloseTo(1, 6)
    }
  })
})

describe('the interval', () => {
  it.each([
    [0.95, 0.93, 0.985],
    [0.8, 0.75, 0.9],
  ])('at level %d holds what it promises, over many seeds', (level, least, most) => {
    let inside = 0
    let total = 0
    for (let seed = 1; seed <= 40; seed++) {
      const series = rates(800, seed % 2 ? 0.1 : 0.3, 672 + H, seed)
      const { lower, upper } = forecast(series.slice(0, 672), { horizon: H, level })
      for (let h = 0; h < H; h++, total++) {
        const actual = series[672 + h]!
        if (actual >= lower[h]! && actual <= upper[h]!) inside++
      }
    }
    expect(inside / total).toBeGreaterThan(least)
    expect(inside / total).toBeLessThan(most)
  })

  it('widens with the level', () => {
    const series = rates(800, 0.2, 672, 4)
    const width = (level: number) => {
      const { lower, upper } = forecast(series, { horizon: H, level })
      return sum(upper) - sum(lower)
    }
    expect(width(0.5)).toBeLessThan(width(0.8))
    expect(width(0.8)).toBeLessThan(width(0.99))
  })

  it('of counts holds nine in ten at least', () => {
    let inside = 0
    for (let seed = 1; seed <= 30; seed++) {
      const series = counts(2, 672 + H, seed)
      const { lower, upper } = forecast(series.slice(0, 672), { horizon: H, level: 0.9 })
      for (let h = 0; h < H; h++) if (series[672 + h]! >= lower[h]! && series[672 + h]! <= upper[h]!) inside++
    }
    expect(inside / (30 * H)).toBeGreaterThan(0.9)
  })
})

describe('what breaks forecasts', () => {
  it.each([0, 1, 2, 3, 5, 8, 11, 23, 25, 47, 49, 72, 96, 168, 200, 336, 504])(
    'a history of %d hours gives a sound forecast, inside what was seen',
    (n) => {
      for (let seed = 1; seed <= 4; seed++) {
        for (const series of [rates(500, 0.2, n, seed), counts(3, n, seed)]) {
          for (const seasonality of [undefined, 24, [24, 168]]) {
            const result = forecast(series, { horizon: 48, seasonality })
            expectSound(result, 48)
            const most = Math.max(0, ...series)
            expect(Math.max(...result.mean)).toBeLessThanOrEqual(2 * most)
          }
        }
      }
    },
  )

  it.each([72, 168, 336])('a history of %d hours is forecast better than by its last value', (n) => {
    let mine = 0
    let naive = 0
    for (let seed = 1; seed <= 10; seed++) {
      // Every day alike: what a weekend is cannot be learned from one week.
      const series = rates(500, 0.1, n + H, seed).map((v, t) => v / (weekly(t) / weekly(t % 24)))
      const future = series.slice(n)
      mine += meanAbsoluteError(future, forecast(series.slice(0, n), { horizon: H }).mean)
      naive += meanAbsoluteError(future, new Array<number>(H).fill(series[n - 1]!))
    }
    expect(mine).toBeLessThan(0.5 * naive)
  })

  it('nothing but zeros is forecast as zero, with no upper bound worth the name', () => {
    const result = forecast(new Array<number>(672).fill(0), { horizon: H })
    expectSound(result, H)
    expect(Math.max(...result.upper)).toBe(0)
  })

  it('no known interval is forecast as zero, and says why', () => {
    for (const series of [[], [Number.NaN], new Array<number>(50).fill(Number.NaN)]) {
      const result = forecast(series, { horizon: 3 })
      expectSound(result, 3)
      expect(result.mean).toEqual([0, 0, 0])
      expect(result.model.fallback).toContain('no known interval')
    }
  })

  it.each([7, 4_000, -3, 0.001])('a constant %d stays what it is', (value) => {
    const result = forecast(new Array<number>(300).fill(value), { horizon: H })
    expect(result.mean).toEqual(new Array<number>(H).fill(value))
    expect(result.model.fallback).toContain('same value')
  })

  it.each([0.05, 0.3, 1, 5, 10, 15, 20, 30])(
    'Poisson counts of %d an hour are forecast without bias',
    (level) => {
      // Each row begins on another day, so that every day of the week is forecast.
      const rows = 70
      let expected = 0
      let truth = 0
      for (let s = 0; s < rows; s++) {
        const series = counts(level, 672 + 24 * s, s + 1).slice(24 * s)
        const result = forecast(series, { horizon: H, seasonality: s % 2 ? [24, 168] : undefined })
        expectSound(result, H)
        expected += sum(result.mean)
        truth += sum(Array.from({ length: H }, (_, h) => level * weekly(24 * s + 672 + h)))
      }
      expect(expected / truth).toBeGreaterThan(0.9)
      expect(expected / truth).toBeLessThan(1.1)
    },
  )

  it('low counts follow the hours of the day rather than their mean', () => {
    let mine = 0
    let flat = 0
    for (let seed = 1; seed <= 20; seed++) {
      const series = counts(2, 672, seed)
      const truth = Array.from({ length: H }, (_, h) => 2 * weekly(672 + h))
      mine += meanAbsoluteError(truth, forecast(series, { horizon: H, seasonality: [24, 168] }).mean)
      flat += meanAbsoluteError(truth, new Array<number>(H).fill(sum(series) / 672))
    }
    expect(mine).toBeLessThan(0.6 * flat)
  })

  it.each([0.02, 0.2, 0.6])('a share of %d of missing intervals hardly matters', (share) => {
    let torn = 0
    let whole = 0
    for (let seed = 1; seed <= 8; seed++) {
      const random = seededRandom(seed)
      const series = rates(500, 0.1, 672 + H, seed)
      const gaps = series.map((v) => (random() < share ? Number.NaN : v))
      const result = forecast(gaps.slice(0, 672), { horizon: H })
      expectSound(result, H)
      torn += meanAbsoluteError(series.slice(672), result.mean)
      whole += meanAbsoluteError(series.slice(672), forecast(series.slice(0, 672), { horizon: H }).mean)
    }
    expect(torn / whole).toBeLessThan(1 + 2 * share)
  })

  it('days that are missing, also the last ones and the first, are not taken for silence', () => {
    for (const [from, to] of [
      [0, 100],
      [300, 360],
      [640, 672],
    ]) {
      const series = rates(500, 0.05, 672 + H, 7)
      const torn = series.slice(0, 672).map((v, t) => (t >= from! && t < to! ? Number.NaN : v))
      const { mean, model } = forecast(torn, { horizon: H })
      expect(model.gaps).toBe(from === 0 ? 0 : to! - from!)
      expect(meanAbsoluteError(series.slice(672), mean)).toBeLessThan(0.15 * 500)
    }
  })

  it('one spike does not come back', () => {
    for (const make of [
      (seed: number) => rates(200, 0.1, 672 + H, seed),
      (seed: number) => counts(0.5, 672 + H, seed),
    ]) {
      const series = make(5)
      const spiked = series.slice(0, 672)
      spiked[400] = 200_000
      const quiet = forecast(series.slice(0, 672), { horizon: H, seasonality: [24, 168] })
      const result = forecast(spiked, { horizon: H, seasonality: [24, 168] })
      expectSound(result, H)
      expect(sum(result.mean) / sum(quiet.mean)).toBeGreaterThan(0.5)
      expect(sum(result.mean) / sum(quiet.mean)).toBeLessThan(1.6)
    }
  })

  it('growth without end is held near what was seen', () => {
    const series = Array.from({ length: 200 }, (_, t) => Math.exp(0.1 * t))
    const result = forecast(series, { horizon: 1_000 })
    expectSound(result, 1_000)
    expect(Math.max(...result.mean)).toBeLessThan(series[199]! * 200)
    const swinging = Array.from({ length: 72 }, (_, t) => 1_000 + (t % 2 ? 1 : -1) * 1.06 ** t)
    expect(Math.max(...forecast(swinging, { horizon: 500 }).mean)).toBeLessThan(2_000)
  })

  it('a flash crowd is forecast no worse than by its last value', () => {
    let mine = 0
    let naive = 0
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed)
      // Bursts at random times that decay, over a small base.
      let crowd = 0
      const series = Array.from({ length: 600 + 12 }, () => {
        crowd = 0.9 * crowd + (random() < 0.02 ? 5_000 * random() : 0)
        return Math.round((100 + crowd) * Math.exp(0.05 * normal(random)))
      })
      const future = series.slice(600)
      mine += meanAbsoluteError(future, forecast(series.slice(0, 600), { horizon: 12 }).mean)
      naive += meanAbsoluteError(future, new Array<number>(12).fill(series[599]!))
    }
    expect(mine).toBeLessThanOrEqual(naive)
  })

  it('a change of regime is followed within days', () => {
    const series = rates(500, 0.1, 672 + H, 3).map((v, t) => (t >= 600 ? 3 * v : v))
    const { mean } = forecast(series.slice(0, 672), { horizon: H })
    expect(sum(mean) / sum(series.slice(672))).toBeGreaterThan(0.75)
    expect(sum(mean) / sum(series.slice(672))).toBeLessThan(1.25)
  })

  it('negative values are taken as they are', () => {
    const random = seededRandom(2)
    const value = (t: number) => 10 * Math.sin((2 * Math.PI * t) / 24)
    const series = Array.from({ length: 400 }, (_, t) => value(t) + normal(random))
    const result = forecast(series, { horizon: H })
    expectSound(result, H, false)
    expect(
      meanAbsoluteError(
        Array.from({ length: H }, (_, h) => value(400 + h)),
        result.mean,
      ),
    ).toBeLessThan(1.5)
  })

  it('a season longer than the history is set aside, and said', () => {
    const series = rates(500, 0.1, 100, 1)
    const result = forecast(series, { horizon: H, seasonality: [24, 168] })
    expectSound(result, H)
    expect(result.model.fallback).toContain('fewer than')
  })

  it('the longest horizon and huge numbers stay finite', () => {
    expectSound(forecast(rates(500, 0.1, 672, 1), { horizon: 10_000 }), 10_000)
    expectSound(
      forecast(
        rates(1, 0.1, 672, 1).map((v) => v * 1e307),
        { horizon: 48 },
      ),
      48,
    )
    expectSound(forecast([1e308, 1e308, 9e307, 1e308, 1e308, 9e307, 0, 1e308, 1e308, 3], { horizon: 4 }), 4)
    expectSound(forecast([5e-324, 0, 5e-324, 0, 0, 5e-324, 0, 0, 5e-324, 0], { horizon: 4 }), 4)
  })
})
