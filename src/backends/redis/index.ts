export { type RedisStoreOptions, redisStore } from './redis-store'
export { type RedisTopologyOptions, redisTopology } from './redis-topology'
