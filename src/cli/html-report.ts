import type { PolicyReport, SimulationReport } from '../rebalancer/report'
import { percent } from './table'

/** What the predictive policy came to under one budget. */
export interface BudgetRun {
  readonly maxMoves: number
  readonly policy: PolicyReport
}

const COLOURS = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6']
const WIDTH = 760
const HEIGHT = 220
const LEFT = 52
const BOTTOM = 28
/** Points of a line; more are not seen. */
const MOST_POINTS = 400

/** The report of a simulation as one page without a request to anywhere; every plot has its numbers in a table. */
export function htmlReport(report: SimulationReport, runs: readonly BudgetRun[]): string {
  const policies = Object.values(report.policies)
  const colours = new Map(policies.map(({ name }, i) => [name, COLOURS[i % COLOURS.length]!]))
  const plot = (title: string, of: (interval: PolicyReport['intervals'][number]) => number, base = 0) =>
    section(title, linePlot(title, policies, colours, of, base), pointsTable(title, policies, of))
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Foreshard: what placement would have cost</title><style>${STYLE}</style></head>
<body><main>
<h1>What placement would have cost</h1>
<p class="verdict">${escaped(report.verdict)}</p>
<p class="meta">${date(report.from)} to ${date(report.to)} UTC · ${report.entries.used.toLocaleString('en')} entries · ${report.shards.length} shards · intervals of ${report.intervalMs / 60_000} min, horizon ${report.horizonMs / 3_600_000} h</p>
<section><h2>Policies side by side</h2>${policyTable(policies, colours)}
<p class="note">J is imbalance plus the share of crossing transactions plus a quarter of the load moved; lower is better. Chance alone leaves an imbalance of ${report.noiseFloor.imbalance.toFixed(3)}, the hottest tag alone ${report.noiseFloor.hottestTag.toFixed(3)}.</p></section>
${plot('Imbalance', (it) => it.imbalance, 1)}
${plot('Transactions that cross shards', (it) => it.crossShard)}
${plot('Moves', (it) => it.moves)}
${runs.length > 0 ? section('Cost against gain by budget', pareto(runs), budgetTable(runs)) : ''}
</main></body></html>
`
}

function section(title: string, svg: string, table: string): string {
  return `<section><h2>${escaped(title)}</h2>${svg}<details><summary>${escaped(title)} in numbers</summary><div class="scroll" tabindex="0" role="region" aria-label="${escaped(title)} in numbers">${table}</div></details></section>`
}

function policyTable(policies: readonly PolicyReport[], colours: ReadonlyMap<string, string>): string {
  const least = Math.min(...policies.map(({ J }) => J))
  const rows = policies.map(
    (it) =>
      `<tr${it.J === least ? ' class="best"' : ''}><th scope="row"><i style="background:var(${colours.get(it.name)})"></i>${escaped(it.name)}</th><td>${it.imbalance.mean.toFixed(3)}</td><td>${it.imbalance.p99.toFixed(2)}</td><td>${percent(it.crossShard)}</td><td>${it.moves}</td><td>${percent(it.loadMoved)}</td><td>${it.J.toFixed(4)}</td></tr>`,
  )
  return `<div class="scroll" tabindex="0" role="region" aria-label="Policies side by side"><table>${head(['policy', 'imbalance', 'p99', 'cross-shard', 'moves', 'load moved', 'J'])}<tbody>${rows.join('')}</tbody></table></div>`
}

function budgetTable(runs: readonly BudgetRun[]): string {
  const rows = runs.map(
    ({ maxMoves, policy }) =>
      `<tr><th scope="row">${maxMoves}</th><td>${policy.moves}</td><td>${percent(policy.loadMoved)}</td><td>${(policy.imbalance.mean + policy.crossShard).toFixed(4)}</td><td>${policy.J.toFixed(4)}</td></tr>`,
  )
  return `<table>${head(['moves a decision', 'moves', 'load moved', 'imbalance + crossing', 'J'])}<tbody>${rows.join('')}</tbody></table>`
}

function pointsTable(
  title: string,
  policies: readonly PolicyReport[],
  of: (interval: PolicyReport['intervals'][number]) => number,
): string {
  const step = Math.max(1, Math.ceil(policies[0]!.intervals.length / 100))
  const rows = policies[0]!.intervals
    .map((it, i) => ({ it, i }))
    .filter(({ i }) => i % step === 0)
    .map(
      ({ it, i }) =>
        `<tr><th scope="row">${date(it.start)}</th>${policies.map((policy) => `<td>${Number((policy.intervals[i] ? of(policy.intervals[i]) : 0).toFixed(3))}</td>`).join('')}</tr>`,
    )
  return `<table><caption>${escaped(title)}${step > 1 ? `, every ${step}th interval` : ''}</caption>${head(['interval', ...policies.map(({ name }) => name)])}<tbody>${rows.join('')}</tbody></table>`
}

function head(titles: readonly string[]): string {
  return `<thead><tr>${titles.map((title) => `<th scope="col">${escaped(title)}</th>`).join('')}</tr></thead>`
}

function linePlot(
  title: string,
  policies: readonly PolicyReport[],
  colours: ReadonlyMap<string, string>,
  of: (interval: PolicyReport['intervals'][number]) => number,
  base: number,
): string {
  const all = policies.map(({ name, intervals }) => ({ name, points: thinned(intervals.map(of)) }))
  const values = all.flatMap(({ points }) => points)
  const top = values.reduce((max, value) => Math.max(max, value), Number.MIN_VALUE)
  const least = Math.min(base, top)
  const y = (value: number) =>
    (HEIGHT - BOTTOM - ((value - least) / (top - least || 1)) * (HEIGHT - BOTTOM - 12)).toFixed(1)
  const x = (i: number, n: number) => (LEFT + (i / Math.max(1, n - 1)) * (WIDTH - LEFT - 10)).toFixed(1)
  const lines = all.map(
    ({ name, points }) =>
      `<polyline fill="none" stroke="var(${colours.get(name)})" stroke-width="1.8" stroke-linejoin="round" points="${points.map((value, i) => `${x(i, points.length)},${y(value)}`).join(' ')}"><title>${escaped(name)}</title></polyline>`,
  )
  const ticks = [0, 0.5, 1].map((share) => {
    const value = least + share * (top - least)
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 8}" y="${Number(y(value)) + 4}" text-anchor="end">${Number(value.toPrecision(3))}</text>`
  })
  const { intervals } = policies[0]!
  const ends =
    intervals.length > 0
      ? `<text x="${LEFT}" y="${HEIGHT - 6}">${date(intervals[0]!.start)}</text><text x="${WIDTH - 10}" y="${HEIGHT - 6}" text-anchor="end">${date(intervals[intervals.length - 1]!.start)}</text>`
      : ''
  const legend = policies
    .map(({ name }) => `<span><i style="background:var(${colours.get(name)})"></i>${escaped(name)}</span>`)
    .join('')
  return `<p class="legend">${legend}</p><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)} of every policy over time; the numbers follow">${ticks.join('')}${ends}${lines.join('')}</svg>`
}

