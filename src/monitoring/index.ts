export { CATALOGUE, type MetricDefinition } from './catalogue'
export { type Monitor, type MonitorOptions, monitor, type OpenTelemetryOptions } from './monitor'
export { PROMETHEUS_CONTENT_TYPE } from './prometheus'
export type { Reading } from './readings'
