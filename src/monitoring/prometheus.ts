import { CATALOGUE, type MetricDefinition } from './catalogue'
import type { Reading } from './readings'

/** What the answer to a scrape says of itself. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** The Prometheus text format, version 0.0.4. Metrics without a reading are left out. */
export function prometheusText(readings: readonly Reading[]): string {
  const byName = new Map<string, Reading[]>()
  for (const reading of readings) {
    const same = byName.get(reading.name)
    if (same) same.push(reading)
    else byName.set(reading.name, [reading])
  }
  const lines: string[] = []
  for (const definition of CATALOGUE) {
    const its = byName.get(definition.name)
    if (!its) continue
    lines.push(`# HELP ${definition.name} ${escapedHelp(definition.help)}`)
    lines.push(`# TYPE ${definition.name} ${definition.kind}`)
    for (const reading of its) lines.push(...samplesOf(definition, reading))
  }
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}

function* samplesOf({ name, labels: names }: MetricDefinition, { labels, value }: Reading): Iterable<string> {
  const pairs = names.map((label, k) => `${label}="${escapedLabel(labels[k] ?? '')}"`)
  const braces = (more: readonly string[] = []) => {
    const all = [...pairs, ...more]
    return all.length > 0 ? `{${all.join(',')}}` : ''
  }
  if (typeof value === 'number') {
    yield `${name}${braces()} ${shown(value)}`
    return
  }
  let below = 0
  for (let range = 0; range < value.counts.length; range++) {
    below += value.counts[range]!
    const bound = value.bounds[range]
    const le = bound === undefined ? '+Inf' : shown(bound / 1_000)
    yield `${name}_bucket${braces([`le="${le}"`])} ${shown(below)}`
  }
  yield `${name}_sum${braces()} ${shown(value.sum / 1_000)}`
  yield `${name}_count${braces()} ${shown(below)}`
}

function shown(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}

/** Half of a surrogate pair is no text that could be sent. */
const LONE_SURROGATE = /\p{Surrogate}/gu

export function escapedLabel(value: string): string {
  return escapedHelp(value).replaceAll('"', '\\"')
}

function escapedHelp(value: string): string {
  return value.replace(LONE_SURROGATE, '\uFFFD').replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
