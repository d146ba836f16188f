import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/**
 * Redis 6.2 is not run here. What is sent to a server, from Lua or from the client, is held against what 6.2 has, by its own
 * documentation ("available since"); a newer command or option stands below with how a server without it is served.
 */
const COMMANDS_OF_6_2 = `
  CLIENT CONFIG DECR DEL DUMP EVAL EVALSHA EXISTS EXPIRE GET GETRANGE HDEL HEXISTS HGET HGETALL HINCRBY HLEN HMGET HSCAN HSET
  INCR INFO LLEN LPUSH LRANGE LTRIM MEMORY PERSIST PEXPIREAT PING PTTL PUBLISH RENAME RESTORE RPUSH SADD SCAN SCARD SCRIPT SELECT
  SET SETRANGE SMEMBERS SMISMEMBER SREM SSCAN STRLEN SUBSCRIBE TIME TYPE UNLINK WAIT XADD XCLAIM XDEL XGROUP XINFO XLEN
  XPENDING XRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZMSCORE ZRANGE ZRANGEBYSCORE ZREM ZREMRANGEBYRANK
  ZREMRANGEBYSCORE ZSCAN ZSCORE
`
  .trim()
  .split(/\s+/)

/** Where a server has no such thing, the answer is an error that is expected, or it is not asked. */
const NEWER: Record<string, string> = {
  PEXPIRETIME: '7.0; a refusal is answered with PTTL',
}
/** Options since 7.0, sent only where the server's own report holds their counterpart. */
const NEWER_OPTIONS = ['ENTRIESREAD', 'ENTRIESADDED', 'MAXDELETEDID']

const folder = join(import.meta.dirname, '../../../src/backends/redis')
const files = ['', 'lua'].flatMap((name) =>
  readdirSync(join(folder, name))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, name, file)),
)

it('no script and no client sends what Redis 6.2 does not know', () => {
  const unknown: string[] = []
  let seen = 0
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    for (const pattern of [/\br?p?call\('([A-Za-z]+)'/g, /\bsend\(\['([A-Za-z]+)'/g])
      for (const [, command] of text.matchAll(pattern)) {
        seen++
        if (!COMMANDS_OF_6_2.includes(command!) && !NEWER[command!]) unknown.push(`${file}: ${command}`)
      }
    for (const [, command] of text.matchAll(/\{ '([A-Z]{3,})',/g)) {
      seen++
      if (!COMMANDS_OF_6_2.includes(command!) && !NEWER_OPTIONS.includes(command!))
        unknown.push(`${file}: ${command}`)
    }
  }
  expect(unknown).toEqual([])
  expect(seen).toBeGreaterThan(60)
})

it('an option that is newer is sent only to a server that has it', () => {
  const text = readFileSync(join(folder, 'lua/parts.ts'), 'utf8')
  expect(text).toContain("if about['entries-added'] then")
  expect(text).toContain("if group['entries-read'] then")
  for (const file of files.filter((it) => !it.endsWith('parts.ts')))
    for (const option of NEWER_OPTIONS) expect(readFileSync(file, 'utf8')).not.toContain(`'${option}'`)
})
