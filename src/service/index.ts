/** The predictor as a microservice, and the client that stands in for a Predictor. */

export type { GuardOptions, Permission } from './guard'
export type { ModelStore } from './model-store'
export type { ServiceLimits, ServiceOptions } from './options'
export type { Problem } from './problem'
export { createService, type Service } from './service'
