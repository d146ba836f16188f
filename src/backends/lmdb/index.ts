export { type LmdbStoreOptions, lmdbStore } from './lmdb-store'
export { type LmdbTopologyOptions, lmdbTopology } from './lmdb-topology'
