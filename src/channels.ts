import diagnostics from 'node:diagnostics_channel'

/**
 * What a process can listen to without holding a router: channels of `node:diagnostics_channel`. They are of the process, not
 * of a router, so that every message names where it comes from. Whoever publishes asks `hasSubscribers` first: nothing is
 * built for a channel that nobody listens to.
 */

/** An operation, or a getMany or setMany. Errors are on the `error` channel, with the same object. */
export interface OperationContext {
  /** `metrics().name` of the router. */
  readonly router: string
  readonly kind: 'get' | 'has' | 'set' | 'delete' | 'commands' | 'many'
  /** Absent for many. */
  readonly key?: string
  readonly keys: number
}

export interface MoveContext {
  /** Holder of the migrator. */
  readonly migrator: string
  readonly resharding: string
  readonly segment: string
  readonly from: string
  readonly to: string
}

export interface ReshardingContext {
  readonly migrator: string
  readonly resharding: string
  readonly moves: number
  readonly reason: string
}

export interface PredictContext {
  readonly buckets: number
  readonly shards: number
}

export const operationChannel = diagnostics.tracingChannel<object, OperationContext>(
  'foreshard:router:operation',
)
export const reshardingChannel = diagnostics.tracingChannel<object, ReshardingContext>(
  'foreshard:migrator:resharding',
)
export const moveChannel = diagnostics.tracingChannel<object, MoveContext>('foreshard:migrator:move')
export const predictChannel = diagnostics.tracingChannel<object, PredictContext>(
  'foreshard:predictor:predict',
)
