/**
 * The forecast on the M4 competition's hourly series, beside its two benchmarks.
 *
 *   npx tsx test/bench/forecast.ts <m4-hourly-train.csv or .csv.gz>
 *
 * Holds out the last 48 hours of each series, forecasts them from the rest, and prints the competition's own measures
 * (Makridakis, Spiliotis and Assimakopoulos, 2020): sMAPE in %, MASE scaled by the in-sample seasonal naive error of
 * season 24, OWA as the mean of both relative to Naive2, MSIS and coverage of the 95 % interval; and CPU time a
 * series. The file is Hourly-train.csv of github.com/Mcompetitions/M4-methods.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
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

function main(file: string | undefined): void {
  if (!file) {
    console.log(
      'No file given: nothing measured. Give the path of the M4 competition’s Hourly-train.csv, or .csv.gz.',
    )
    return
  }
  const series = readSeries(file)
  const histories = series.map((values) => values.slice(0, -HORIZON))
  const futures = series.map((values) => values.slice(-HORIZON))
  const methods: [string, Method][] = [
    ['Naive2', naive2],
    ['sNaive 24', seasonalNaive],
    ['forecast', (history) => forecast(history, { horizon: HORIZON, level: LEVEL })],
    ['ForecastBank', banked],
  ]
  const results = methods.map(([name, method]) => ({ name, ...judge(method, histories, futures) }))
  const base = results[0]!
  console.log(`${series.length} series, the last ${HORIZON} of each held out`)
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

main(process.argv[2])
