/**
 * The forecast on the M4 competition's hourly series and on request rates, beside the competition's two benchmarks.
 *
 *   FORESHARD_DATA=<folder> npm run bench -- forecast
 *
 * The folder holds m4-hourly-train.csv.gz; where it also holds access logs and rates (bus, worldcup98-minutes), their hourly
 * series are a second table, in which no season is given.
 *
 * Holds out the last 48 hours of each series, forecasts them from the rest, and prints the competition's own measures
 * (Makridakis, Spiliotis and Assimakopoulos, 2020): sMAPE in %, MASE scaled by the in-sample seasonal naive error of
 * season 24, OWA as the mean of both relative to Naive2, MSIS and coverage of the 95 % interval; and CPU time a
 * series. The file is Hourly-train.csv of github.com/Mcompetitions/M4-methods.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { seededRandom } from '../../src/clock'
import { forecast } from '../../src/predictor/forecast'
import { ForecastBank } from '../../src/predictor/forecast/bank'

const HORIZON = 48
const SEASON = 24
const LEVEL = 0.95

interface Prediction {
  mean: ArrayLike<number>
  lower?: ArrayLike<number>
  upper?: ArrayLike<number>
}
type Method = (history: number[]) => Prediction

function readSeries(file: string): number[][] {
  const raw = readFileSync(file)
  const text = (file.endsWith('.gz') ? gunzipSync(raw) : raw).toString()
  return text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) =>
      line
        .split(',')
        .slice(1)
        .map((cell) => cell.replaceAll('"', '').trim())
        .filter((cell) => cell !== '' && cell !== 'NA')
        .map(Number),
    )
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** The values of the last season again, with the competition's interval: normal, growing with each season ahead. */
function seasonalNaive(history: number[]): Prediction {
  const n = history.length
  const forecasts = Array.from({ length: HORIZON }, (_, h) => history[n - SEASON + (h % SEASON)]!)
  let squares = 0
  for (let t = SEASON; t < n; t++) squares += (history[t]! - history[t - SEASON]!) ** 2
  const deviation = Math.sqrt(squares / (n - SEASON))
  const half = forecasts.map((_, h) => 1.96 * deviation * Math.sqrt(Math.floor(h / SEASON) + 1))
  return {
    mean: forecasts,
    lower: forecasts.map((v, h) => v - half[h]!),
    upper: forecasts.map((v, h) => v + half[h]!),
  }
}

/** Last value of the seasonally adjusted series, if the autocorrelation at the season passes the 90 % test. */
function naive2(history: number[]): Prediction {
  const n = history.length
  const average = mean(history)
  const acf = (lag: number) => {
    let product = 0
    for (let t = lag; t < n; t++) product += (history[t]! - average) * (history[t - lag]! - average)
    return product
  }
  const variance = acf(0)
  let squares = 0
  for (let lag = 1; lag < SEASON; lag++) squares += (acf(lag) / variance) ** 2
  const limit = 1.645 * Math.sqrt((1 + 2 * squares) / n)
  let indices = new Array<number>(SEASON).fill(1)
  if (n >= 3 * SEASON && Math.abs(acf(SEASON) / variance) > limit) {
    // Classical multiplicative decomposition, a centred moving average over a season.
    const half = SEASON / 2
    const ratios: number[][] = Array.from({ length: SEASON }, () => [])
    for (let t = half; t < n - half; t++) {
      let sum = (history[t - half]! + history[t + half]!) / 2
      for (let k = 1 - half; k < half; k++) sum += history[t + k]!
      ratios[t % SEASON]!.push((history[t]! * SEASON) / sum)
    }
    indices = ratios.map(mean)
    const level = mean(indices)
    indices = indices.map((index) => index / level)
  }
  const last = history[n - 1]! / indices[(n - 1) % SEASON]!
  return { mean: Array.from({ length: HORIZON }, (_, h) => last * indices[(n + h) % SEASON]!) }
}

