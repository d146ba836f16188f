export { migrate, migrationSql } from './migrate'
export type { PlaceOptions } from './names'
export { type PostgresStoreOptions, postgresStore } from './postgres-store'
export { type PostgresTopologyOptions, postgresTopology } from './postgres-topology'
