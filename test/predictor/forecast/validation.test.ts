import { describe, expect, it } from 'vitest'
import { isForeshardError } from '../../../src/errors'
import { forecast } from '../../../src/predictor/forecast'

const week = Array.from({ length: 168 }, (_, t) => 100 + 50 * Math.sin((2 * Math.PI * t) / 24))

function fieldOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    if (isForeshardError(error, 'INVALID_ARGUMENT')) return error.field
    throw error
  }
  return undefined
}

describe('what a caller may give to forecast', () => {
  it.each([0, -1, 1.5, Number.NaN, 10_001, undefined, '24'])('refuses the horizon %s by name', (horizon) => {
    expect(fieldOf(() => forecast(week, { horizon: horizon as number }))).toBe('options.horizon')
  })

  it.each([0, 1, -0.5, 95, Number.NaN, '0.9'])('refuses the level %s by name', (level) => {
    expect(fieldOf(() => forecast(week, { horizon: 1, level: level as number }))).toBe('options.level')
  })

  it.each([0, 1, 2.5, Number.NaN, 20_001])('refuses the seasonality %s by name', (seasonality) => {
    expect(fieldOf(() => forecast(week, { horizon: 1, seasonality }))).toBe('options.seasonality')
    expect(fieldOf(() => forecast(week, { horizon: 1, seasonality: [24, seasonality] }))).toBe(
      'options.seasonality[1]',
    )
  })

  it('refuses more than two seasons and what is no list of seasons', () => {
    expect(fieldOf(() => forecast(week, { horizon: 1, seasonality: [12, 24, 168] }))).toBe(
      'options.seasonality',
    )
    expect(fieldOf(() => forecast(week, { horizon: 1, seasonality: 'day' as never }))).toBe(
      'options.seasonality',
    )
  })

  it('refuses what is no series, and names the interval that is no number', () => {
    expect(fieldOf(() => forecast(null as never, { horizon: 1 }))).toBe('series')
    expect(fieldOf(() => forecast({} as never, { horizon: 1 }))).toBe('series')
    expect(fieldOf(() => forecast([1, 2, Number.POSITIVE_INFINITY], { horizon: 1 }))).toBe('series[2]')
    expect(fieldOf(() => forecast([1, null as never], { horizon: 1 }))).toBe('series[1]')
    expect(fieldOf(() => forecast(week, undefined as never))).toBe('options')
  })

  it('takes typed arrays, one season or two in any order, or none', () => {
    const plain = forecast(week, { horizon: 5, seasonality: [24, 12] })
    expect(forecast(Float64Array.from(week), { horizon: 5, seasonality: [12, 24] })).toEqual(plain)
    expect(plain.model.seasonality).toEqual([12, 24])
    expect(forecast(week, { horizon: 5, seasonality: [] }).model).toMatchObject({
      seasonality: [],
      seasonalitySource: 'none',
    })
  })

  it('leaves the series as it was', () => {
    const series = [1, Number.NaN, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    const before = series.slice()
    forecast(series, { horizon: 3 })
    expect(series).toEqual(before)
  })
})
