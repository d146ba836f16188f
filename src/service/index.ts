/** The predictor as a microservice, and the client that stands in for a Predictor. */

export type { PredictorClientOptions } from './client-options'
export { createDashboard, type Dashboard } from './dashboard/dashboard'
export type { DashboardOptions } from './dashboard/options'
export type { GuardOptions, Permission } from './guard'
export type { ModelStore } from './model-store'
export type { ServiceLimits, ServiceOptions } from './options'
export {
  PredictorClient,
  type PredictorClientEvents,
  type PredictorClientMetrics,
} from './predictor-client'
export type { Problem } from './problem'
export { createService, type Service } from './service'
export { fileModelStore } from './stores/file-model-store'
export { type PostgresModelStoreOptions, postgresModelStore } from './stores/postgres-model-store'
export { type RedisModelStoreOptions, redisModelStore } from './stores/redis-model-store'