/** One refit and forecast of a bank with a single row; its interval is taken as normal. */
function banked(history: number[]): Prediction {
  const intervals = Math.min(672, history.length)
  const bank = new ForecastBank({ segments: 1, intervals, horizon: HORIZON, seasonality: [24, 168] })
  bank.load(history.slice(-intervals))
  bank.refit()
  const expected = new Float64Array(HORIZON)
  const scale = new Float64Array(HORIZON)
  bank.forecast(0, expected, scale)
  return {
    mean: expected,
    lower: expected.map((v, h) => Math.max(0, v - 1.96 * scale[h]!)),
    upper: expected.map((v, h) => v + 1.96 * scale[h]!),
  }
}

function judge(method: Method, histories: number[][], futures: number[][]) {
  let predictions: Prediction[] = []
  let spent = Number.POSITIVE_INFINITY
  // The first pass warms up; of the others the one counts that was least disturbed by what else runs on the machine.
  for (let pass = 0; pass < 5; pass++) {
    const before = process.cpuUsage()
    predictions = histories.map(method)
    const { user, system } = process.cpuUsage(before)
    if (pass > 0) spent = Math.min(spent, user + system)
  }
  let smape = 0
  let mase = 0
  let msis = 0
  let covered = 0
  predictions.forEach((prediction, k) => {
    const history = histories[k]!
    let scale = 0
    for (let t = SEASON; t < history.length; t++) scale += Math.abs(history[t]! - history[t - SEASON]!)
    scale /= history.length - SEASON
    futures[k]!.forEach((actual, h) => {
      const forecast = prediction.mean[h]!
      const error = Math.abs(actual - forecast)
      smape += error === 0 ? 0 : (200 * error) / (Math.abs(actual) + Math.abs(forecast))
      mase += error / scale
      const lower = prediction.lower?.[h] ?? Number.NaN
      const upper = prediction.upper?.[h] ?? Number.NaN
      const outside = Math.max(0, lower - actual, actual - upper)
      msis += (upper - lower + (2 / (1 - LEVEL)) * outside) / scale
      if (actual >= lower && actual <= upper) covered++
    })
  })
  const total = predictions.length * HORIZON
  return {
    smape: smape / total,
    mase: mase / total,
    msis: msis / total,
    cover: (100 * covered) / total,
    ms: spent / 1_000 / predictions.length,
  }
}

const HOUR_MS = 3_600_000

function linesOf(folder: string, file: string): string[] {
  const path = join(folder, file)
  return existsSync(path) ? gunzipSync(readFileSync(path)).toString().trim().split('\n').slice(1) : []
}

/** Hourly rates of the hottest bus stops, and of a web site in the weeks of a World Cup, flash crowds and all. */
function requestRates(folder: string): number[][] {
  const stops = new Map<string, Map<number, number>>()
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (const line of linesOf(folder, 'bus.csv.gz')) {
    const [timestamp, key, , , , count] = line.split(',')
    const hour = Math.floor(Number(timestamp) / HOUR_MS)
    first = Math.min(first, hour)
    last = Math.max(last, hour)
    const rates = stops.get(key!) ?? new Map<number, number>()
    rates.set(hour, (rates.get(hour) ?? 0) + Number(count))
    stops.set(key!, rates)
  }
  const total = (rates: Map<number, number>) => [...rates.values()].reduce((a, b) => a + b, 0)
  const hottest = [...stops.values()].sort((a, b) => total(b) - total(a)).slice(0, 20)
  const series = hottest.map((rates) =>
    Array.from({ length: last - first + 1 }, (_, h) => rates.get(first + h) ?? 0),
  )
  const site = new Map<number, number>()
  for (const line of linesOf(folder, 'worldcup98-minutes.csv.gz')) {
    const [minute, count] = line.split(',')
    const hour = Math.floor(Date.parse(`${minute!.replace(' ', 'T')}Z`) / HOUR_MS)
    site.set(hour, (site.get(hour) ?? 0) + Number(count))
  }
  if (site.size > 0) {
    const from = Math.min(...site.keys())
    const hours = Array.from(
      { length: Math.max(...site.keys()) - from + 1 },
      (_, h) => site.get(from + h) ?? 0,
    )
    // From four quiet weeks into the crowds: a hold-out every three days.
    for (let end = 28 * 24; end <= hours.length; end += 72) series.push(hours.slice(end - 28 * 24, end))
  }
  return series
}

