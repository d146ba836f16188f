/**
 * Every command of Redis 7.0, as `COMMAND` tells it, and what becomes of it here. A line is
 *
 *     name | arity, the name counted, negative for at least | keys | how | since
 *
 * Keys: r where a key is only read, w where it may be written, then where it stands: a place, or a word and the place from
 * which it is looked for. `..last/step` the places from there to last (negative: from the end), every step-th; `~n` only
 * the first n-th part of what is left; `#` the place holds how many keys follow it.
 *
 * How: tag, on the shard of its keys, which have one tag; split, a part for each tag; block, tried again until its time is
 * over; script, a function inside the fence; client, answered here; all, over all shards; ! and a reason, refused.
 *
 * test/backends/redis/command-table.test.ts holds it against a server.
 */
const TABLE = `
# string
append | 3 | w1 | tag | 2.0.0
decr | 2 | w1 | tag | 1.0.0
decrby | 3 | w1 | tag | 1.0.0
get | 2 | r1 | tag | 1.0.0
getdel | 2 | w1 | tag | 6.2.0
getex | -2 | w1 | tag | 6.2.0
getrange | 4 | r1 | tag | 2.4.0
getset | 3 | w1 | tag | 1.0.0
incr | 2 | w1 | tag | 1.0.0
incrby | 3 | w1 | tag | 1.0.0
incrbyfloat | 3 | w1 | tag | 2.6.0
lcs | -3 | r1..1 | tag | 7.0.0
mget | -2 | r1..-1 | split | 1.0.0
mset | -3 | w1..-1/2 | split | 1.0.1
msetnx | -3 | w1..-1/2 | tag | 1.0.1
psetex | 4 | w1 | tag | 2.6.0
set | -3 | w1 | tag | 1.0.0
setex | 4 | w1 | tag | 2.0.0
setnx | 3 | w1 | tag | 1.0.0
setrange | 4 | w1 | tag | 2.2.0
strlen | 2 | r1 | tag | 2.2.0
substr | 4 | r1 | tag | 1.0.0
# bitmap
bitcount | -2 | r1 | tag | 2.6.0
bitfield | -2 | w1 | tag | 3.2.0
bitfield_ro | -2 | r1 | tag | 6.0.0
bitop | -4 | w2 r3..-1 | tag | 2.6.0
bitpos | -3 | r1 | tag | 2.8.7
getbit | 3 | r1 | tag | 2.2.0
setbit | 4 | w1 | tag | 2.2.0
# hyperloglog
pfadd | -2 | w1 | tag | 2.8.9
pfcount | -2 | w1..-1 | tag | 2.8.9
pfdebug | 3 | w2 | !debug | 2.8.9
pfmerge | -2 | w1 r2..-1 | tag | 2.8.9
pfselftest | 1 |  | !debug | 2.8.9
# hash
hdel | -3 | w1 | tag | 2.0.0
hexists | 3 | r1 | tag | 2.0.0
hget | 3 | r1 | tag | 2.0.0
hgetall | 2 | r1 | tag | 2.0.0
hincrby | 4 | w1 | tag | 2.0.0
hincrbyfloat | 4 | w1 | tag | 2.6.0
hkeys | 2 | r1 | tag | 2.0.0
hlen | 2 | r1 | tag | 2.0.0
hmget | -3 | r1 | tag | 2.0.0
hmset | -4 | w1 | tag | 2.0.0
hrandfield | -2 | r1 | tag | 6.2.0
hscan | -3 | r1 | tag | 2.8.0
hset | -4 | w1 | tag | 2.0.0
hsetnx | 4 | w1 | tag | 2.0.0
hstrlen | 3 | r1 | tag | 3.2.0
hvals | 2 | r1 | tag | 2.0.0
# list
blmove | 6 | w1 w2 | block | 6.2.0
blmpop | -5 | w2# | block | 7.0.0
blpop | -3 | w1..-2 | block | 2.0.0
brpop | -3 | w1..-2 | block | 2.0.0
brpoplpush | 4 | w1 w2 | block | 2.2.0
lindex | 3 | r1 | tag | 1.0.0
linsert | 5 | w1 | tag | 2.2.0
llen | 2 | r1 | tag | 1.0.0
lmove | 5 | w1 w2 | tag | 6.2.0
lmpop | -4 | w1# | tag | 7.0.0
lpop | -2 | w1 | tag | 1.0.0
lpos | -3 | r1 | tag | 6.0.6
lpush | -3 | w1 | tag | 1.0.0
lpushx | -3 | w1 | tag | 2.2.0
lrange | 4 | r1 | tag | 1.0.0
lrem | 4 | w1 | tag | 1.0.0
lset | 4 | w1 | tag | 1.0.0
ltrim | 4 | w1 | tag | 1.0.0
rpop | -2 | w1 | tag | 1.0.0
rpoplpush | 3 | w1 w2 | tag | 1.2.0
rpush | -3 | w1 | tag | 1.0.0
rpushx | -3 | w1 | tag | 2.2.0
# set
sadd | -3 | w1 | tag | 1.0.0
scard | 2 | r1 | tag | 1.0.0
sdiff | -2 | r1..-1 | tag | 1.0.0
sdiffstore | -3 | w1 r2..-1 | tag | 1.0.0
sinter | -2 | r1..-1 | tag | 1.0.0
sintercard | -3 | r1# | tag | 7.0.0
sinterstore | -3 | w1 r2..-1 | tag | 1.0.0
sismember | 3 | r1 | tag | 1.0.0
smembers | 2 | r1 | tag | 1.0.0
smismember | -3 | r1 | tag | 6.2.0
smove | 4 | w1 w2 | tag | 1.0.0
spop | -2 | w1 | tag | 1.0.0
srandmember | -2 | r1 | tag | 1.0.0
srem | -3 | w1 | tag | 1.0.0
sscan | -3 | r1 | tag | 2.8.0
sunion | -2 | r1..-1 | tag | 1.0.0
sunionstore | -3 | w1 r2..-1 | tag | 1.0.0
# sorted-set
bzmpop | -5 | w2# | block | 7.0.0
bzpopmax | -3 | w1..-2 | block | 5.0.0
bzpopmin | -3 | w1..-2 | block | 5.0.0
zadd | -4 | w1 | tag | 1.2.0
zcard | 2 | r1 | tag | 1.2.0
zcount | 4 | r1 | tag | 2.0.0
zdiff | -3 | r1# | tag | 6.2.0
zdiffstore | -4 | w1 r2# | tag | 6.2.0
zincrby | 4 | w1 | tag | 1.2.0
zinter | -3 | r1# | tag | 6.2.0
zintercard | -3 | r1# | tag | 7.0.0
zinterstore | -4 | w1 r2# | tag | 2.0.0
zlexcount | 4 | r1 | tag | 2.8.9
zmpop | -4 | w1# | tag | 7.0.0
zmscore | -3 | r1 | tag | 6.2.0
zpopmax | -2 | w1 | tag | 5.0.0
zpopmin | -2 | w1 | tag | 5.0.0
zrandmember | -2 | r1 | tag | 6.2.0
zrange | -4 | r1 | tag | 1.2.0
zrangebylex | -4 | r1 | tag | 2.8.9
zrangebyscore | -4 | r1 | tag | 1.0.5
zrangestore | -5 | w1 r2 | tag | 6.2.0
zrank | 3 | r1 | tag | 2.0.0
zrem | -3 | w1 | tag | 1.2.0
zremrangebylex | 4 | w1 | tag | 2.8.9
zremrangebyrank | 4 | w1 | tag | 2.0.0
zremrangebyscore | 4 | w1 | tag | 1.2.0
zrevrange | -4 | r1 | tag | 1.2.0
zrevrangebylex | -4 | r1 | tag | 2.8.9
zrevrangebyscore | -4 | r1 | tag | 2.2.0
zrevrank | 3 | r1 | tag | 2.0.0
zscan | -3 | r1 | tag | 2.8.0
zscore | 3 | r1 | tag | 1.2.0
zunion | -3 | r1# | tag | 6.2.0
zunionstore | -4 | w1 r2# | tag | 2.0.0
# stream
xack | -4 | w1 | tag | 5.0.0
xadd | -5 | w1 | tag | 5.0.0
xautoclaim | -6 | w1 | tag | 6.2.0
xclaim | -6 | w1 | tag | 5.0.0
xdel | -3 | w1 | tag | 5.0.0
xgroup create | -5 | w2 | tag | 5.0.0
xgroup createconsumer | 5 | w2 | tag | 6.2.0
xgroup delconsumer | 5 | w2 | tag | 5.0.0
xgroup destroy | 4 | w2 | tag | 5.0.0
xgroup help | 2 |  | !server | 5.0.0
xgroup setid | -5 | w2 | tag | 5.0.0
xinfo consumers | 4 | r2 | tag | 5.0.0
xinfo groups | 3 | r2 | tag | 5.0.0
xinfo help | 2 |  | !server | 5.0.0
xinfo stream | -3 | r2 | tag | 5.0.0
xlen | 2 | r1 | tag | 5.0.0
xpending | -3 | r1 | tag | 5.0.0
xrange | -4 | r1 | tag | 5.0.0
xread | -4 | rSTREAMS@1..-1~2 | block | 5.0.0
xreadgroup | -7 | wSTREAMS@4..-1~2 | block | 5.0.0
xrevrange | -4 | r1 | tag | 5.0.0
xsetid | -3 | w1 | tag | 5.0.0
xtrim | -4 | w1 | tag | 5.0.0
# geo
geoadd | -5 | w1 | tag | 3.2.0
geodist | -4 | r1 | tag | 3.2.0
geohash | -2 | r1 | tag | 3.2.0
geopos | -2 | r1 | tag | 3.2.0
georadius | -6 | r1 wSTORE@6 wSTOREDIST@6 | tag | 3.2.0
georadius_ro | -6 | r1 | tag | 3.2.10
georadiusbymember | -5 | r1 wSTORE@5 wSTOREDIST@5 | tag | 3.2.0
georadiusbymember_ro | -5 | r1 | tag | 3.2.10
geosearch | -7 | r1 | tag | 6.2.0
geosearchstore | -8 | w1 r2 | tag | 6.2.0
# generic
copy | -3 | r1 w2 | tag | 6.2.0
del | -2 | w1..-1 | split | 1.0.0
dump | 2 | r1 | tag | 2.6.0
exists | -2 | r1..-1 | split | 1.0.0
expire | -3 | w1 | tag | 1.0.0
expireat | -3 | w1 | tag | 1.2.0
expiretime | 2 | r1 | tag | 7.0.0
keys | 2 |  | all | 1.0.0
migrate | -6 | w3 wKEYS@-2..-1 | !shard | 2.6.0
move | 3 | w1 | !database | 1.0.0
object encoding | 3 | r2 | tag | 2.2.3
object freq | 3 | r2 | tag | 4.0.0
object help | 2 |  | !server | 6.2.0
object idletime | 3 | r2 | tag | 2.2.3
object refcount | 3 | r2 | tag | 2.2.3
persist | 2 | w1 | tag | 2.2.0
pexpire | -3 | w1 | tag | 2.6.0
pexpireat | -3 | w1 | tag | 2.6.0
pexpiretime | 2 | r1 | tag | 7.0.0
pttl | 2 | r1 | tag | 2.6.0
randomkey | 1 |  | all | 1.0.0
rename | 3 | w1 w2 | tag | 1.0.0
renamenx | 3 | w1 w2 | tag | 1.0.0
restore | -4 | w1 | tag | 2.6.0
scan | -2 |  | all | 2.8.0
sort | -2 | r1 | tag | 1.0.0
sort_ro | -2 | r1 | tag | 7.0.0
touch | -2 | r1..-1 | split | 3.2.1
ttl | 2 | r1 | tag | 1.0.0
type | 2 | r1 | tag | 1.0.0
unlink | -2 | w1..-1 | split | 4.0.0
wait | 3 |  | !replication | 3.0.0
# scripting
eval | -3 | w2# | script | 2.6.0
eval_ro | -3 | r2# | script | 7.0.0
evalsha | -3 | w2# | script | 2.6.0
evalsha_ro | -3 | r2# | script | 7.0.0
fcall | -3 | w2# | !functions | 7.0.0
fcall_ro | -3 | r2# | !functions | 7.0.0
function delete | 3 |  | !functions | 7.0.0
function dump | 2 |  | !functions | 7.0.0
function flush | -2 |  | !functions | 7.0.0
function help | 2 |  | !server | 7.0.0
function kill | 2 |  | !functions | 7.0.0
function list | -2 |  | !functions | 7.0.0
function load | -3 |  | !functions | 7.0.0
function restore | -3 |  | !functions | 7.0.0
function stats | 2 |  | !functions | 7.0.0
script debug | 3 |  | !server | 3.2.0
script exists | -3 |  | client | 2.6.0
script flush | -2 |  | client | 2.6.0
script help | 2 |  | !server | 5.0.0
script kill | 2 |  | !server | 2.6.0
script load | 3 |  | client | 2.6.0
# transactions
discard | 1 |  | client | 2.0.0
exec | 1 |  | client | 1.2.0
multi | 1 |  | client | 1.2.0
unwatch | 1 |  | !watch | 2.2.0
watch | -2 | r1..-1 | !watch | 2.2.0
# connection
auth | -2 |  | !connection | 1.0.0
client caching | 3 |  | !connection | 6.0.0
client getname | 2 |  | !connection | 2.6.9
client getredir | 2 |  | !connection | 6.0.0
client help | 2 |  | !server | 5.0.0
client id | 2 |  | !connection | 5.0.0
client info | 2 |  | !connection | 6.2.0
client kill | -3 |  | !connection | 2.4.0
client list | -2 |  | !connection | 2.4.0
client no-evict | 3 |  | !connection | 7.0.0
client pause | -3 |  | !connection | 2.9.50
client reply | 3 |  | !connection | 3.2.0
client setname | 3 |  | !connection | 2.6.9
client tracking | -3 |  | !connection | 6.0.0
client trackinginfo | 2 |  | !connection | 6.2.0
client unblock | -3 |  | !connection | 5.0.0
client unpause | 2 |  | !connection | 6.2.0
echo | 2 |  | client | 1.0.0
hello | -1 |  | !connection | 6.0.0
ping | -1 |  | client | 1.0.0
quit | -1 |  | client | 1.0.0
reset | 1 |  | !connection | 6.2.0
select | 2 |  | !database | 1.0.0
# pubsub
psubscribe | -2 |  | !pubsub | 2.0.0
publish | 3 |  | !pubsub | 2.0.0
pubsub channels | -2 |  | !pubsub | 2.8.0
pubsub help | 2 |  | !server | 6.2.0
pubsub numpat | 2 |  | !pubsub | 2.8.0
pubsub numsub | -2 |  | !pubsub | 2.8.0
pubsub shardchannels | -2 |  | !pubsub | 7.0.0
pubsub shardnumsub | -2 |  | !pubsub | 7.0.0
punsubscribe | -1 |  | !pubsub | 2.0.0
spublish | 3 |  | !pubsub | 7.0.0
ssubscribe | -2 |  | !pubsub | 7.0.0
subscribe | -2 |  | !pubsub | 2.0.0
sunsubscribe | -1 |  | !pubsub | 7.0.0
unsubscribe | -1 |  | !pubsub | 2.0.0
# server
acl cat | -2 |  | !server | 6.0.0
acl deluser | -3 |  | !server | 6.0.0
acl dryrun | -4 |  | !server | 7.0.0
acl genpass | -2 |  | !server | 6.0.0
acl getuser | 3 |  | !server | 6.0.0
acl help | 2 |  | !server | 6.0.0
acl list | 2 |  | !server | 6.0.0
acl load | 2 |  | !server | 6.0.0
acl log | -2 |  | !server | 6.0.0
acl save | 2 |  | !server | 6.0.0
acl setuser | -3 |  | !server | 6.0.0
acl users | 2 |  | !server | 6.0.0
acl whoami | 2 |  | !server | 6.0.0
bgrewriteaof | 1 |  | !server | 1.0.0
bgsave | -1 |  | !server | 1.0.0
command count | 2 |  | !server | 2.8.13
command docs | -2 |  | !server | 7.0.0
command getkeys | -4 |  | !server | 2.8.13
command getkeysandflags | -4 |  | !server | 7.0.0
command help | 2 |  | !server | 5.0.0
command info | -2 |  | !server | 2.8.13
command list | -2 |  | !server | 7.0.0
config get | -3 |  | !server | 2.0.0
config help | 2 |  | !server | 5.0.0
config resetstat | 2 |  | !server | 2.0.0
config rewrite | 2 |  | !server | 2.8.0
config set | -4 |  | !server | 2.0.0
dbsize | 1 |  | all | 1.0.0
debug | -2 |  | !server | 1.0.0
failover | -1 |  | !replication | 6.2.0
flushall | -1 |  | !database | 1.0.0
flushdb | -1 |  | all | 1.0.0
info | -1 |  | !server | 1.0.0
lastsave | 1 |  | !server | 1.0.0
latency doctor | 2 |  | !server | 2.8.13
latency graph | 3 |  | !server | 2.8.13
latency help | 2 |  | !server | 2.8.13
latency histogram | -2 |  | !server | 7.0.0
latency history | 3 |  | !server | 2.8.13
latency latest | 2 |  | !server | 2.8.13
latency reset | -2 |  | !server | 2.8.13
lolwut | -1 |  | !server | 5.0.0
memory doctor | 2 |  | !server | 4.0.0
memory help | 2 |  | !server | 4.0.0
memory malloc-stats | 2 |  | !server | 4.0.0
memory purge | 2 |  | !server | 4.0.0
memory stats | 2 |  | !server | 4.0.0
memory usage | -3 | r2 | tag | 4.0.0
module help | 2 |  | !server | 5.0.0
module list | 2 |  | !server | 4.0.0
module load | -3 |  | !server | 4.0.0
module loadex | -3 |  | !server | 7.0.0
module unload | 3 |  | !server | 4.0.0
monitor | 1 |  | !server | 1.0.0
psync | -3 |  | !replication | 2.8.0
replconf | -1 |  | !replication | 3.0.0
replicaof | 3 |  | !replication | 5.0.0
restore-asking | -4 | w1 | !cluster | 3.0.0
role | 1 |  | !replication | 2.8.12
save | 1 |  | !server | 1.0.0
shutdown | -1 |  | !server | 1.0.0
slaveof | 3 |  | !replication | 1.0.0
slowlog get | -2 |  | !server | 2.2.12
slowlog help | 2 |  | !server | 6.2.0
slowlog len | 2 |  | !server | 2.2.12
slowlog reset | 2 |  | !server | 2.2.12
swapdb | 3 |  | !database | 4.0.0
sync | 1 |  | !replication | 1.0.0
time | 1 |  | client | 2.6.0
# cluster
asking | 1 |  | !cluster | 3.0.0
cluster addslots | -3 |  | !cluster | 3.0.0
cluster addslotsrange | -4 |  | !cluster | 7.0.0
cluster bumpepoch | 2 |  | !cluster | 3.0.0
cluster count-failure-reports | 3 |  | !cluster | 3.0.0
cluster countkeysinslot | 3 |  | !cluster | 3.0.0
cluster delslots | -3 |  | !cluster | 3.0.0
cluster delslotsrange | -4 |  | !cluster | 7.0.0
cluster failover | -2 |  | !cluster | 3.0.0
cluster flushslots | 2 |  | !cluster | 3.0.0
cluster forget | 3 |  | !cluster | 3.0.0
cluster getkeysinslot | 4 |  | !cluster | 3.0.0
cluster help | 2 |  | !server | 5.0.0
cluster info | 2 |  | !cluster | 3.0.0
cluster keyslot | 3 |  | !cluster | 3.0.0
cluster links | 2 |  | !cluster | 7.0.0
cluster meet | -4 |  | !cluster | 3.0.0
cluster myid | 2 |  | !cluster | 3.0.0
cluster nodes | 2 |  | !cluster | 3.0.0
cluster replicas | 3 |  | !cluster | 5.0.0
cluster replicate | 3 |  | !cluster | 3.0.0
cluster reset | -2 |  | !cluster | 3.0.0
cluster saveconfig | 2 |  | !cluster | 3.0.0
cluster set-config-epoch | 3 |  | !cluster | 3.0.0
cluster setslot | -4 |  | !cluster | 3.0.0
cluster shards | 2 |  | !cluster | 7.0.0
cluster slaves | 3 |  | !cluster | 3.0.0
cluster slots | 2 |  | !cluster | 3.0.0
readonly | 1 |  | !cluster | 3.0.0
readwrite | 1 |  | !cluster | 3.0.0
`