/** Load moved against what is left of imbalance and crossing: nearer to the lower left corner is better. */
function pareto(runs: readonly BudgetRun[]): string {
  const points = runs
    .map(({ maxMoves, policy }) => ({
      maxMoves,
      cost: policy.loadMoved,
      left: policy.imbalance.mean + policy.crossShard,
    }))
    .sort((a, b) => a.cost - b.cost || a.left - b.left)
  // Whatever is no better than something cheaper is dominated.
  const best = points.filter(({ left }, i) => points.slice(0, i).every((cheaper) => cheaper.left > left))
  const across = axis(
    points.map(({ cost }) => cost),
    LEFT + 20,
    WIDTH - 130,
  )
  const up = axis(
    points.map(({ left }) => left),
    HEIGHT - BOTTOM - 20,
    40,
  )
  const marks = points.map((point) => {
    const { maxMoves, cost, left } = point
    const dominated = !best.includes(point)
    return `<circle cx="${across.at(cost)}" cy="${up.at(left)}" r="6" fill="var(${dominated ? '--muted' : '--c3'})"/><text x="${Number(across.at(cost)) + 10}" y="${Number(up.at(left)) + 4}">${maxMoves} moves${dominated ? ', dominated' : ''}</text>`
  })
  const front = `<polyline fill="none" stroke="var(--c3)" stroke-dasharray="4 4" points="${best.map(({ cost, left }) => `${across.at(cost)},${up.at(left)}`).join(' ')}"/>`
  const floor = HEIGHT - BOTTOM
  const ticks = [
    ...across.ends.map(
      (cost) =>
        `<line class="grid" x1="${across.at(cost)}" x2="${across.at(cost)}" y1="30" y2="${floor}"/><text x="${across.at(cost)}" y="${floor + 16}" text-anchor="middle">${(100 * cost).toFixed(1)} %</text>`,
    ),
    ...up.ends.map(
      (left) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - 10}" y1="${up.at(left)}" y2="${up.at(left)}"/><text x="${LEFT - 8}" y="${Number(up.at(left)) + 4}" text-anchor="end">${left.toFixed(3)}</text>`,
    ),
  ]
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + 8}" role="img" aria-label="Load moved against imbalance and crossing by budget; the numbers follow">${ticks.join('')}<text x="${WIDTH - 10}" y="${floor + 16}" text-anchor="end">load moved →</text><text x="${LEFT}" y="20">imbalance + crossing ↑</text>${front}${marks.join('')}</svg>`
}

