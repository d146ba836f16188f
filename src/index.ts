/** The public API: re-exports, and nothing else. */

export { type MemoryStoreOptions, memoryStore } from './backends/memory/memory-store'
export { type MemoryTopologyOptions, memoryTopology } from './backends/memory/memory-topology'
export type { RowMap, RowsFound } from './backends/rows/row-map'
export { type RowStoreOptions, type RowSupports, rowStore } from './backends/rows/row-store'
export { type Clock, ManualClock, type Random, seededRandom, systemClock } from './clock'
export { ErrorCode, type ErrorDetails, ForeshardError, isForeshardError } from './errors'
export type { MaintenanceWindow } from './maintenance-window'
export type { PaceOptions, PaceReading } from './migrator/pace'
export type { MovePhase, MoveProgress, ReshardingProgress, ReshardingReport } from './migrator/progress'
export { type Location, Placement, type PlacementOptions } from './placement/assignment'
export { FoundingMap, TaggedMap, type Tagging } from './placement/founding-map'
export { HashRing, type HashRingOptions, type ShardWeight } from './placement/ring'
export {
  bucketSegment,
  type SegmentId,
  type ShardAssignmentMap,
  type ShardId,
  tagSegment,
} from './placement/segment'
export { type DataRelationships, type Entity, hashTag, type SchemaInfo } from './placement/tag'
export { type Forecast, type ForecastOptions, forecast } from './predictor/forecast'
export type { Hindsight } from './predictor/hindsight'
export type { LearnedRule, LearnedSchema } from './predictor/learned-schema'
export type { LoadHistory } from './predictor/load-history'
export type { PredictorOptions, PredictRequest } from './predictor/options'
export {
  type PredictShardAssignmentOptions,
  predictShardAssignment,
} from './predictor/predict-shard-assignment'
export type {
  ExpectedGain,
  FoundingAdvice,
  HotSegment,
  MoveBudget,
  Objective,
  ShardAssignmentPrediction,
  Trigger,
} from './predictor/prediction'
export { type HindsightRequest, Predictor, type PredictorMetrics } from './predictor/predictor'
export type { SegmentCluster } from './predictor/segmentation'
export type { Bill, MovingCosts } from './rebalancer/bill'
export type { RebalancerMetrics } from './rebalancer/counts'
export type { DailyBudget, Spending } from './rebalancer/daily-budget'
export type { SkipReason } from './rebalancer/decision'
export type {
  AutomaticRollback,
  RebalancedRouter,
  RebalancerMode,
  RebalancerOptions,
  RebalancingPredictor,
} from './rebalancer/options'
export type {
  PlacementPolicy,
  PolicyDecision,
  PolicyFunction,
  PolicyStep,
} from './rebalancer/policies/placement-policy'
export {
  Rebalancer,
  type RebalancerEvents,
  type Recommendation,
  type RollbackEvent,
  type Round,
} from './rebalancer/rebalancer'
export type { PastInterval } from './rebalancer/replay/interval'
export type { IntervalOutcome } from './rebalancer/replay/track'
export type { PolicyReport, SimulationReport } from './rebalancer/report'
export { type SimulateOptions, type SimulationProgress, simulate } from './rebalancer/simulate'
export {
  type AdoptionProgress,
  type AdoptionReport,
  type AdoptOptions,
  adopt,
  type ReleaseOptions,
  type ReleaseReport,
  release,
} from './router/adoption'
export type { AdoptionPlan } from './router/adoption-plan'
export type { Codec, CodecOption } from './router/codec'
export type { RedirectEvent, RefusalEvent, ReshardingEvent, RouterEvents } from './router/events'
export type { EntryToSet } from './router/many'
export type { AddShardOptions, DrainShardOptions } from './router/membership'
export type { RouterMetrics, SegmentMetrics, ShardMetrics } from './router/metrics'
export type { KeyPage, NativeAnswers, NativeCommands } from './router/native-commands'
export type { AccessListener } from './router/observers'
export type { DeleteOptions, OperationLabels, SetOptions, UpdateOptions } from './router/operation-options'
export type { Versioned } from './router/operations'
export type { MigratorTunables, RouterOptions } from './router/options'
export type {
  AcceptedResharding,
  RefusedResharding,
  Resharding,
  RollbackPreview,
} from './router/resharding'
export type { ReshardingOptions, RollbackOptions } from './router/resharding-options'
export { type EntriesOptions, ShardRouter } from './router/router'
export type {
  CommandSet,
  NativeCommand,
  NativeFailure,
  NativeReply,
  ShardStore,
  ShardSupports,
} from './shard-store'
export type { HistoryEntry, Topology, TopologyStore } from './topology-store'
export type { AccessLogEntry } from './tracking/access-log'
export { accessScore, type ScoreOptions } from './tracking/access-score'
export type { SegmentUse } from './tracking/segment-counters'
export type { KeyUse } from './tracking/top-keys'
export type { TrackingAttributes } from './tracking/tracking-attributes'