function compare(series: readonly number[][], methods: readonly [string, Method][]): void {
  const histories = series.map((values) => values.slice(0, -HORIZON))
  const futures = series.map((values) => values.slice(-HORIZON))
  const results = methods.map(([name, method]) => ({ name, ...judge(method, histories, futures) }))
  const base = results[0]!
  console.log('| method | sMAPE % | MASE | OWA | MSIS | cover % | ms a series |')
  console.log('|---|---|---|---|---|---|---|')
  for (const r of results) {
    const owa = (r.smape / base.smape + r.mase / base.mase) / 2
    const interval = Number.isNaN(r.msis) ? '| – | – ' : `| ${r.msis.toFixed(2)} | ${r.cover.toFixed(1)} `
    console.log(
      `| ${r.name} | ${r.smape.toFixed(2)} | ${r.mase.toFixed(3)} | ${owa.toFixed(4)} ${interval}| ${r.ms.toFixed(3)} |`,
    )
  }
}

/** CPU time of a bank's refit and 24 steps, a row, on rows of one kind. */
function bankCost(level: number): { refit: number; steps: number } {
  const [segments, intervals] = [2_048, 672]
  const random = seededRandom(level)
  const rates = new Float32Array(segments * intervals)
  for (let s = 0; s < segments; s++) {
    const phase = random() * SEASON
    for (let t = 0; t < intervals; t++) {
      const expected = level * (1 + 0.6 * Math.cos((2 * Math.PI * (t - phase)) / SEASON))
      rates[s * intervals + t] = Math.max(
        0,
        Math.round(expected + 2 * Math.sqrt(expected) * (random() - 0.5)),
      )
    }
  }
  const bank = new ForecastBank({ segments, intervals, horizon: SEASON, seasonality: [24, 168] })
  bank.load(rates)
  const expected = new Float64Array(SEASON)
  const scale = new Float64Array(SEASON)
  const cost = (work: () => void) => {
    let least = Number.POSITIVE_INFINITY
    for (let pass = 0; pass < 12; pass++) {
      const before = process.cpuUsage()
      work()
      const { user, system } = process.cpuUsage(before)
      least = Math.min(least, (user + system) / segments)
    }
    return least
  }
  return {
    refit: cost(() => bank.refit()),
    steps: cost(() => {
      for (let s = 0; s < segments; s++) bank.forecast(s, expected, scale)
    }),
  }
}

function main(folder: string | undefined): void {
  console.log('The bank, µs of CPU a row of 672 intervals:')
  for (const [name, level] of [
    ['autoregressions, 100 an interval', 100],
    ['counts, 3 an interval', 3],
  ] as const) {
    const { refit, steps } = bankCost(level)
    console.log(`  ${name}: refit ${refit.toFixed(1)}, forecast of 24 steps ${steps.toFixed(1)}`)
  }
  if (!folder) {
    console.log('No folder with traces given (FORESHARD_DATA): no accuracy measured.')
    return
  }
  const series = readSeries(join(folder, 'm4-hourly-train.csv.gz'))
  const naives: [string, Method][] = [
    ['Naive2', naive2],
    ['sNaive 24', seasonalNaive],
  ]
  console.log(`\nM4, hourly: ${series.length} series, the last ${HORIZON} of each held out`)
  compare(series, [
    ...naives,
    ['forecast', (history) => forecast(history, { horizon: HORIZON, level: LEVEL })],
    ['ForecastBank', banked],
  ])
  const rates = requestRates(folder)
  if (rates.length === 0) return
  console.log(`\nRequest rates: ${rates.length} hourly series, the last ${HORIZON} of each held out`)
  compare(rates, [
    ...naives,
    ['forecast', (history) => forecast(history, { horizon: HORIZON, level: LEVEL })],
  ])
}

main(process.env.FORESHARD_DATA)
