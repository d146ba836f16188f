import type { Histogram } from '../histogram'
import type { ReshardingProgress } from '../migrator/progress'
import type { PredictorMetrics } from '../predictor/predictor'
import type { RebalancerMetrics } from '../rebalancer/counts'
import type { RouterMetrics, ShardMetrics } from '../router/metrics'

/** One value of a metric: its labels in the order of the catalogue. */
export interface Reading {
  readonly name: string
  readonly labels: readonly string[]
  /** Histograms are in milliseconds. */
  readonly value: number | Histogram
}

/** Shards that have a label of their own; the rest is summed up. */
const MOST_SHARDS = 256
const REST = 'others'

export function routerReadings(it: RouterMetrics): Reading[] {
  const listed = it.shards.slice(0, MOST_SHARDS)
  const rest = it.shards.slice(MOST_SHARDS)
  const shards = [...listed, ...(rest.length > 0 ? [summed(rest)] : [])]
  return [
    ...shards.flatMap((shard) => shardReadings(shard)),
    read('router_imbalance', imbalanceOf(it.shards)),
    read('router_pending_operations', it.pending),
    read('router_operation_duration_seconds', it.latency.reads, 'read'),
    read('router_operation_duration_seconds', it.latency.writes, 'write'),
    read('router_multi_key_requests_total', it.together.total),
    read('router_crossing_requests_total', it.together.crossing),
    read('router_topology_revision', it.revision),
    read('router_topology_reads_total', it.refreshes),
    read('router_owner_searches_total', it.searches),
    read('router_listener_failures_total', it.listenerFailures),
    read('tracker_bytes', it.tracker.bytes),
    read('tracker_keys', it.tracker.keys),
    read('tracker_keys_replaced_total', it.tracker.replaced),
    ...migratorReadings(it),
  ]
}

function shardReadings(it: ShardMetrics): Reading[] {
  const { shard } = it
  return [
    read('shard_operations_total', it.reads, shard, 'read'),
    read('shard_operations_total', it.writes, shard, 'write'),
    read('shard_load_total', it.load, shard),
    read('shard_access_score', it.accessScore, shard),
    read('shard_segments', it.segments, shard),
    read('shard_weight', it.weight, shard),
    read('shard_serves', it.serves ? 1 : 0, shard),
    read('shard_refusals_total', it.held, shard, 'held'),
    read('shard_refusals_total', it.refused, shard, 'elsewhere'),
    read('shard_redirects_total', it.redirected, shard),
    read('shard_errors_total', it.errors, shard),
  ]
}

function summed(shards: readonly ShardMetrics[]): ShardMetrics {
  const sum = (of: (shard: ShardMetrics) => number) => shards.reduce((total, shard) => total + of(shard), 0)
  return {
    shard: REST,
    state: 'active',
    serves: shards.every(({ serves }) => serves),
    reads: sum((it) => it.reads),
    writes: sum((it) => it.writes),
    load: sum((it) => it.load),
    accessScore: sum((it) => it.accessScore),
    segments: sum((it) => it.segments),
    weight: sum((it) => it.weight),
    refused: sum((it) => it.refused),
    held: sum((it) => it.held),
    redirected: sum((it) => it.redirected),
    errors: sum((it) => it.errors),
  }
}

/** Of the shards that take part; 1 where nothing was accessed. */
function imbalanceOf(shards: readonly ShardMetrics[]): number {
  const active = shards.filter(({ state, weight }) => state === 'active' && weight > 0)
  const total = active.reduce((sum, { accessScore }) => sum + accessScore, 0)
  const capacity = active.reduce((sum, { weight }) => sum + weight, 0)
  const most = active.reduce((max, { accessScore, weight }) => Math.max(max, accessScore / weight), 0)
  return total > 0 ? (most * capacity) / total : 1
}

