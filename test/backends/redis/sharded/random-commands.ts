import type { Random } from '../../../../src/clock'

export type Command = readonly (string | Buffer)[]

const TAGS = ['t0', 't1', 't2', 't3', 't4', 't5']
/** Keys of a type are most often used as such, and now and then as something else. */
const KINDS = ['s', 'n', 'b', 'h', 'l', 'e', 'z', 'x', 'g', 'p'] as const
type Kind = (typeof KINDS)[number]

/** Commands on few keys of every type: what they answer is determined by what came before. */
export class RandomCommands {
  readonly #random: Random
  #ids = 0

  constructor(random: Random) {
    this.#random = random
  }

  next(): Command {
    const tag = this.#pick(TAGS)
    return this.#pick(this.#forms(tag))()
  }

  /** Several on one tag, for a transaction. */
  several(): Command[] {
    const tag = this.#pick(TAGS)
    return Array.from({ length: 1 + this.#int(4) }, () => this.#pick(this.#forms(tag))())
  }

  #forms(tag: string): readonly (() => Command)[] {
    const key = (kind: Kind) => `{${tag}}${this.#int(12) === 0 ? this.#pick(KINDS) : kind}${this.#int(2)}`
    const v = () => this.#value()
    const n = () => String(this.#int(7) - 2)
    const f = () => `f${this.#int(6)}`
    const some = (make: () => string) => Array.from({ length: 1 + this.#int(3) }, make)
    const pairs = (make: () => string) => some(() => '').flatMap(() => [make(), v()])
    const score = () => this.#pick(['1', '2.5', '-3', '0', 'inf', 'x', '7'])
    const members = () => some(() => '').flatMap(() => [score(), f()])
    const side = () => this.#pick(['LEFT', 'RIGHT'])
    const lex = () => this.#pick(['-', '+', '[f1', '(f3', '[f5'])
    const id = () => `${1 + this.#int(40)}-${this.#int(3)}`
    const group = () => this.#pick(['g1', 'g2'])
    const far = () => String(4_000_000_000 + this.#int(1000))
    const geo = () => [String(13 + this.#int(5)), String(38 + this.#int(5)), f()]
    const any = () => key(this.#pick(KINDS))
    return [
      () => ['set', key('s'), v()],
      () => ['set', key('s'), v(), this.#pick(['NX', 'XX', 'GET', 'KEEPTTL', 'ZZ'])],
      () => ['set', key('s'), v(), 'PXAT', `${far()}000`],
      () => ['set', key('s'), v(), 'EX', this.#pick(['100000', '0', '-1', 'a'])],
      () => ['set', any(), v()],
      () => ['get', key('s')],
      () => ['getset', key('s'), v()],
      () => ['getdel', key('s')],
      () => ['getex', key('s'), ...this.#pick([[], ['PERSIST'], ['EXAT', far()]])],
      () => ['append', key('s'), v()],
      () => ['strlen', key('s')],
      () => ['getrange', key('s'), n(), n()],
      () => ['setrange', key('s'), String(this.#int(5)), v()],
      () => ['setnx', key('s'), v()],
      () => ['psetex', key('s'), '100000000', v()],
      () => ['mget', key('s'), key('s'), key('h')],
      () => ['mset', key('s'), v(), key('s'), v()],
      () => ['msetnx', key('s'), v(), key('s'), v()],
      () => ['incr', key('n')],
      () => ['incrby', key('n'), this.#pick(['5', '-3', 'x', '9223372036854775807'])],
      () => ['decrby', key('n'), '2'],
      () => ['incrbyfloat', key('n'), '1.5'],
      () => ['setbit', key('b'), String(this.#int(60)), this.#pick(['0', '1'])],
      () => ['getbit', key('b'), String(this.#int(60))],
      () => ['bitcount', key('b')],
      () => ['bitpos', key('b'), '1'],
      () => ['bitfield', key('b'), 'INCRBY', 'u4', '2', '3', 'GET', 'i5', '0'],
      () => ['bitop', this.#pick(['AND', 'OR', 'NOT']), key('b'), key('b'), key('b')],
      () => ['lcs', key('s'), key('s')],
      () => ['hset', key('h'), ...pairs(f)],
      () => ['hsetnx', key('h'), f(), v()],
      () => ['hget', key('h'), f()],
      () => ['hmget', key('h'), f(), f()],
      () => ['hgetall', key('h')],
      () => ['hdel', key('h'), ...some(f)],
      () => ['hincrby', key('h'), f(), '3'],
      () => ['hkeys', key('h')],
      () => ['hvals', key('h')],
      () => ['hlen', key('h')],
      () => ['hstrlen', key('h'), f()],
      () => ['hscan', key('h'), '0'],
      () => ['lpush', key('l'), ...some(v)],
      () => ['rpush', key('l'), ...some(v)],
      () => ['lpushx', key('l'), v()],
      () => ['lpop', key('l'), ...this.#pick([[], ['2']])],
      () => ['rpop', key('l')],
      () => ['lrange', key('l'), '0', '-1'],
      () => ['lindex', key('l'), n()],
      () => ['linsert', key('l'), 'BEFORE', v(), v()],
      () => ['llen', key('l')],
      () => ['lrem', key('l'), '0', v()],
      () => ['lset', key('l'), n(), v()],
      () => ['ltrim', key('l'), '0', '3'],
      () => ['lmove', key('l'), key('l'), side(), side()],
      () => ['rpoplpush', key('l'), key('l')],
      () => ['lmpop', '2', key('l'), key('l'), side(), 'COUNT', '2'],
      () => ['lpos', key('l'), v()],
      () => ['blpop', key('l'), key('l'), '0.01'],
      () => ['blmove', key('l'), key('l'), side(), side(), '0.01'],
      () => ['blmpop', '0.01', '1', key('l'), side()],
      () => ['bzpopmin', key('z'), '0.01'],
      () => ['sadd', key('e'), ...some(f)],
      () => ['srem', key('e'), ...some(f)],
      () => ['smembers', key('e')],
      () => ['sismember', key('e'), f()],
      () => ['smismember', key('e'), f(), f()],
      () => ['scard', key('e')],
      () => ['smove', key('e'), key('e'), f()],
      () => ['sunion', key('e'), key('e')],
      () => ['sdiff', key('e'), key('e')],
      () => ['sinterstore', key('e'), key('e'), key('e')],
      () => ['sunionstore', key('e'), key('e'), key('e')],
      () => ['sintercard', '2', key('e'), key('e')],
      () => ['spop', key('e'), '100'],
      () => ['sort', key('e'), 'ALPHA', ...this.#pick([[], ['DESC'], ['STORE', key('l')]])],
      () => ['zadd', key('z'), ...this.#pick([[], ['NX'], ['GT'], ['CH'], ['INCR']]), ...members()],
      () => ['zincrby', key('z'), '2', f()],
      () => ['zrem', key('z'), ...some(f)],
      () => ['zscore', key('z'), f()],
      () => ['zmscore', key('z'), f(), f()],
      () => ['zrank', key('z'), f()],
      () => ['zcard', key('z')],
      () => ['zrange', key('z'), '0', '-1', 'WITHSCORES'],
      () => ['zrangebyscore', key('z'), '-inf', '+inf', 'LIMIT', '1', '2'],
      () => ['zrangebylex', key('z'), lex(), lex()],
      () => ['zrevrange', key('z'), '0', '2'],
      () => ['zpopmin', key('z')],
      () => ['zpopmax', key('z'), '2'],
      () => ['zmpop', '2', key('z'), key('z'), 'MIN'],
      () => ['zunionstore', key('z'), '2', key('z'), key('e'), 'WEIGHTS', '1', '2'],
      () => ['zinter', '2', key('z'), key('z'), 'WITHSCORES'],
      () => ['zunion', this.#pick(['2', '3', '0', 'x']), key('z'), key('z')],
      () => ['zdiffstore', key('z'), '2', key('z'), key('z')],
      () => ['zrangestore', key('z'), key('z'), '0', '2'],
      () => ['zremrangebyrank', key('z'), '0', '0'],
      () => ['zremrangebyscore', key('z'), '1', '2'],
      () => ['xadd', key('x'), id(), f(), v()],
      () => ['xadd', key('x'), 'MAXLEN', '5', `${100 + this.#ids++}-1`, f(), v()],
      () => ['xlen', key('x')],
      () => ['xrange', key('x'), '-', '+'],
      () => ['xrevrange', key('x'), '+', '-', 'COUNT', '2'],
      () => ['xdel', key('x'), id()],
      () => ['xtrim', key('x'), 'MAXLEN', '3'],
      () => ['xread', 'COUNT', '2', 'STREAMS', key('x'), key('x'), '0', '0-0'],
      () => ['xread', 'BLOCK', '5', 'STREAMS', key('x'), '$'],
      () => ['xgroup', 'CREATE', key('x'), group(), '0', ...this.#pick([[], ['MKSTREAM']])],
      () => ['xgroup', 'DESTROY', key('x'), group()],
      () => ['xreadgroup', 'GROUP', group(), 'c1', 'COUNT', '2', 'STREAMS', key('x'), '>'],
      () => ['xack', key('x'), group(), id()],
      () => ['xpending', key('x'), group()],
      () => ['xsetid', key('x'), id()],
      () => ['geoadd', key('g'), ...geo()],
      () => ['geodist', key('g'), f(), f(), 'km'],
      () => ['geohash', key('g'), f()],
      () => ['geosearch', key('g'), 'FROMLONLAT', '15', '40', 'BYRADIUS', '300', 'km', 'ASC'],
      () => ['geosearchstore', key('g'), key('g'), 'FROMLONLAT', '15', '40', 'BYRADIUS', '300', 'km'],
      () => ['georadius', key('g'), '15', '40', '300', 'km', 'STORE', key('g')],
      () => ['pfadd', key('p'), ...some(f)],
      () => ['pfcount', key('p')],
      () => ['pfcount', key('p'), key('p')],
      () => ['pfmerge', key('p'), key('p')],
      () => ['del', any()],
      () => ['unlink', any(), any()],
      () => ['exists', any(), any()],
      () => ['touch', any()],
      () => ['type', any()],
      () => ['rename', any(), any()],
      () => ['renamenx', any(), any()],
      () => ['copy', any(), any(), ...this.#pick([[], ['REPLACE']])],
      () => ['expireat', any(), far()],
      () => ['expireat', any(), far(), this.#pick(['NX', 'XX', 'GT', 'LT', 'QQ'])],
      () => ['pexpireat', any(), this.#pick([`${far()}123`, '1', '9999999999999999', 'x'])],
      () => ['expire', any(), this.#pick(['-1', '99999999', 'x'])],
      () => ['persist', any()],
      () => ['ttl', any()],
      () => ['expiretime', any()],
      () => ['object', 'refcount', key('h')],
      () => ['eval', SCRIPT, '2', any(), key('l'), v()],
      () => ['eval', "return redis.call('LPUSH', KEYS[1], ARGV[1])", '1', any(), v()],
      () => ['get'],
      () => ['hset', key('h'), f()],
      () => ['lpop', key('l'), '-1'],
    ]
  }

  #value(): string {
    return this.#pick(['a', 'bb', '17', '', 'ü', 'long'.repeat(30)])
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below)
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#int(from.length)]!
  }
}

/** Writes, fails in the middle, and answers with every kind of reply. */
const SCRIPT = `
redis.call('RPUSH', KEYS[2], ARGV[1])
local type = redis.call('TYPE', KEYS[1])
if type.ok == 'hash' then return redis.call('INCR', KEYS[1]) end
return { type, redis.call('LLEN', KEYS[2]), false, redis.pcall('GET', KEYS[2]), { ARGV[1], 3.9 } }
`

/** Replies in no order of their own. */
const UNORDERED = new Set(['smembers', 'hkeys', 'hvals', 'sunion', 'sdiff', 'spop', 'keys'])

/** Replies that depend on the time. */
const UNTIL = new Set(['ttl', 'pttl', 'expiretime', 'pexpiretime'])

/** A reply as it can be compared: what has no order is put into one, and where a key lies does not matter. */
export function comparable([name]: Command, reply: unknown): unknown {
  if (reply instanceof Error) return `${reply.name}: ${reply.message}`
  if (Buffer.isBuffer(reply)) return reply.toString('latin1')
  // Of another server's clock; and what is over 53 bits ioredis rounds as it reads it, digit by digit.
  if (typeof reply === 'number' && UNTIL.has(String(name)) && reply > 0) return 'some time'
  if (typeof reply === 'number' && !Number.isSafeInteger(reply)) return reply.toPrecision(14)
  if (!Array.isArray(reply)) return reply
  const items = reply.map((it) => comparable([''], it))
  if (UNORDERED.has(String(name))) return items.sort()
  if (name === 'hgetall') return pairsOf(items)
  if (name === 'hscan') return [items[0], pairsOf(items[1] as unknown[])]
  return items
}

function pairsOf(items: readonly unknown[]): string[] {
  const pairs: string[] = []
  for (let i = 0; i < items.length; i += 2) pairs.push(JSON.stringify([items[i], items[i + 1]]))
  return pairs.sort()
}
