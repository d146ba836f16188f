import uPlot from 'uplot'
import type { OutlookDocument } from '../document'
import { byId, redraw, row, table } from './element'
import { fixed, share, short, weekdayHour } from './words'

let chart: uPlot | undefined
let last: OutlookDocument | undefined

/** Loads as they came, the forecast made a horizon ago, and the one of what is to come, with its interval. */
export function drawOutlook(it: OutlookDocument): void {
  last = it
  const { from, intervalMs, loads, before, ahead, covered, level } = it
  const length = loads.length + (ahead?.mean.length ?? 0)
  const times = Array.from({ length }, (_, t) => (from + t * intervalMs) / 1000)
  const start = loads.length - (before?.mean.length ?? 0)
  const line = (values: readonly number[] | undefined, at: number) =>
    Array.from({ length }, (_, t) => values?.[t - at] ?? null)
  const perSecond = (values: (number | null)[]) =>
    values.map((v) => (v === null ? null : (v * 1000) / intervalMs))
  const lines = [
    line(loads, 0),
    line(before?.mean, start),
    line(before?.upper, start),
    line(before?.lower, start),
    line(ahead?.mean, loads.length),
    line(ahead?.upper, loads.length),
    line(ahead?.lower, loads.length),
  ].map(perSecond)

  const place = byId('outlook')
  const words =
    before && covered !== undefined
      ? `The forecast made ${before.mean.length} intervals ago held ${share(covered)} of what came within its ${share(level)} interval; its mean absolute error was ${share(errorOf(loads.slice(start), before.mean))} of the load.`
      : 'Too little is known yet for a forecast to be compared with what came.'
  byId('outlookWords').textContent = words
  place.setAttribute('aria-label', `${it.of}: ${words}`)
  chart?.destroy()
  chart = new uPlot(optionsOf(place.clientWidth), [times, ...lines] as uPlot.AlignedData, place)

  redraw(byId('outlookTable'), it, () => [
    table(
      `Load of ${it.of} a second`,
      ['Interval', 'came', 'was forecast', 'interval', 'is forecast', 'interval'],
      times.slice(Math.max(0, start)).map((at, k) => {
        const t = Math.max(0, start) + k
        const value = (i: number) => lines[i]![t]
        const number = (i: number) => (value(i) == null ? '' : fixed(value(i)!, 2))
        const band = (low: number, high: number) =>
          value(low) == null ? '' : `${number(low)} to ${number(high)}`
        return row(
          [weekdayHour(at * 1000), number(0), number(1), band(3, 2), number(4), band(6, 5)],
          [1, 2, 4],
        )
      }),
      [1, 2, 4],
    ),
  ])
}

/** Again, in the colours and the width of now. */
export function redrawOutlook(): void {
  if (last) drawOutlook(last)
}

function optionsOf(width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const [ink, soft, grid, blue, amber] = ['--ink', '--soft', '--grid', '--blue', '--amber'].map(colour) as [
    string,
    string,
    string,
    string,
    string,
  ]
  const value = (_: uPlot, v: number | null) => (v === null ? '–' : `${short(v)}/s`)
  const axis: uPlot.Axis = {
    stroke: soft,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
  }
  const bound = (label: string): uPlot.Series => ({
    label,
    stroke: 'transparent',
    width: 0,
    points: { show: false },
    value,
  })
  const mean = (label: string, stroke: string): uPlot.Series => ({
    label,
    stroke,
    width: 1.5,
    dash: [6, 4],
    points: { show: false },
    value,
  })
  return {
    width: Math.max(320, width),
    height: 260,
    // The bounds are in the table.
    legend: { show: false },
    cursor: { drag: { x: true, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.05, 1e-6)] } },
    axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => `${short(tick)}/s`) }],
    series: [
      { label: 'interval', value: (_, at) => (at == null ? '–' : weekdayHour(at * 1000)) },
      { label: 'came', stroke: ink, width: 1.5, points: { show: false }, value },
      mean('was forecast', amber),
      bound('at most'),
      bound('at least'),
      mean('is forecast', blue),
      bound('at most'),
      bound('at least'),
    ],
    bands: [
      { series: [3, 4], fill: `${amber}33` },
      { series: [6, 7], fill: `${blue}33` },
    ],
  }
}

function errorOf(came: readonly number[], mean: readonly number[]): number {
  const total = came.reduce((sum, load) => sum + load, 0)
  const off = came.reduce((sum, load, t) => sum + Math.abs(load - mean[t]!), 0)
  return total > 0 ? off / total : 0
}
