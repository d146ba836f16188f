import diagnostics from 'node:diagnostics_channel'
import * as api from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ManualClock, seededRandom } from '../../src/clock'
import { CATALOGUE, monitor } from '../../src/monitoring'
import { escapedLabel, prometheusText } from '../../src/monitoring/prometheus'
import { routerReadings } from '../../src/monitoring/readings'
import { Predictor } from '../../src/predictor/predictor'
import { Rebalancer } from '../../src/rebalancer/rebalancer'
import { ShardRouter } from '../../src/router/router'

const HOUR = 3_600_000
const START = 1_600_000_000_000
const HOSTILE = 'a"b\\c\nd{}=,#'
const A = 'a'

async function deployment() {
  const clock = new ManualClock(START)
  const router = await ShardRouter.open({
    shards: { [A]: memoryStore(), b: memoryStore() },
    buckets: 64,
    random: seededRandom(1),
  })
  const predictor = new Predictor({
    shards: [A, 'b'],
    buckets: 64,
    intervalMs: HOUR,
    clock,
    random: seededRandom(1),
  })
  const rebalancer = new Rebalancer({ router, predictor, mode: 'suggest', intervalMs: HOUR, clock })
  return { clock, router, predictor, rebalancer }
}

/** Samples of an exposition by name and labels, read by the grammar of the text format. */
function parse(text: string): Map<string, number> {
  expect(text.endsWith('\n')).toBe(true)
  const samples = new Map<string, number>()
  let typed = ''
  for (const line of text.slice(0, -1).split('\n')) {
    if (line.startsWith('#')) {
      const match = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
      expect(match, line).not.toBeNull()
      if (match![1] === 'TYPE') {
        expect(['counter', 'gauge', 'histogram']).toContain(match![3])
        typed = match![2]!
      }
      continue
    }
    const match =
      /^([a-z_]+)((?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (NaN|[+-]Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(
        line,
      )
    expect(match, line).not.toBeNull()
    expect(match![1]!.startsWith(typed), line).toBe(true)
    const id = `${match![1]}${match![2]}`
    expect(samples.has(id), id).toBe(false)
    samples.set(id, Number(match![3]!.replace('Inf', 'Infinity')))
  }
  return samples
}

describe('a monitor', () => {
  it('shows what a router, a predictor and a rebalancer have done, in the Prometheus text format', async () => {
    const { router, predictor, rebalancer, clock } = await deployment()
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
    for (const key of keys) await router.set(key, 1)
    for (const key of keys) await router.get(key)
    await router.getMany(keys)
    const [first] = keys.filter((key) => router.getShardLocation(key) === 'b')
    const { segment } = router.locate(first!)
    const moved = await router.requestResharding(1, new Map([[segment, A]]))
    if (moved.accepted) await moved.done
    for (let hour = 0; hour < 30; hour++) {
      for (const key of keys) predictor.record({ timestamp: clock.now(), key, operation: 'read', count: 40 })
      await clock.advance(HOUR)
      await rebalancer.tick()
    }
    const samples = parse(monitor({ router, predictor, rebalancer }).prometheus())
    const of = (name: string, labels = '') => samples.get(`foreshard_${name}${labels}`)
    const writes = (shard: string) => of('shard_operations_total', `{shard="${shard}",kind="write"}`)!
    expect(writes(A) + writes('b')).toBe(40)
    expect(of('router_multi_key_requests_total')).toBe(1)
    expect(of('router_crossing_requests_total')).toBe(1)
    expect(of('migrator_moves_total', '{outcome="done"}')).toBe(1)
    expect(of('migrator_reshardings_total', '{outcome="done"}')).toBe(1)
    expect(of('migrator_keys_copied_total')).toBeGreaterThanOrEqual(1)
    expect(of('migrator_phase_duration_seconds_count', '{phase="copy"}')).toBe(1)
    const timed = (kind: string) => of('router_operation_duration_seconds_count', `{kind="${kind}"}`)!
    expect(timed('read') + timed('write')).toBe(Math.ceil(80 / 16))
    expect(of('predictor_entries_total')).toBe(1_200)
    expect(of('forecast_compared_total')).toBeGreaterThan(0)
    expect(of('forecast_covered_total')).toBeLessThanOrEqual(of('forecast_compared_total')!)
    expect(of('rebalancer_imbalance', '{state="before"}')).toBeGreaterThanOrEqual(1)
    expect(of('monitoring_failures_total')).toBe(0)
    await router.close()
  })

  it('gives every reading the labels of the catalogue, and holds no key, tag or segment', async () => {
    const { router, predictor, rebalancer } = await deployment()
    for (let i = 0; i < 50; i++) await router.set(`secret:{user${i}}`, 1)
    predictor.record({ timestamp: START, key: 'secret:{user1}', operation: 'read' })
    const monitoring = monitor({ router, predictor, rebalancer })
    const labels = new Map(CATALOGUE.map((it) => [it.name, it.labels.length]))
    for (const reading of monitoring.readings())
      expect(reading.labels.length, reading.name).toBe(labels.get(reading.name))
    expect(monitoring.prometheus()).not.toMatch(/secret|user\d|#\d/)
    await router.close()
  })

  it('has cumulative ranges that end in their count', async () => {
    const { router } = await deployment()
    for (let i = 0; i < 64; i++) await router.get(`k${i}`)
    const text = monitor({ router }).prometheus()
    const counts = [...text.matchAll(/duration_seconds_bucket\{kind="read",le="([^"]+)"\} (\d+)/g)].map((m) =>
      Number(m[2]),
    )
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    expect(counts.at(-1)).toBe(4)
    await router.close()
  })

  it('leaves out a part that fails, and counts that', async () => {
    const { router } = await deployment()
    const broken = {
      get metrics(): never {
        throw new Error('not today')
      },
    }
    const monitoring = monitor({ router, predictor: broken, rebalancer: broken })
    const samples = parse(monitoring.prometheus())
    expect(samples.get('foreshard_monitoring_failures_total')).toBe(2)
    expect(samples.has('foreshard_router_pending_operations')).toBe(true)
    await router.close()
  })

  it('sums up the shards beyond those that may have a label of their own', async () => {
    const { router } = await deployment()
    const metrics = router.metrics()
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      ...metrics.shards[0]!,
      shard: `s${i}`,
      reads: 1,
    }))
    const readings = routerReadings({ ...metrics, shards: many })
    const reads = readings.filter(
      ({ name, labels }) => name === 'foreshard_shard_operations_total' && labels[1] === 'read',
    )
    expect(reads).toHaveLength(257)
    expect(reads.at(-1)).toMatchObject({ labels: ['others', 'read'], value: 744 })
    await router.close()
  })

  it('writes what is no number, and half a character, as the format has it', () => {
    const odd = (value: number) =>
      prometheusText([{ name: 'foreshard_shard_weight', labels: ['\ud800"'], value }])
    expect(odd(Number.NaN)).toContain('{shard="\ufffd\\""} NaN\n')
    expect(escapedLabel(HOSTILE)).toBe('a\\"b\\\\c\\nd{}=,#')
    expect(odd(Number.POSITIVE_INFINITY)).toContain(' +Inf\n')
    expect(odd(1e21)).toContain(' 1e+21\n')
    expect(prometheusText([])).toBe('')
  })

  it.each([
    [{}, 'options'],
    [{ router: {} }, 'options.router'],
    [{ roter: 1 }, 'options.roter'],
    [{ predictor: { metrics: 1 }, openTelemetry: { operations: 2 } }, 'options.openTelemetry.operations'],
    [{ predictor: { metrics: 1 }, openTelemetry: { metre: 2 } }, 'options.openTelemetry.metre'],
  ])('refuses %j', (wrong, field) => {
    expect(() => monitor(wrong as never)).toThrow(expect.objectContaining({ field }))
  })
})

describe('with OpenTelemetry', () => {
  async function traced(operations = 0) {
    const spans = new InMemorySpanExporter()
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
    const all = await deployment()
    const openTelemetry = { api, tracer: provider.getTracer('test'), operations }
    const monitoring = monitor({ router: all.router, openTelemetry })
    return { ...all, spans, provider, monitoring }
  }

  it('a resharding is a span, its moves are children of it, and an operation only where that is asked for', async () => {
    const { router, spans, monitoring } = await traced()
    await router.set('k', 1)
    const to = router.getShardLocation('k') === 'b' ? A : 'b'
    const moved = await router.requestResharding(1, new Map([[router.locate('k').segment, to]]))
    if (moved.accepted) await moved.done
    const finished = spans.getFinishedSpans()
    expect(finished.map(({ name }) => name)).toEqual(['foreshard.move', 'foreshard.resharding'])
    expect(finished[0]!.parentSpanContext?.spanId).toBe(finished[1]!.spanContext().spanId)
    expect(finished[0]!.attributes).toMatchObject({ 'foreshard.to': to })
    monitoring.close()
    expect(diagnostics.tracingChannel('foreshard:migrator:move').hasSubscribers).toBe(false)
    await router.close()
  })

  it('spans of operations name no key, and are those of the own router', async () => {
    const { router, spans, monitoring } = await traced(1)
    const other = await deployment()
    await other.router.set('k', 1)
    await router.set('k', 1)
    await router.getMany(['k', 'l'])
    expect(spans.getFinishedSpans().map(({ attributes }) => attributes)).toEqual([
      { 'foreshard.kind': 'set', 'foreshard.keys': 1 },
      { 'foreshard.kind': 'many', 'foreshard.keys': 2 },
    ])
    monitoring.close()
    await other.router.close()
    await router.close()
  })

  it('a tracer that throws does no harm, and is counted', async () => {
    const { router } = await deployment()
    const tracer = {
      startSpan(): never {
        throw new Error('no span today')
      },
    }
    const monitoring = monitor({ router, openTelemetry: { tracer, operations: 1 } })
    await router.set('k', 1)
    expect(await router.get('k')).toBe(1)
    expect(parse(monitoring.prometheus()).get('foreshard_monitoring_failures_total')).toBe(2)
    monitoring.close()
    await router.close()
  })

  it('a meter reads the same as a scrape', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1 << 30 })
    const provider = new MeterProvider({ readers: [reader] })
    const { router } = await deployment()
    for (let i = 0; i < 32; i++) await router.set(`k${i}`, 1)
    const monitoring = monitor({ router, openTelemetry: { meter: provider.getMeter('test') } })
    await reader.forceFlush()
    const metrics = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
    const points = metrics.find(
      ({ descriptor }) => descriptor.name === 'foreshard_shard_operations',
    )!.dataPoints
    const writes = points.filter(({ attributes }) => attributes.kind === 'write')
    expect(writes.reduce((sum, { value }) => sum + (value as number), 0)).toBe(32)
    expect(metrics.map(({ descriptor }) => descriptor.name)).toContain(
      'foreshard_router_operation_duration_count',
    )
    monitoring.close()
    await provider.shutdown()
    await router.close()
  })
})

describe('the channel of operations', () => {
  it('carries every operation with its router, and hears nothing of a conflict, which is an answer', async () => {
    const { router } = await deployment()
    const seen: unknown[] = []
    const failed: unknown[] = []
    const handlers = {
      start: (message: unknown) => void seen.push(message),
      end: () => {},
      asyncStart: () => {},
      asyncEnd: () => {},
      error: (message: unknown) => void failed.push(message),
    }
    const channel = diagnostics.tracingChannel('foreshard:router:operation')
    channel.subscribe(handlers as never)
    await router.set('k', 1)
    await expect(router.set('k', 2, { ifVersion: 99 })).rejects.toThrow()
    channel.unsubscribe(handlers as never)
    await router.get('k')
    const { name } = router.metrics()
    expect(seen).toMatchObject([
      { router: name, kind: 'set', key: 'k', keys: 1 },
      { router: name, kind: 'set', key: 'k', keys: 1 },
    ])
    expect(failed).toEqual([])
    await router.close()
  })
})