/** From values to places on a line; its ends are the least and the largest value. */
function axis(values: readonly number[], from: number, to: number) {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return {
    ends: high > low ? [low, high] : [low],
    at: (value: number) => (from + ((value - low) / (high - low || 1)) * (to - from)).toFixed(1),
  }
}

/** Means of neighbours. */
function thinned(values: readonly number[]): number[] {
  const step = Math.ceil(values.length / MOST_POINTS)
  if (step <= 1) return [...values]
  return Array.from({ length: Math.ceil(values.length / step) }, (_, i) => {
    const some = values.slice(i * step, (i + 1) * step)
    return some.reduce((sum, value) => sum + value, 0) / some.length
  })
}

function date(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

const STYLE = `:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--fg:#1c2024;--muted:#5f6770;--line:#e2e4e8;--c1:#8a8f98;--c2:#c2570c;--c3:#0b6bcb;--c4:#2f855a;--c5:#8e44ad;--c6:#b7791f}
@media(prefers-color-scheme:dark){:root{--bg:#131518;--card:#1b1e22;--fg:#e8eaed;--muted:#9aa3ad;--line:#30353b;--c1:#9aa0a8;--c2:#f0883e;--c3:#58a6ff;--c4:#56d38f;--c5:#c792ea;--c6:#e3b341}}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}main{max-width:820px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 12px}h2{font-size:16px;margin:0 0 10px}section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:18px 0}
.verdict{font-size:18px;line-height:1.45;margin:0 0 8px}.meta,.note{color:var(--muted);font-size:13px;margin:8px 0 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}caption{text-align:left;color:var(--muted)}th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th:first-child{text-align:left}thead th{color:var(--muted);font-weight:500;font-size:13px}tbody th{font-weight:500}.best td,.best th{font-weight:700}
i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px}.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 6px;font-size:13px}.scroll{overflow:auto;max-height:420px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--muted);font-size:11px}.grid{stroke:var(--line)}summary{cursor:pointer;color:var(--muted);font-size:13px;margin-top:8px}:focus-visible{outline:2px solid var(--c3);outline-offset:2px}`