export type Handling = 'tag' | 'split' | 'block' | 'script' | 'client' | 'all' | 'refused'

/** Why a command is refused. */
export const REASONS = {
  server: 'it is about one server, and there are several; send it to the client of that shard',
  cluster: 'it belongs to Redis Cluster; here the router knows where keys lie',
  connection: 'it changes a connection, and commands here share connections that are not yours alone',
  pubsub: 'a message is published on one server, and there are several; use a client of one server for it',
  functions: 'functions are kept by one server; use EVAL or defineCommand, which go where the keys are',
  replication: 'it is about one server and its replicas; see the option replicas of redisStore',
  database: 'a shard is one database of a server',
  shard: 'keys are moved by the router: requestResharding',
  watch:
    'it watches a connection, and commands here share connections; use a script, or update of the router',
  debug: 'it shows the inside of one server',
} as const

export type Reason = keyof typeof REASONS

/** Where keys stand in a command. */
export interface KeySpec {
  readonly written: boolean
  /** The place where they begin, or a word before them and the place from which it is looked for. */
  readonly begin: number | { readonly word: string; readonly from: number }
  /** Left out: one key. */
  readonly find?: 'count' | { readonly last: number; readonly step: number; readonly part: number }
}

export interface CommandRow {
  /** In lower case; of a subcommand both words. */
  readonly name: string
  readonly arity: number
  readonly keys: readonly KeySpec[]
  readonly how: Handling
  readonly reason?: Reason
  readonly group: string
  readonly since: string
}

