/** Where the keys of a Redis command stand among its words, the command's own name being word 0. */
export interface KeyWords {
  readonly write: boolean
  /** Index of the first key; of the last, from the end where it is negative; and how far apart they are. */
  readonly first: number
  readonly last: number
  readonly step: number
  /** Word that says how many keys follow it; 0: none does. */
  readonly counted: number
  /** The first key is written, the others are read. */
  readonly destination: boolean
  /** Keys follow the word STREAMS, as many as there are ids after them. */
  readonly streams: boolean
}

const COMMANDS = new Map<string, KeyWords>()

function add(
  write: boolean,
  names: string,
  {
    first = 1,
    last = first,
    step = 1,
    counted = 0,
    destination = false,
    streams = false,
  }: Partial<KeyWords> = {},
): void {
  for (const name of names.split(' '))
    COMMANDS.set(name, { write, first, last, step, counted, destination, streams })
}

// After the command table of Redis 7.4 (COMMAND DOCS), JSON and Bloom modules of Redis 8 included.
add(
  false,
  'get strlen getrange substr ttl pttl type hget hmget hgetall hkeys hvals hlen hexists hstrlen hscan hrandfield httl hpttl hexpiretime hpexpiretime lrange llen lindex lpos smembers sismember smismember scard srandmember sscan zrange zrevrange zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex zcard zcount zlexcount zscore zmscore zrank zrevrank zrandmember zscan bitcount bitpos getbit bitfield_ro geohash geopos geodist geosearch georadius_ro georadiusbymember_ro xrange xrevrange xlen xpending dump expiretime pexpiretime sort_ro json.get json.type json.arrlen json.objlen json.objkeys json.strlen bf.exists bf.mexists bf.info ts.get ts.range',
)
add(
  true,
  'set setnx setex psetex getset getdel getex append setrange incr decr incrby decrby incrbyfloat expire pexpire expireat pexpireat persist hset hsetnx hmset hincrby hincrbyfloat hdel hexpire hpexpire hexpireat hpexpireat hpersist hgetdel hgetex hsetex lpush rpush lpushx rpushx lpop rpop lset lrem ltrim linsert sadd srem spop zadd zincrby zrem zremrangebyscore zremrangebyrank zremrangebylex zpopmin zpopmax setbit bitfield geoadd georadius georadiusbymember xadd xdel xtrim xack xclaim xautoclaim xsetid pfadd restore restore-asking sort move json.set json.del json.merge json.arrappend json.numincrby bf.add bf.madd bf.reserve ts.add',
)
add(false, 'mget exists touch sinter sunion sdiff pfcount', { last: -1 })
add(false, 'json.mget', { last: -2 })
add(false, 'lcs', { last: 2 })
add(false, 'object memory', { first: 2 })
add(true, 'xgroup', { first: 2 })
add(false, 'xinfo', { first: 2 })
add(true, 'del unlink', { last: -1 })
add(true, 'mset msetnx', { last: -1, step: 2 })
add(true, 'rename renamenx rpoplpush lmove brpoplpush blmove smove', { last: 2 })
add(true, 'copy zrangestore geosearchstore', { last: 2, destination: true })
add(true, 'sinterstore sunionstore sdiffstore pfmerge', { last: -1, destination: true })
add(true, 'bitop', { first: 2, last: -1, destination: true })
add(true, 'zunionstore zinterstore zdiffstore', { counted: 2, destination: true })
add(false, 'zunion zinter zdiff zintercard sintercard', { counted: 1 })
add(true, 'lmpop zmpop', { counted: 1 })
add(true, 'blmpop bzmpop', { counted: 2 })
add(true, 'blpop brpop bzpopmin bzpopmax', { last: -2 })
add(true, 'eval evalsha fcall', { counted: 2 })
add(false, 'eval_ro evalsha_ro fcall_ro', { counted: 2 })
add(false, 'xread', { streams: true })
add(true, 'xreadgroup', { streams: true })

/** Commands that name no key: what they do is no access to what is placed by keys. */
const KEYLESS = new Set(
  'ping echo select auth hello quit reset client config info command dbsize keys scan randomkey flushdb flushall multi exec discard watch unwatch subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe publish spublish pubsub script function cluster replicaof slaveof role psync replconf sync save bgsave bgrewriteaof lastsave slowlog latency monitor debug wait waitaof time swapdb module acl asking readonly readwrite failover shutdown lolwut migrate'.split(
    ' ',
  ),
)

/** undefined: the command names no key; null: it is not known. */
export function keyWordsOf(command: string): KeyWords | undefined | null {
  const name = command.toLowerCase()
  return COMMANDS.get(name) ?? (KEYLESS.has(name) ? undefined : null)
}

/** The words that are keys, of `count` words; `word` tells one of them. None where the words do not fit. */
export function keyIndices(keys: KeyWords, count: number, word: (index: number) => string): number[] {
  const found: number[] = []
  const { first, last, step, counted, destination, streams } = keys
  if (streams) {
    let at = 1
    while (at < count && word(at).toLowerCase() !== 'streams') at++
    const each = Math.floor((count - at - 1) / 2)
    for (let i = 1; i <= each; i++) found.push(at + i)
    return found
  }
  if (counted > 0) {
    const many = Number(word(counted))
    if (!Number.isSafeInteger(many) || many < 0 || counted + many >= count) return []
    if (destination) found.push(1)
    for (let i = 1; i <= many; i++) found.push(counted + i)
    return found
  }
  const end = last < 0 ? count + last : last
  for (let i = first; i <= end && i < count; i += step) found.push(i)
  return found
}
