import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CATALOGUE } from '../../src/monitoring'

const read = (path: string) => readFileSync(resolve(import.meta.dirname, '../../docs', path), 'utf8')
const names = new Set(CATALOGUE.map(({ name }) => name))
const histograms = new Set(CATALOGUE.filter(({ kind }) => kind === 'histogram').map(({ name }) => name))

/** The names of metrics in an expression, without what a histogram adds. */
function metricsIn(text: string): string[] {
  return [...text.matchAll(/foreshard_[a-z_0-9]+/g)].map(([name]) => {
    const base = name.replace(/_(bucket|sum|count)$/, '')
    return histograms.has(base) ? base : name
  })
}

interface Rule {
  alert: string
  expr: string
  summary: string
}

/** The rules, by the shape in which they are written: a line a field. */
function rules(): Rule[] {
  const blocks = read('monitoring/alerts.yml')
    .split(/^ {6}- alert: /m)
    .slice(1)
  return blocks.map((block) => {
    const field = (name: string) => new RegExp(`^ {8}${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
    return {
      alert: block.split('\n')[0]!,
      expr: field('expr'),
      summary: /summary: "([^"]+)"/.exec(field('annotations'))?.[1] ?? '',
    }
  })
}

interface Panel {
  id: number
  title: string
  targets?: { expr: string; legendFormat: string }[]
}

const dashboard = JSON.parse(read('monitoring/dashboard.json')) as { panels: Panel[] }

/** Parentheses and braces that close in order, outside of what is quoted. */
function balanced(expression: string): boolean {
  const open: string[] = []
  for (const sign of expression.replace(/"(?:[^"\\]|\\.)*"/g, '""')) {
    if ('({['.includes(sign)) open.push(sign)
    if (')}]'.includes(sign) && open.pop() !== '({['[')}]'.indexOf(sign)]) return false
  }
  return open.length === 0
}

describe('the catalogue', () => {
  it('names what it measures as Prometheus wants it', () => {
    expect(names.size).toBe(CATALOGUE.length)
    for (const { name, kind, unit, labels, help } of CATALOGUE) {
      expect(name).toMatch(/^foreshard_[a-z][a-z_]*[a-z]$/)
      expect(name.endsWith('_total'), name).toBe(kind === 'counter')
      if (kind === 'histogram') expect([name.endsWith('_seconds'), unit]).toEqual([true, 'seconds'])
      expect(help).toMatch(/^[A-Z1].*\.$/)
      for (const label of labels)
        expect(['shard', 'kind', 'reason', 'outcome', 'phase', 'scope', 'state']).toContain(label)
    }
  })

  it('stands in the document', () => {
    const rows = CATALOGUE.map(
      ({ name, kind, unit, labels, help }) =>
        `| \`${name}\` | ${kind} | ${unit} | ${labels.join(', ')} | ${help} |`,
    )
    const table = ['| name | kind | unit | labels | |', '|---|---|---|---|---|', ...rows].join('\n')
    const shown = read('monitoring.md').split('<!-- catalogue -->')[1]?.split('<!-- /catalogue -->')[0]
    expect(shown?.trim()).toBe(table)
  })
})

describe('the alerts', () => {
  it('ask for what is in the catalogue, in expressions that close', () => {
    expect(rules().length).toBeGreaterThan(10)
    for (const { alert, expr, summary } of rules()) {
      expect(metricsIn(expr).length, alert).toBeGreaterThan(0)
      expect(
        metricsIn(expr).filter((name) => !names.has(name)),
        alert,
      ).toEqual([])
      expect(balanced(expr), expr).toBe(true)
      expect(summary, alert).not.toBe('')
    }
  })

  it('are each explained, with a cure', () => {
    const explained = [...read('monitoring.md').matchAll(/^\| (Foreshard\w+) \|/gm)].map((match) => match[1])
    expect(explained).toEqual(rules().map(({ alert }) => alert))
  })
})

describe('the dashboard', () => {
  it('shows every metric of the catalogue, and no other', () => {
    const shown = new Set(
      dashboard.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr))),
    )
    expect([...shown].sort()).toEqual([...names].sort())
  })

  it('is made of panels with a title, a number of their own and expressions that close', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { title, targets = [] } of dashboard.panels) {
      expect(title).not.toBe('')
      for (const { expr } of targets) expect(balanced(expr), expr).toBe(true)
    }
  })
})
