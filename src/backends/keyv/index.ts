export type { KeyvForeshardOptions } from './keyv-adapter'
export { KeyvForeshard } from './keyv-foreshard'
export type { KeyvRouter } from './keyv-router'
export { type KeyvStoreOptions, keyvStore } from './keyv-store'
