/**
 * Binds the server to a shard, once, and says whose it is.
 *
 * KEYS  the shard's hash
 * ARGV  topology, shard, buckets, a name for the data that begins here
 * Returns topology, shard, buckets, name, steps taken so far
 */
export const BIND_LUA = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'topologyId', ARGV[1], 'shard', ARGV[2], 'buckets', ARGV[3], 'id', ARGV[4], 'steps', '0')
end
return redis.call('HMGET', KEYS[1], 'topologyId', 'shard', 'buckets', 'id', 'steps')
`
