import type { Clock } from '../clock'
import { invalid, shown } from '../errors'
import { type MaintenanceWindow, MaintenanceWindows } from '../maintenance-window'
import { checkFields, checkOptionalFields, type Fields } from '../options'
import type { Placement } from '../placement/assignment'
import type { ShardAssignmentMap } from '../placement/segment'
import type { Hindsight } from '../predictor/hindsight'
import { checkBudget, type PredictRequest } from '../predictor/options'
import type { MoveBudget, ShardAssignmentPrediction } from '../predictor/prediction'
import type { Resharding } from '../router/resharding'
import type { ReshardingOptions, RollbackOptions } from '../router/resharding-options'
import type { HistoryEntry } from '../topology-store'
import type { AccessLogEntry } from '../tracking/access-log'
import { DailyAccount, type DailyBudget, type Spending } from './daily-budget'
import { DEFAULT_COSTS, type DecisionRules, type MovingCosts } from './decision'

/** What a rebalancer needs of a router; a ShardRouter has it. */
export interface RebalancedRouter {
  readonly placement: Placement
  /** Shows every access from now on; returns the function that ends it. */
  observe(listener: (entry: AccessLogEntry) => void): () => void
  requestResharding(
    confidence: number,
    map: ShardAssignmentMap,
    options?: ReshardingOptions,
  ): Promise<Resharding>
  monitorReshardingProgress(): { readonly phase: string } | undefined
  /** These two for rolling back by itself. */
  history?(): Promise<readonly HistoryEntry[]>
  rollback?(options?: RollbackOptions): Promise<Resharding>
}

/** What it needs of a predictor; a Predictor has it, and so has a client of one that runs elsewhere. */
export interface RebalancingPredictor {
  record(entry: AccessLogEntry): unknown
  predict(
    request: Pick<PredictRequest, 'placement' | 'horizonMs' | 'budget' | 'now'>,
  ): Promise<ShardAssignmentPrediction>
  /** For rolling back by itself: what came, put on two placements. */
  hindsight?(request: {
    before: Placement
    after: Placement
    since: number
    now: number
  }): Hindsight | Promise<Hindsight>
  /** Hears that what was recommended at `at` was undone at `now`, so that it trusts such moves less. */
  conclude?(at: number, now: number): unknown
}

/** When a resharding that nobody was asked about is undone. */
export interface AutomaticRollback {
  /** Intervals of the predictor that are awaited, and over which J must still be higher; default a quarter of the horizon, 3 at least. */
  patience?: number
  /** Rest after a rollback, doubled with each one more of late; default the horizon. */
  restMs?: number
}

export type RebalancerMode = 'observe' | 'suggest' | 'auto'

export interface RebalancerOptions {
  router: RebalancedRouter
  predictor: RebalancingPredictor
  /** observe: only records accesses. suggest (default): recommends. auto: reshards. */
  mode?: RebalancerMode
  /** Time between two rounds; default one hour, the predictor's interval. */
  intervalMs?: number
  /** How far ahead to plan; default 24 intervals. */
  horizonMs?: number
  /** Rest after a resharding; default one interval. */
  cooldownMs?: number
  /** Of every single resharding. */
  budget?: MoveBudget
  /** Default 0.5. The router has a threshold of its own as well. */
  minConfidence?: number
  /** J that a resharding must save over the horizon, all costs paid; default 0.01. */
  minGain?: number
  costs?: Partial<MovingCosts>
  /**
   * Mode auto: a resharding of its own is undone when J turns out higher than the former placement would have had it on the same
   * accesses. Default true where router and predictor allow it; false: never.
   */
  rollback?: boolean | AutomaticRollback
  /** Nothing is recommended or handed over outside of these times; default always. */
  windows?: readonly MaintenanceWindow[]
  /** Of all reshardings that it hands over in any 24 hours. */
  dailyBudget?: DailyBudget
  /** What was spent before a restart: `rebalancer.spent` of then. */
  spent?: readonly Spending[]
  /** Limits of the copying, handed on to the router. */
  migration?: Pick<
    ReshardingOptions,
    'maxKeysPerSecond' | 'maxBytesPerSecond' | 'concurrency' | 'verify' | 'retainMs'
  >
  clock?: Clock
}

const HOUR_MS = 3_600_000