function parse(): Map<string, CommandRow> {
  const rows = new Map<string, CommandRow>()
  let group = ''
  for (const line of TABLE.trim().split('\n')) {
    if (line.startsWith('# ')) {
      group = line.slice(2)
      continue
    }
    const [name, arity, keys, how, since] = line.split('|').map((it) => it.trim()) as [
      string,
      string,
      string,
      string,
      string,
    ]
    const refused = how.startsWith('!')
    rows.set(name, {
      name,
      arity: Number(arity),
      keys: keys === '' ? [] : keys.split(' ').map(parseKeys),
      how: refused ? 'refused' : (how as Handling),
      reason: refused ? (how.slice(1) as Reason) : undefined,
      group,
      since,
    })
  }
  return rows
}

function parseKeys(text: string): KeySpec {
  const [, kind, word, from, count, last, step, part] =
    /^([rw])([A-Z]*@)?(-?\d+)(#)?(?:\.\.(-?\d+)(?:\/(\d+))?(?:~(\d+))?)?$/.exec(text)!
  const begin = word === undefined ? Number(from) : { word: word.slice(0, -1), from: Number(from) }
  const written = kind === 'w'
  if (count) return { written, begin, find: 'count' }
  if (last === undefined) return { written, begin }
  return { written, begin, find: { last: Number(last), step: Number(step ?? 1), part: Number(part ?? 1) } }
}

export const COMMANDS: ReadonlyMap<string, CommandRow> = parse()

/** Words that begin the names of subcommands: `object`, `xgroup`. */
export const CONTAINERS: ReadonlySet<string> = new Set(
  [...COMMANDS.keys()].filter((name) => name.includes(' ')).map((name) => name.slice(0, name.indexOf(' '))),
)
