/** What the dashboard's server tells its page. The page imports these types, and nothing else of ours. */

export interface DashboardState {
  /** ms since the epoch. */
  readonly at: number
  readonly title: string
  /** Of the rebalancer; undefined without one. */
  readonly mode: 'observe' | 'suggest' | 'auto' | undefined
  /** Whether whoever asks may accept, reject, pause, cancel and roll back. */
  readonly mayAct: boolean
  readonly now: {
    /** Busiest shard / mean, over the last sample; undefined while nothing is accessed. */
    readonly imbalance: number | undefined
    readonly loadPerSecond: number
    readonly refusedPerSecond: number
    /** As the predictor expects it without a move. */
    readonly crossShard: number | undefined
    readonly shards: readonly ShardState[]
  }
  /** Imbalance of the last samples, oldest first. */
  readonly recent: readonly { readonly at: number; readonly imbalance: number }[]
  readonly recommendations: readonly RecommendationState[]
  readonly resharding: ReshardingState | undefined
  readonly history: readonly PastState[]
  /** Newest first. */
  readonly log: readonly LogLine[]
}

export interface ShardState {
  readonly shard: string
  readonly state: 'active' | 'draining' | 'unlisted'
  readonly serves: boolean
  /** Loads are reads + writeWeight · writes, a second. */
  readonly loadPerSecond: number
  readonly share: number
  readonly segments: number
  /** The next intervals' highest mean and upper bound, a second; undefined without a predictor, or too little history. */
  readonly peak: { readonly mean: number; readonly upper: number; readonly at: number } | undefined
  /** What it can take a second, as the dashboard was told. */
  readonly capacity: number | undefined
  readonly errors: number
}

export interface RecommendationState {
  readonly id: number
  readonly at: number
  readonly state: 'open' | 'accepted' | 'refused' | 'rejected' | 'superseded'
  /** Why it should be done, or why it was refused. */
  readonly reason: string
  readonly confidence: number
  readonly expected: {
    readonly imbalance: { readonly before: number; readonly after: number }
    readonly crossShard: { readonly before: number; readonly after: number }
    readonly keysMoved: number
    readonly bytesMoved: number
    readonly netGain: number
  }
  readonly triggers: readonly string[]
  readonly moves: readonly {
    readonly segment: string
    readonly from: string
    readonly to: string
    readonly confidence: number | undefined
    readonly reason: string
  }[]
  /** Moves beyond those shown. */
  readonly more: number
  readonly merges: number
}

export interface ReshardingState {
  readonly id: string
  readonly phase: string
  readonly reason: string
  readonly startedAt: number
  readonly segmentsDone: number
  readonly segmentsTotal: number
  readonly keysCopied: number
  readonly bytesCopied: number
  readonly keysPerSecond: number
  readonly etaMs: number | undefined
  readonly waitingFor: readonly string[]
  /** By somebody; and by a closed maintenance window, until then. */
  readonly paused: boolean
  readonly pausedUntil: number | undefined
  readonly moves: readonly {
    readonly segment: string
    readonly from: string
    readonly to: string
    readonly phase: string
    readonly keysCopied: number
    readonly holds: number
    readonly retries: number
    readonly error: string | undefined
  }[]
  readonly more: number
}

export interface PastState {
  readonly id: string
  readonly at: number
  readonly reason: string
  readonly confidence: number
  readonly moved: number
  readonly carved: number
  readonly merged: number
  /** The one that a rollback without further words would undo. */
  readonly standing: boolean
}

export interface LogLine {
  readonly at: number
  readonly kind: 'recommendation' | 'resharding' | 'skipped' | 'rescued' | 'action' | 'error'
  readonly text: string
}

export interface HeatDocument {
  readonly intervalMs: number
  readonly from: number
  /** Hottest first; loads by interval, oldest first. */
  readonly rows: readonly {
    readonly segment: string
    readonly shard: string
    readonly loads: readonly number[]
  }[]
}

/** A forecast that was made a horizon ago against what then came, and the forecast of what is to come. */
export interface OutlookDocument {
  readonly of: string
  readonly intervalMs: number
  readonly from: number
  readonly loads: readonly number[]
  /** Of the last `horizon` intervals of `loads`; undefined where too little was known before them. */
  readonly before: BandDocument | undefined
  /** Of the intervals that follow on `loads`. */
  readonly ahead: BandDocument | undefined
  /** Share of `before`'s intervals whose load lay within its bounds. */
  readonly covered: number | undefined
  readonly level: number
}

export interface BandDocument {
  readonly mean: readonly number[]
  readonly lower: readonly number[]
  readonly upper: readonly number[]
}

export interface PreviewDocument {
  readonly to: string
  readonly impossible: string | undefined
  readonly moves: readonly { readonly segment: string; readonly from: string; readonly to: string }[]
  readonly more: number
  readonly merges: readonly string[]
}
