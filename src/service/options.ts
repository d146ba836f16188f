import { type Clock, systemClock } from '../clock'
import { invalid, shown } from '../errors'
import { checkFields, checkOptionalFields, type Fields } from '../options'
import type { PredictorOptions } from '../predictor/options'
import type { Predictor } from '../predictor/predictor'
import type { DashboardOptions } from './dashboard/options'
import type { GuardOptions } from './guard'
import type { ModelStore } from './model-store'

export interface ServiceLimits {
  /** Of a JSON body, and of a numbered batch of a log. Default 16 MiB. */
  readonly bodyBytes: number
  /** Of a log that is counted as it comes, unpacked. Default 1 GiB. */
  readonly logBytes: number
  /** Of a snapshot that is put back. Default 256 MiB. */
  readonly snapshotBytes: number
  /** Between two pieces of a body. Default 15 s. */
  readonly idleMs: number
  /** Of a whole body. Default 60 s. */
  readonly bodyMs: number
  /** Of a log that is counted as it comes. Default 10 min. */
  readonly logMs: number
  /** From one address; twice as many at once. Default 50. */
  readonly requestsPerSecond: number
  /** Requests under way. Default 128. */
  readonly concurrent: number
  /** What `close` waits for requests under way. Default 10 s. */
  readonly closeMs: number
}

export interface ServiceOptions extends GuardOptions {
  /** The predictor to serve, or the options to make it with. */
  predictor: Predictor | PredictorOptions
  /** Where its state survives a restart; default nowhere. */
  store?: ModelStore
  /** Time between two savings of what has changed; default 5 min. */
  saveEveryMs?: number
  limits?: Partial<ServiceLimits>
  /** What GET /v1/metrics answers, in the Prometheus text format. */
  metrics?: () => string | Promise<string>
  /** A page for people under /dashboard/, see createDashboard; of a router, too, where this process has one. Default true. */
  dashboard?: boolean | Omit<DashboardOptions, 'predictor' | 'clock' | keyof GuardOptions>
  /** Told what the service keeps to itself: failures of its own, and of saving. Default: console.error. */
  onError?: (error: unknown) => void
  clock?: Clock
}

const SERVICE_FIELDS: Fields<ServiceOptions> = {
  predictor: true,
  store: true,
  saveEveryMs: true,
  token: true,
  tokens: true,
  loopbackOnly: true,
  limits: true,
  metrics: true,
  dashboard: true,
  onError: true,
  clock: true,
}

const MIB = 1 << 20
const DEFAULT_LIMITS: ServiceLimits = {
  bodyBytes: 16 * MIB,
  logBytes: 1024 * MIB,
  snapshotBytes: 256 * MIB,
  idleMs: 15_000,
  bodyMs: 60_000,
  logMs: 600_000,
  requestsPerSecond: 50,
  concurrent: 128,
  closeMs: 10_000,
}
const LIMIT_FIELDS: Fields<ServiceLimits> = {
  bodyBytes: true,
  logBytes: true,
  snapshotBytes: true,
  idleMs: true,
  bodyMs: true,
  logMs: true,
  requestsPerSecond: true,
  concurrent: true,
  closeMs: true,
}
const SAVE_EVERY_MS = 300_000

/** Refuses what is malformed, naming the field; gives the rest with its defaults. */
export function checkOptions(options: ServiceOptions) {
  checkFields(options, SERVICE_FIELDS, 'options')
  checkOptionalFields(options.limits, LIMIT_FIELDS, 'options.limits')
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  for (const name of Object.keys(DEFAULT_LIMITS) as (keyof ServiceLimits)[])
    if (!(Number.isFinite(limits[name]) && limits[name] > 0))
      throw invalid(`options.limits.${name}`, `must be a number above 0, not ${shown(limits[name])}`)
  const {
    store,
    metrics,
    onError,
    clock = systemClock,
    saveEveryMs = SAVE_EVERY_MS,
    dashboard = true,
  } = options
  if (options.predictor === null || typeof options.predictor !== 'object')
    throw invalid('options.predictor', 'must be a Predictor, or the options to make one')
  if (store !== undefined && (typeof store?.load !== 'function' || typeof store.save !== 'function'))
    throw invalid('options.store', 'must be a ModelStore, such as fileModelStore(path)')
  if (typeof dashboard !== 'boolean' && (dashboard === null || typeof dashboard !== 'object'))
    throw invalid('options.dashboard', `must be true, false or an object of options, not ${shown(dashboard)}`)
  for (const [name, given] of Object.entries({ metrics, onError }))
    if (given !== undefined && typeof given !== 'function')
      throw invalid(`options.${name}`, `must be a function, not ${shown(given)}`)
  if (typeof clock?.sleep !== 'function' || typeof clock.every !== 'function')
    throw invalid('options.clock', 'must be a Clock: { now, sleep, every }')
  if (!(Number.isFinite(saveEveryMs) && saveEveryMs >= 1))
    throw invalid('options.saveEveryMs', `must be milliseconds from 1, not ${shown(saveEveryMs)}`)
  return {
    limits,
    store,
    metrics,
    clock,
    saveEveryMs,
    dashboard,
    onError: onError ?? ((error) => console.error(error)),
  }
}