function migratorReadings({ migrations }: RouterMetrics): Reading[] {
  if (!migrations) return []
  return [
    ...Object.entries(migrations.reshardings).map(([outcome, n]) =>
      read('migrator_reshardings_total', n, outcome),
    ),
    ...Object.entries(migrations.moves).map(([outcome, n]) => read('migrator_moves_total', n, outcome)),
    read('migrator_keys_copied_total', migrations.keysCopied),
    read('migrator_bytes_copied_total', migrations.bytesCopied),
    read('migrator_retries_total', migrations.retries),
    ...[...migrations.phases].map(([phase, histogram]) =>
      read('migrator_phase_duration_seconds', histogram, phase),
    ),
    read('migrator_hold_duration_seconds', migrations.holds),
  ]
}

export function progressReadings({ segmentsDone, segmentsTotal, waitingFor }: ReshardingProgress): Reading[] {
  return [
    read('migrator_segments_left', segmentsTotal - segmentsDone),
    read('migrator_waiting_shards', waitingFor.length),
  ]
}

export function predictorReadings(it: PredictorMetrics): Reading[] {
  const { forecasts, score } = it
  return [
    read('predictor_entries_total', it.accepted),
    ...[...it.refused].map(([reason, n]) => read('predictor_refused_entries_total', n, reason)),
    ...(it.newestAt === undefined
      ? []
      : [read('predictor_newest_interval_timestamp_seconds', it.newestAt / 1_000)]),
    read('predictor_bytes', it.bytes),
    read('predictor_slots', it.slots),
    read('predictor_hot_tags', it.hotTags),
    read('predictor_predictions_total', it.predictions),
    read('predictor_pending_predictions', it.pending),
    read('forecast_compared_total', forecasts.compared),
    read('forecast_covered_total', forecasts.covered),
    read('forecast_absolute_error_total', forecasts.absoluteError),
    read('forecast_load_total', forecasts.load),
    read('forecast_expected_load_total', forecasts.expected),
    read('forecast_drifts_total', forecasts.drifts),
    read('forecast_drift_alarms', forecasts.alarms),
    read('forecast_drift_excess', forecasts.excess),
    read('recommendation_outcomes_total', score.recommendations),
    read('recommendation_hits_total', score.hits),
    read('recommendation_expected_gain_total', score.expectedGain),
    read('recommendation_realised_gain_total', score.realisedGain),
    read('recommendation_realised_loss_total', score.realisedLoss),
    ...(['moves', 'maps'] as const).flatMap((scope) => [
      read('confidence_outcomes_total', score[scope].outcomes, scope),
      read('confidence_held_total', score[scope].held, scope),
      read('confidence_probability_total', score[scope].probability, scope),
      read('confidence_squared_error_total', score[scope].squaredError, scope),
    ]),
  ]
}

export function rebalancerReadings(it: RebalancerMetrics): Reading[] {
  const { last, probation } = it
  return [
    ...[...it.skipped].map(([reason, n]) => read('rebalancer_skipped_rounds_total', n, reason)),
    read('rebalancer_recommendations_total', it.recommendations),
    read('rebalancer_reshardings_total', it.reshardings),
    read('rebalancer_rollbacks_total', it.rollbacks),
    read('rebalancer_errors_total', it.errors),
    ...(last
      ? [
          read('rebalancer_confidence', last.confidence),
          read('rebalancer_expected_gain', last.expected.netGain),
          ...(['before', 'after'] as const).flatMap((state) => [
            read('rebalancer_imbalance', last.expected.imbalance[state], state),
            read('rebalancer_crossing', last.expected.crossShard[state], state),
          ]),
        ]
      : []),
    ...(probation
      ? [
          read('rebalancer_probation_loss', probation.loss),
          read('rebalancer_probation_interval', probation.interval),
        ]
      : []),
  ]
}

export function read(name: string, value: number | Histogram, ...labels: string[]): Reading {
  return { name: `foreshard_${name}`, labels, value }
}
