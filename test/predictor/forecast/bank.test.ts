import { describe, expect, it } from 'vitest'
import { isForeshardError } from '../../../src/errors'
import { ForecastBank } from '../../../src/predictor/forecast/bank'
import { counts, meanAbsoluteError, rates, sum, weekly } from './series'

const H = 24
const N = 672

function fieldOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    if (isForeshardError(error, 'INVALID_ARGUMENT')) return error.field
    throw error
  }
  return undefined
}

function bankOf(rows: number[][], options = {}): ForecastBank {
  const bank = new ForecastBank({
    segments: rows.length,
    intervals: N,
    horizon: H,
    seasonality: [24, 168],
    ...options,
  })
  bank.load(Float64Array.from(rows.flatMap((row) => row.slice(0, N))))
  return bank
}

function forecastOf(bank: ForecastBank, segment: number) {
  const mean = new Float64Array(bank.horizon)
  const scale = new Float64Array(bank.horizon)
  bank.forecast(segment, mean, scale)
  return { mean, scale }
}

describe('a bank of forecasts', () => {
  it('follows the daily and the weekly season of a rate better than yesterday or last week do', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const series = rates(500, 0.1, N + H, seed)
      const bank = bankOf([series])
      bank.refit()
      const { mean } = forecastOf(bank, 0)
      const error = meanAbsoluteError(series.slice(N), mean)
      expect(bank.kind(0)).toBe('rates')
      expect(error).toBeLessThan(meanAbsoluteError(series.slice(N), series.slice(N - 168)))
      expect(error).toBeLessThan(meanAbsoluteError(series.slice(N), series.slice(N - 24)))
    }
  })

  it.each([0.05, 0.3, 1, 5, 10, 20, 30])(
    'expects about as many accesses as there are, at %d an interval',
    (level) => {
      // Each row begins on another day, so that every day of the week is forecast.
      const rows = Array.from({ length: 140 }, (_, s) => counts(level, N + 24 * s, s + 1).slice(24 * s))
      const bank = bankOf(rows)
      bank.refit()
      const expected = sum(rows.map((_, s) => sum(forecastOf(bank, s).mean)))
      const truth = sum(
        rows.map((_, s) => sum(Array.from({ length: H }, (_, h) => level * weekly(24 * s + N + h)))),
      )
      expect(expected / truth).toBeGreaterThan(0.9)
      expect(expected / truth).toBeLessThan(1.1)
    },
  )

  it('gives an error scale that about 95 % of the actual values stay below at 1.645 times', () => {
    const rows = Array.from({ length: 80 }, (_, seed) =>
      seed % 2 ? rates(300, 0.2, N + H, seed + 1) : counts(4, N + H, seed + 1),
    )
    const bank = bankOf(rows)
    bank.refit()
    let below = 0
    rows.forEach((row, s) => {
      const { mean, scale } = forecastOf(bank, s)
      for (let h = 0; h < H; h++) if (row[N + h]! <= mean[h]! + 1.645 * scale[h]!) below++
    })
    expect(below / (rows.length * H)).toBeGreaterThan(0.92)
    expect(below / (rows.length * H)).toBeLessThan(0.98)
  })

  it('keeps errors of about one unit of scale, and errors of rows that rise together together', () => {
    const shared = rates(400, 0.3, N + H, 5)
    const bank = bankOf([shared, shared.map((v) => 3 * v), rates(400, 0.3, N + H, 6)])
    bank.refit()
    const [a, b, c] = [0, 1, 2].map((s) => Array.from(bank.errors(s)))
    const correlation = (x: number[], y: number[]) =>
      sum(x.map((v, k) => v * y[k]!)) / Math.sqrt(sum(x.map((v) => v * v)) * sum(y.map((v) => v * v)))
    expect(a).toHaveLength(bank.origins * H)
    expect(Math.sqrt(sum(a!.map((e) => e * e)) / a!.length)).toBeGreaterThan(0.8)
    expect(Math.sqrt(sum(a!.map((e) => e * e)) / a!.length)).toBeLessThan(1.1)
    expect(correlation(a!, b!)).toBeGreaterThan(0.99)
    expect(Math.abs(correlation(a!, c!))).toBeLessThan(0.5)
  })

  it('knows after pushes what it would know after a load of the same columns', () => {
    const rows = [rates(500, 0.1, N + 100, 3), counts(2, N + 100, 4)]
    const pushed = bankOf(rows)
    pushed.refit()
    for (let t = N; t < N + 100; t++) pushed.push(rows.map((row) => row[t]!))
    pushed.refit()
    const loaded = new ForecastBank({ segments: 2, intervals: N, horizon: H, seasonality: [24, 168] })
    loaded.load(
      rows.flatMap((row) => row.slice(100)),
      100,
    )
    loaded.refit()
    expect(pushed.next).toBe(N + 100)
    for (const s of [0, 1]) {
      expect(forecastOf(pushed, s)).toEqual(forecastOf(loaded, s))
      expect(pushed.errors(s)).toEqual(loaded.errors(s))
    }
  })

  it('forecasts from the coefficients it has as columns come in, and says how far off it was', () => {
    const row = rates(500, 0.1, N + 72, 9)
    const bank = bankOf([row])
    bank.refit()
    const residuals = new Float32Array(1)
    let squares = 0
    for (let t = N; t < N + 72; t++) {
      const { mean, scale } = forecastOf(bank, 0)
      bank.push([row[t]!], residuals)
      expect(residuals[0]).toBeCloseTo((row[t]! - mean[0]!) / scale[0]!, 4)
      squares += residuals[0]! ** 2
    }
    expect(squares / 72).toBeLessThan(2)
    expect(meanAbsoluteError([weekly(N + 72) * 500], [forecastOf(bank, 0).mean[0]!])).toBeLessThan(60)
  })

  it('lets a row without a history of its own borrow the profile of its cluster', () => {
    const rows = Array.from({ length: 41 }, (_, s) => counts(3, N, s + 1))
    // The last row was born two days ago.
    rows[40] = rows[40]!.map((v, t) => (t < N - 48 ? Number.NaN : v))
    const bank = bankOf(rows)
    bank.refit()
    const alone = forecastOf(bank, 40).mean
    const profile = bank.profileOf(rows.keys())
    expect(sum(profile) / profile.length).toBeCloseTo(1, 6)
    bank.refit({ profiles: [profile], of: rows.map(() => 0) })
    const borrowed = forecastOf(bank, 40).mean
    const truth = Array.from({ length: H }, (_, h) => 3 * weekly(N + h))
    expect(meanAbsoluteError(truth, borrowed)).toBeLessThan(0.6 * meanAbsoluteError(truth, alone))
  })

  it('keeps a pooled profile in phase when the history began at another hour', () => {
    const rows = Array.from({ length: 40 }, (_, s) => counts(3, N + 31, s + 1).slice(31))
    // The first row was born two days ago: almost all it knows is borrowed.
    rows[0] = rows[0]!.map((v, t) => (t < N - 48 ? Number.NaN : v))
    const bank = new ForecastBank({ segments: 40, intervals: N, horizon: H, seasonality: [24, 168] })
    bank.load(rows.flat(), 31)
    const profile = bank.profileOf(rows.keys())
    bank.refit({ profiles: [profile], of: rows.map(() => 0) })
    const truth = Array.from({ length: H }, (_, h) => 3 * weekly(N + 31 + h))
    expect(meanAbsoluteError(truth, forecastOf(bank, 0).mean)).toBeLessThan(0.8)
    expect(
      meanAbsoluteError(
        Array.from({ length: 168 }, (_, k) => weekly(k)),
        profile,
      ),
    ).toBeLessThan(0.15)
  })

  it('follows a level that rises, from column to column, before any refit', () => {
    const row = rates(500, 0.05, N + 3 * 168 + H, 4).map((v, t) => (t < N ? v : 2 * v))
    const bank = bankOf([row])
    bank.refit()
    const errorAt = (t: number) => {
      const { mean } = forecastOf(bank, 0)
      return meanAbsoluteError(row.slice(t, t + H), mean) / (sum(row.slice(t, t + H)) / H)
    }
    const before = errorAt(N)
    for (let t = N; t < N + 3 * 168; t++) bank.push([row[t]!])
    expect(before).toBeGreaterThan(0.4)
    expect(errorAt(N + 3 * 168)).toBeLessThan(0.3)
  })

  it('expects nothing of rows that are all zero or all unknown, and stays finite on constants and spikes', () => {
    const spike = new Array<number>(N).fill(0)
    spike[300] = 1e6
    const flat = new Array<number>(N).fill(50)
    const rows = [new Array<number>(N).fill(0), new Array<number>(N).fill(Number.NaN), flat, spike]
    const bank = bankOf(rows)
    bank.refit()
    expect([0, 1, 2, 3].map((s) => bank.kind(s)).slice(0, 3)).toEqual(['nothing', 'nothing', 'rates'])
    expect(sum(forecastOf(bank, 0).mean) + sum(forecastOf(bank, 1).mean)).toBe(0)
    for (const v of forecastOf(bank, 2).mean) expect(v).toBeCloseTo(50, 3)
    for (const s of rows.keys()) {
      const { mean, scale } = forecastOf(bank, s)
      for (let h = 0; h < H; h++) {
        expect(mean[h]! >= 0 && mean[h]! <= 1e6 && scale[h]! >= 0 && Number.isFinite(scale[h]!)).toBe(true)
      }
      expect(Array.from(bank.errors(s)).every(Number.isFinite)).toBe(true)
    }
    bank.push(rows.map(() => Number.NaN))
    bank.push(rows.map(() => 1))
    bank.refit()
    for (const s of rows.keys())
      expect(Array.from(forecastOf(bank, s).mean).every(Number.isFinite)).toBe(true)
  })

  it('takes a gap for what was expected then, not for zero', () => {
    const row = rates(500, 0.05, N + H, 2)
    const torn = row.map((v, t) => (t % 50 < 4 && t < N && t > 0 ? Number.NaN : v))
    const bank = bankOf([row, torn])
    bank.refit()
    const truth = row.slice(N)
    expect(meanAbsoluteError(truth, forecastOf(bank, 1).mean)).toBeLessThan(
      2 * meanAbsoluteError(truth, forecastOf(bank, 0).mean),
    )
  })

  it('forgets errors of a kind of row it no longer is', () => {
    const bank = bankOf([rates(500, 0.1, N, 1)])
    bank.refit()
    bank.load(new Float64Array(N))
    bank.refit()
    expect(sum(Array.from(bank.errors(0), Math.abs))).toBe(0)
  })

  it('works without a season and with a short ring', () => {
    const bank = new ForecastBank({ segments: 1, intervals: 64, horizon: 8 })
    bank.load(Float32Array.from({ length: 64 }, (_, t) => 100 + (t % 3)))
    bank.refit()
    const mean = new Float64Array(8)
    bank.forecast(0, mean, new Float64Array(8))
    for (const v of mean) expect(Math.abs(v - 101)).toBeLessThan(2)
  })

  it('names what is wrong with what it is given', () => {
    const make = (options: object) => () => new ForecastBank({ segments: 1, ...options })
    expect(fieldOf(make({ segments: 0 }))).toBe('options.segments')
    expect(fieldOf(make({ intervals: 10 }))).toBe('options.intervals')
    expect(fieldOf(make({ horizon: 0 }))).toBe('options.horizon')
    for (const seasonality of [[1], [24, 100], [168, 24], [2, 4, 8]])
      expect(fieldOf(make({ seasonality }))).toBe('options.seasonality')
    const bank = bankOf([counts(1, N, 1)])
    expect(fieldOf(() => bank.load([1, 2, 3]))).toBe('rates')
    expect(fieldOf(() => bank.load(new Float64Array(N).fill(-1)))).toBe('rates[0]')
    expect(fieldOf(() => bank.push([1, 2]))).toBe('column')
    expect(fieldOf(() => bank.push([Number.POSITIVE_INFINITY]))).toBe('column[0]')
    expect(fieldOf(() => bank.refit({ profiles: [[1]], of: [0] }))).toBe('pooled.profiles[0]')
    expect(fieldOf(() => bank.refit({ profiles: [], of: [0] }))).toBe('pooled.of[0]')
    expect(fieldOf(() => bank.refit(undefined, 0, 2))).toBe('from')
    expect(fieldOf(() => bank.forecast(1, new Float64Array(1), new Float64Array(1)))).toBe('segment')
    expect(fieldOf(() => bank.forecast(0, new Float64Array(99), new Float64Array(99)))).toBe('mean')
  })
})