const REBALANCER_FIELDS: Fields<RebalancerOptions> = {
  router: true,
  predictor: true,
  mode: true,
  intervalMs: true,
  horizonMs: true,
  cooldownMs: true,
  budget: true,
  minConfidence: true,
  minGain: true,
  costs: true,
  rollback: true,
  windows: true,
  dailyBudget: true,
  spent: true,
  migration: true,
  clock: true,
}
const ROLLBACK_FIELDS: Fields<AutomaticRollback> = { patience: true, restMs: true }
const COST_FIELDS: Fields<MovingCosts> = {
  perMove: true,
  perMillionKeys: true,
  perGibibyte: true,
  perHour: true,
}
const MIGRATION_FIELDS: Fields<NonNullable<RebalancerOptions['migration']>> = {
  maxKeysPerSecond: true,
  maxBytesPerSecond: true,
  concurrency: true,
  verify: true,
  retainMs: true,
}

/** Refuses what is malformed, naming the field; gives the rest with its defaults. */
export function checkOptions(options: RebalancerOptions) {
  checkFields(options, REBALANCER_FIELDS, 'options')
  checkOptionalFields(options.costs, COST_FIELDS, 'options.costs')
  checkOptionalFields(options.migration, MIGRATION_FIELDS, 'options.migration')
  checkBudget(options.budget, 'options.budget')
  if (options.clock !== undefined && typeof options.clock?.every !== 'function')
    throw invalid('options.clock', 'must be a Clock: { now, sleep, every }')
  const { router, predictor, mode = 'suggest', intervalMs = HOUR_MS } = options
  for (const method of ['observe', 'requestResharding', 'monitorReshardingProgress'] as const)
    if (typeof router?.[method] !== 'function') throw invalid('options.router', 'must be a ShardRouter')
  for (const method of ['record', 'predict'] as const)
    if (typeof predictor?.[method] !== 'function') throw invalid('options.predictor', 'must be a Predictor')
  if (mode !== 'observe' && mode !== 'suggest' && mode !== 'auto')
    throw invalid('options.mode', `must be 'observe', 'suggest' or 'auto', not ${shown(mode)}`)
  const number = (value: number, field: string, least: number, most = Number.MAX_VALUE) => {
    if (typeof value !== 'number' || !(value >= least && value <= most))
      throw invalid(
        field,
        `must be a number from ${least}${most < 2 ? ` to ${most}` : ''}, not ${shown(value)}`,
      )
    return value
  }
  number(intervalMs, 'options.intervalMs', 1)
  const costs = { ...DEFAULT_COSTS, ...options.costs }
  for (const name of Object.keys(DEFAULT_COSTS) as (keyof MovingCosts)[])
    number(costs[name], `options.costs.${name}`, 0)
  const rules: DecisionRules = {
    minConfidence: number(options.minConfidence ?? 0.5, 'options.minConfidence', 0, 1),
    minGain: number(options.minGain ?? 0.01, 'options.minGain', 0),
    cooldownMs: number(options.cooldownMs ?? intervalMs, 'options.cooldownMs', 0),
    costs,
    pace: options.migration,
  }
  const horizonMs = number(options.horizonMs ?? 24 * intervalMs, 'options.horizonMs', intervalMs)
  const { rollback = true } = options
  if (typeof rollback !== 'boolean') checkFields(rollback, ROLLBACK_FIELDS, 'options.rollback')
  const { patience, restMs = horizonMs } = typeof rollback === 'boolean' ? {} : rollback
  if (patience !== undefined && !(Number.isSafeInteger(patience) && patience >= 2))
    throw invalid('options.rollback.patience', `must be a whole number from 2, not ${shown(patience)}`)
  number(restMs, 'options.rollback.restMs', 0)
  const able = [router.history, router.rollback, predictor.hindsight].every((it) => typeof it === 'function')
  if (options.rollback !== undefined && rollback !== false && !able)
    throw invalid(
      'options.rollback',
      'needs a router with history() and rollback(), and a predictor with hindsight(); give a ShardRouter and a Predictor, or false',
    )
  const rollsBack = mode === 'auto' && rollback !== false && able
  const review = rollsBack ? { horizonMs, patience, restMs, minGain: rules.minGain } : undefined
  const windows = new MaintenanceWindows(options.windows)
  const account = new DailyAccount(options.dailyBudget, options.spent)
  return { mode: mode as RebalancerMode, rules, intervalMs, horizonMs, review, windows, account }
}
