/** What is measured. Everything that shows a measurement, in whatever form, is made from this list. */
export interface MetricDefinition {
  /** As in Prometheus: base units, `_total` for what only grows. */
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly unit: Unit
  /** Shards, phases and the words of closed lists; never a key, a tag or a segment. */
  readonly labels: readonly string[]
  readonly help: string
}

export type Unit =
  | 'seconds'
  | 'bytes'
  | 'keys'
  | 'accesses'
  | 'operations'
  | 'segments'
  | 'J'
  | 'share'
  | 'count'

const metric = (
  name: string,
  kind: MetricDefinition['kind'],
  unit: Unit,
  labels: readonly string[],
  help: string,
): MetricDefinition => ({ name: `foreshard_${name}`, kind, unit, labels, help })

const byShard = ['shard']

export const CATALOGUE: readonly MetricDefinition[] = [
  metric(
    'shard_operations_total',
    'counter',
    'operations',
    ['shard', 'kind'],
    'Operations that the shard answered: reads and writes.',
  ),
  metric('shard_load_total', 'counter', 'accesses', byShard, 'Reads, and writes by their weight.'),
  metric(
    'shard_access_score',
    'gauge',
    'accesses',
    byShard,
    'Decayed accesses of its segments: its load of late.',
  ),
  metric('shard_segments', 'gauge', 'segments', byShard, 'Segments that it owns.'),
  metric('shard_weight', 'gauge', 'share', byShard, 'Its capacity relative to the others.'),
  metric(
    'shard_serves',
    'gauge',
    'count',
    byShard,
    '1 while this router may use it, 0 while it waits to be compared or has no store.',
  ),
  metric(
    'shard_refusals_total',
    'counter',
    'operations',
    ['shard', 'reason'],
    'Operations that it refused: held by a cutover, or elsewhere.',
  ),
  metric(
    'shard_redirects_total',
    'counter',
    'operations',
    byShard,
    'Operations that came to it after another shard had refused them.',
  ),
  metric('shard_errors_total', 'counter', 'operations', byShard, 'Operations that it failed to answer.'),
  metric(
    'router_imbalance',
    'gauge',
    'share',
    [],
    'Highest access score of a shard over the mean, by weight; 1 is even.',
  ),
  metric('router_pending_operations', 'gauge', 'operations', [], 'Operations under way.'),
  metric(
    'router_operation_duration_seconds',
    'histogram',
    'seconds',
    ['kind'],
    'How long operations take, tries and waits included; one in sixteen is timed.',
  ),
  metric(
    'router_multi_key_requests_total',
    'counter',
    'operations',
    [],
    'Calls of getMany and setMany with two keys or more.',
  ),
  metric(
    'router_crossing_requests_total',
    'counter',
    'operations',
    [],
    'Of them, those whose keys lay on two shards or more.',
  ),
  metric('router_topology_revision', 'gauge', 'count', [], 'How far the view of this router is.'),
  metric('router_topology_reads_total', 'counter', 'count', [], 'How often the topology was read.'),
  metric(
    'router_owner_searches_total',
    'counter',
    'count',
    [],
    'How often all shards had to be asked who owns a segment.',
  ),
  metric(
    'router_listener_failures_total',
    'counter',
    'count',
    [],
    'How often a listener or an observer threw.',
  ),
  metric('tracker_bytes', 'gauge', 'bytes', [], 'What tracking takes, an estimate.'),
  metric('tracker_keys', 'gauge', 'keys', [], 'Keys that are tracked by themselves.'),
  metric('tracker_keys_replaced_total', 'counter', 'keys', [], 'Keys that had to make room.'),
  metric('migrator_reshardings_total', 'counter', 'count', ['outcome'], 'Reshardings that ended here.'),
  metric('migrator_moves_total', 'counter', 'segments', ['outcome'], 'Segments whose move ended here.'),
  metric('migrator_keys_copied_total', 'counter', 'keys', [], 'Keys copied.'),
  metric('migrator_bytes_copied_total', 'counter', 'bytes', [], 'Bytes of values copied.'),
  metric('migrator_retries_total', 'counter', 'count', [], 'Attempts at a move after its first.'),
  metric(
    'migrator_phase_duration_seconds',
    'histogram',
    'seconds',
    ['phase'],
    'How long moves were in each phase.',
  ),
  metric(
    'migrator_hold_duration_seconds',
    'histogram',
    'seconds',
    [],
    'How long writes to a segment were held at its cutover.',
  ),
  metric(
    'migrator_segments_left',
    'gauge',
    'segments',
    [],
    'Segments of the resharding under way that have not come to an end.',
  ),
  metric(
    'migrator_waiting_shards',
    'gauge',
    'count',
    [],
    'Shards that do not answer and that the resharding under way waits for.',
  ),
  metric(
    'predictor_entries_total',
    'counter',
    'accesses',
    [],
    'Entries of the access log that were counted.',
  ),
  metric('predictor_refused_entries_total', 'counter', 'accesses', ['reason'], 'Entries that were not.'),
  metric(
    'predictor_newest_interval_timestamp_seconds',
    'gauge',
    'seconds',
    [],
    'When the newest interval with an access began, since the epoch.',
  ),
  metric('predictor_bytes', 'gauge', 'bytes', [], 'What its arrays take, an estimate.'),
  metric('predictor_slots', 'gauge', 'segments', [], 'Buckets and tags that have a series.'),
  metric('predictor_hot_tags', 'gauge', 'count', [], 'Tags that are followed by themselves.'),
  metric(
    'predictor_predictions_total',
    'counter',
    'count',
    [],
    'Predictions made, those before a restart included.',
  ),
  metric('predictor_pending_predictions', 'gauge', 'count', [], 'Predictions whose horizon is not over.'),
  metric(
    'forecast_compared_total',
    'counter',
    'count',
    [],
    'Forecasts of a segment and an interval that have come true or not.',
  ),
  metric(
    'forecast_covered_total',
    'counter',
    'count',
    [],
    'Of them, those whose load lay inside the interval of 95 %.',
  ),
  metric('forecast_absolute_error_total', 'counter', 'accesses', [], 'Sum of what forecasts were off by.'),
  metric('forecast_load_total', 'counter', 'accesses', [], 'Sum of the loads that came.'),
  metric('forecast_expected_load_total', 'counter', 'accesses', [], 'Sum of the loads that were forecast.'),
  metric(
    'forecast_drifts_total',
    'counter',
    'count',
    [],
    'Intervals in which the fleet was found to have left its forecasts.',
  ),
  metric(
    'forecast_drift_alarms',
    'gauge',
    'segments',
    [],
    'Segments whose detector went off in the newest interval.',
  ),
  metric(
    'forecast_drift_excess',
    'gauge',
    'share',
    [],
    'How much further from their forecasts than usual all segments lie, in deviations.',
  ),
  metric(
    'recommendation_outcomes_total',
    'counter',
    'count',
    [],
    'Recommendations, carried out or not, of which it is known what they were worth.',
  ),
  metric('recommendation_hits_total', 'counter', 'count', [], 'Of them, those that gained.'),
  metric('recommendation_expected_gain_total', 'counter', 'J', [], 'Sum of what J was expected to fall by.'),
  metric(
    'recommendation_realised_gain_total',
    'counter',
    'J',
    [],
    'Sum of what J fell by, of those that gained.',
  ),
  metric(
    'recommendation_realised_loss_total',
    'counter',
    'J',
    [],
    'Sum of what J rose by, of those that lost.',
  ),
  metric(
    'confidence_outcomes_total',
    'counter',
    'count',
    ['scope'],
    'Probabilities that can be held against what came: of moves, of whole maps.',
  ),
  metric('confidence_held_total', 'counter', 'count', ['scope'], 'Of them, those where J fell.'),
  metric(
    'confidence_probability_total',
    'counter',
    'share',
    ['scope'],
    'Sum of the probabilities given; over the outcomes, it should be the share that held.',
  ),
  metric(
    'confidence_squared_error_total',
    'counter',
    'share',
    ['scope'],
    'Sum of their squared errors (Brier).',
  ),
  metric(
    'rebalancer_skipped_rounds_total',
    'counter',
    'count',
    ['reason'],
    'Rounds in which nothing was moved, by why.',
  ),
  metric('rebalancer_recommendations_total', 'counter', 'count', [], 'Recommendations made.'),
  metric('rebalancer_reshardings_total', 'counter', 'count', [], 'Recommendations that the router took.'),
  metric('rebalancer_rollbacks_total', 'counter', 'count', [], 'Reshardings undone because J had risen.'),
  metric(
    'rebalancer_errors_total',
    'counter',
    'count',
    [],
    'Failures of rounds, of recording and of listeners.',
  ),
  metric('rebalancer_confidence', 'gauge', 'share', [], 'Confidence of the last prediction.'),
  metric(
    'rebalancer_expected_gain',
    'gauge',
    'J',
    [],
    'What J is expected to fall by, of the last prediction.',
  ),
  metric(
    'rebalancer_imbalance',
    'gauge',
    'share',
    ['state'],
    'Forecast imbalance by the last prediction, before and after its moves.',
  ),
  metric(
    'rebalancer_crossing',
    'gauge',
    'share',
    ['state'],
    'Share of the multi-key transactions over two shards or more, before and after.',
  ),
  metric(
    'rebalancer_probation_loss',
    'gauge',
    'J',
    [],
    'By how much J is higher than without the newest resharding of its own.',
  ),
  metric('rebalancer_probation_interval', 'gauge', 'J', [], 'Half of the interval of that.'),
  metric('monitoring_failures_total', 'counter', 'count', [], 'Readings of a part, or spans, that failed.'),
]
