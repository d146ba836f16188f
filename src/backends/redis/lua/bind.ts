/**
 * Binds a database to a shard, once, and says whose it is. One database is one shard, whatever its prefix: two would
 * keep the same keys, and a purge of one would delete what had moved to the other.
 *
 * KEYS  the shard's hash, the name under which the prefix is remembered
 * ARGV  topology, shard, buckets, a name for the data that begins here, prefix, format
 * Returns topology, shard, buckets, name, format; or the prefix that the database was bound with
 */
export const BIND_LUA = `
local prefix = redis.call('GET', KEYS[2])
if prefix and prefix ~= ARGV[5] then return { prefix } end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[2], ARGV[5])
  redis.call('HSET', KEYS[1], 'topologyId', ARGV[1], 'shard', ARGV[2], 'buckets', ARGV[3], 'id', ARGV[4],
    'format', ARGV[6])
end
return redis.call('HMGET', KEYS[1], 'topologyId', 'shard', 'buckets', 'id', 'format')
`
