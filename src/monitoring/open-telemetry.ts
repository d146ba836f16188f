import type { TracingChannel } from 'node:diagnostics_channel'
import {
  type MoveContext,
  moveChannel,
  type OperationContext,
  operationChannel,
  type PredictContext,
  predictChannel,
  type ReshardingContext,
  reshardingChannel,
} from '../channels'
import type { Random } from '../clock'
import { CATALOGUE } from './catalogue'
import type { Reading } from './readings'

/** What is needed of `@opentelemetry/api`, which is never loaded from here: an application has its own, or none. */
type Attributes = Record<string, string | number | boolean>
interface Observable {
  readonly __observable?: never
}
interface ObserverOf {
  observe(instrument: never, value: number, attributes?: Attributes): void
}
export interface OtelMeter {
  createObservableCounter(name: string, options?: { description?: string; unit?: string }): unknown
  createObservableGauge(name: string, options?: { description?: string; unit?: string }): unknown
  addBatchObservableCallback(callback: never, observables: never): void
  removeBatchObservableCallback(callback: never, observables: never): void
}
export interface OtelSpan {
  end(): void
  setStatus(status: { code: number; message?: string }): unknown
  recordException(error: Error): void
}
export interface OtelTracer {
  startSpan(name: string, options?: { attributes?: Attributes }, context?: never): OtelSpan
}
/** The module itself: so that moves become children of their resharding. */
export interface OtelApi {
  readonly context: { active(): unknown }
  readonly trace: { setSpan(context: never, span: never): unknown }
}

const UNITS: Readonly<Record<string, string>> = { seconds: 's', bytes: 'By' }
const QUANTILES = [0.5, 0.99]
const ERROR = 2

/**
 * Instruments that are read when the meter collects. OpenTelemetry has no histogram that can be read so: count, sum and two
 * quantiles stand for it. Returns the function that ends it.
 */
export function meterReadings(meter: OtelMeter, readings: () => readonly Reading[]): () => void {
  const instruments = new Map<string, Observable>()
  for (const { name, kind, unit, help } of CATALOGUE) {
    const base = name.replace(/_(total|seconds|bytes)$/, '')
    const options = { description: help, unit: UNITS[unit] ?? '1' }
    const add = (key: string, suffix: string, counter: boolean, its = options) =>
      instruments.set(
        key,
        (counter
          ? meter.createObservableCounter(base + suffix, its)
          : meter.createObservableGauge(base + suffix, its)) as Observable,
      )
    if (kind !== 'histogram') add(name, '', kind === 'counter')
    else {
      add(`${name}_count`, '_count', true, { ...options, unit: '1' })
      add(`${name}_sum`, '_sum', true)
      add(name, '_quantile', false)
    }
  }
  const labelsOf = new Map(CATALOGUE.map(({ name, labels }) => [name, labels]))
  const callback = (result: ObserverOf) => {
    for (const { name, labels, value } of readings()) {
      const names = labelsOf.get(name)!
      const attributes: Attributes = Object.fromEntries(names.map((label, k) => [label, labels[k] ?? '']))
      const tell = (key: string, number: number | undefined, more: Attributes = {}) => {
        if (number !== undefined && Number.isFinite(number))
          result.observe(instruments.get(key) as never, number, { ...attributes, ...more })
      }
      if (typeof value === 'number') tell(name, value)
      else {
        tell(`${name}_count`, value.count)
        tell(`${name}_sum`, value.sum / 1_000)
        for (const quantile of QUANTILES) {
          const ms = value.quantile(quantile)
          tell(name, ms === undefined ? undefined : ms / 1_000, { quantile })
        }
      }
    }
  }
  const observables = [...instruments.values()] as never
  meter.addBatchObservableCallback(callback as never, observables)
  return () => meter.removeBatchObservableCallback(callback as never, observables)
}

export interface TraceOptions {
  readonly tracer: OtelTracer
  readonly api: OtelApi | undefined
  /** Share of the operations that become spans. */
  readonly operations: number
  readonly random: Random
  readonly router: string
  readonly migrator: string | undefined
  readonly onFailure: () => void
}

/** Spans of reshardings, their moves and predictions, always, and of operations, a sample. Returns the function that ends it. */
export function traceSpans(options: TraceOptions): () => void {
  const { tracer, api, operations, random, router, migrator, onFailure } = options
  const reshardings = new Map<string, OtelSpan>()
  const follow = <C extends object>(
    channel: TracingChannel<object, C>,
    name: string,
    attributesOf: (context: C) => Attributes | undefined,
    parentOf: (context: C) => OtelSpan | undefined = () => undefined,
    notice: (context: C, span: OtelSpan | undefined) => void = () => {},
  ) => {
    const spans = new WeakMap<object, OtelSpan>()
    // What a subscriber throws would end the process.
    const safely = (act: (context: C & { error?: unknown }) => void) => (context: unknown) => {
      try {
        act(context as C & { error?: unknown })
      } catch {
        onFailure()
      }
    }
    const handlers = {
      start: safely((context) => {
        const attributes = attributesOf(context)
        if (!attributes) return
        const parent = parentOf(context)
        const within =
          parent && api
            ? (api.trace.setSpan(api.context.active() as never, parent as never) as never)
            : undefined
        const span = tracer.startSpan(name, { attributes }, within)
        spans.set(context, span)
        notice(context, span)
      }),
      end: () => {},
      asyncStart: () => {},
      asyncEnd: safely((context) => {
        const span = spans.get(context)
        if (!span) return
        notice(context, undefined)
        span.end()
      }),
      error: safely((context) => {
        const error = context.error instanceof Error ? context.error : new Error(String(context.error))
        const span = spans.get(context)
        span?.recordException(error)
        span?.setStatus({ code: ERROR, message: error.message })
      }),
    }
    channel.subscribe(handlers as never)
    return () => void channel.unsubscribe(handlers as never)
  }
  const ends = [
    follow<ReshardingContext>(
      reshardingChannel,
      'foreshard.resharding',
      ({ migrator: its, resharding, moves, reason }) =>
        its === migrator
          ? { 'foreshard.resharding': resharding, 'foreshard.moves': moves, 'foreshard.reason': reason }
          : undefined,
      undefined,
      ({ resharding }, span) => {
        if (span) reshardings.set(resharding, span)
        else reshardings.delete(resharding)
      },
    ),
    follow<MoveContext>(
      moveChannel,
      'foreshard.move',
      ({ migrator: its, resharding, segment, from, to }) =>
        its === migrator
          ? {
              'foreshard.resharding': resharding,
              'foreshard.segment': segment,
              'foreshard.from': from,
              'foreshard.to': to,
            }
          : undefined,
      ({ resharding }) => reshardings.get(resharding),
    ),
    follow<PredictContext>(predictChannel, 'foreshard.predict', ({ buckets, shards }) => ({
      'foreshard.buckets': buckets,
      'foreshard.shards': shards,
    })),
  ]
  if (operations > 0)
    ends.push(
      follow<OperationContext>(operationChannel, 'foreshard.operation', ({ router: its, kind, keys }) =>
        its === router && random() < operations
          ? { 'foreshard.kind': kind, 'foreshard.keys': keys }
          : undefined,
      ),
    )
  return () => {
    for (const end of ends) end()
  }
}
