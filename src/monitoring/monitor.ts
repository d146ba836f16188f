import { type Random, systemRandom } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, checkOptionalFields, type Fields } from '../options'
import type { PredictorMetrics } from '../predictor/predictor'
import type { RebalancerMetrics } from '../rebalancer/counts'
import type { ShardRouter } from '../router/router'
import { meterReadings, type OtelApi, type OtelMeter, type OtelTracer, traceSpans } from './open-telemetry'
import { prometheusText } from './prometheus'
import {
  predictorReadings,
  progressReadings,
  type Reading,
  read,
  rebalancerReadings,
  routerReadings,
} from './readings'

interface WithMetrics<M> {
  readonly metrics: M
}

export interface MonitorOptions {
  router?: Pick<ShardRouter, 'metrics' | 'monitorReshardingProgress'>
  /** A Predictor, or a function that gives the one of the moment. */
  predictor?: WithMetrics<PredictorMetrics> | (() => WithMetrics<PredictorMetrics>)
  rebalancer?: WithMetrics<RebalancerMetrics>
  openTelemetry?: OpenTelemetryOptions
  random?: Random
}

export interface OpenTelemetryOptions {
  /** Made by the application, as `metrics.getMeter('foreshard')`. */
  meter?: OtelMeter
  /** As `trace.getTracer('foreshard')`. */
  tracer?: OtelTracer
  /** The module `@opentelemetry/api`: with it, moves are children of their resharding. */
  api?: OtelApi
  /** Share of the operations that become spans, 0 to 1; default 0. */
  operations?: number
}

export interface Monitor {
  /** Everything measured, in the Prometheus text format. Looks at every segment: meant for a scrape every few seconds. */
  prometheus(): string
  readings(): Reading[]
  /** Ends what was begun with OpenTelemetry. */
  close(): void
}

const FIELDS: Fields<MonitorOptions> = {
  router: true,
  predictor: true,
  rebalancer: true,
  openTelemetry: true,
  random: true,
}
const OTEL_FIELDS: Fields<OpenTelemetryOptions> = { meter: true, tracer: true, api: true, operations: true }

/**
 * Reads a router, a predictor and a rebalancer, those that are given, and renders what it reads. A part that fails to answer is
 * left out, and counted. @throws INVALID_ARGUMENT naming the option.
 */
export function monitor(options: MonitorOptions): Monitor {
  checkFields(options, FIELDS, 'options')
  const { router, predictor, rebalancer, openTelemetry = {}, random = systemRandom } = options
  checkOptionalFields(options.openTelemetry, OTEL_FIELDS, 'options.openTelemetry')
  if (!router && !predictor && !rebalancer)
    throw invalid('options', 'must have a router, a predictor or a rebalancer')
  if (router && typeof router.metrics !== 'function') throw invalid('options.router', 'must be a ShardRouter')
  const { meter, tracer, api, operations = 0 } = openTelemetry
  if (!(typeof operations === 'number' && operations >= 0 && operations <= 1))
    throw invalid('options.openTelemetry.operations', `must be a share from 0 to 1, not ${shown(operations)}`)
  let failures = 0

  const part = (readings: () => Reading[]): Reading[] => {
    try {
      return readings()
    } catch {
      failures++
      return []
    }
  }
  const readings = () => {
    const all = [
      ...(router ? part(() => routerReadings(router.metrics())) : []),
      ...(router ? part(() => progressReadings(router.monitorReshardingProgress())) : []),
      ...(predictor
        ? part(() => predictorReadings((typeof predictor === 'function' ? predictor() : predictor).metrics))
        : []),
      ...(rebalancer ? part(() => rebalancerReadings(rebalancer.metrics)) : []),
    ]
    all.push(read('monitoring_failures_total', failures))
    return all
  }
  const ends: (() => void)[] = []
  if (meter) ends.push(meterReadings(meter, readings))
  if (tracer) {
    const { name = '', migrations } = router?.metrics() ?? {}
    const migrator = migrations?.holder
    const onFailure = () => {
      failures++
    }
    ends.push(traceSpans({ tracer, api, operations, random, router: name, migrator, onFailure }))
  }
  return {
    readings,
    prometheus: () => prometheusText(readings()),
    close: () => {
      for (const end of ends.splice(0)) end()
    },
  }
}
