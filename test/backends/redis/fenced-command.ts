import type { Redis } from 'ioredis'
import { CHANGE_LOG_LUA, ELEMENTS_LUA } from '../../../src/backends/redis/lua/change-log'
import { PARTS_LUA } from '../../../src/backends/redis/lua/parts'

/**
 * A command of Redis under the fence of bucket's segment, as far as copying sees it: a number, and what changed in the log.
 *
 * KEYS  the bucket's hash, the key
 * ARGV  epoch, command, its arguments
 * Returns nil where it is refused, else 1
 */
const FENCED_LUA = `
local call, find, sub, match, format = redis.call, string.find, string.sub, string.match, string.format
${PARTS_LUA}${CHANGE_LOG_LUA}${ELEMENTS_LUA}
local bucket, key = KEYS[1], KEYS[2]
local f = call('HMGET', bucket, '#e', '#s', '#x', ':' .. key)
if f[1] ~= ARGV[1] or find(f[3], '^LH') then return false end
local args = {}
for i = 3, #ARGV do args[#args + 1] = ARGV[i] end
local seq = f[2] + 1
local reply = ARGV[2] == 'XGROUP' and call('XGROUP', args[1], key, unpack(args, 2)) or call(ARGV[2], key, unpack(args))
if sub(f[3], 1, 1) == 'L' then
  local kind, log, names = call('TYPE', key).ok, bucket .. ':l#', NAMED[ARGV[2]]
  if names and COUNT[kind] and isLarge(key, kind) then
    for i, element in ipairs(names(args, reply)) do
      seq = f[2] + i
      call('ZADD', log, seq, elementMember('', key, element))
    end
  else
    call('ZADD', log, seq, keyMember('', key))
  end
end
call('HSET', bucket, '#s', seq, ':' .. key, seq .. ' ' .. (f[4] and match(f[4], '^%d+ (.*)$') or '0 '))
if not f[4] then call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key) end
return 1
`

/** Whether the owner took it. */
export async function fencedCommand(
  client: Redis,
  { bucketId, epoch }: { bucketId: number; epoch: number },
  key: string,
  command: string,
  ...args: (string | number)[]
): Promise<boolean> {
  const answer = await client.eval(FENCED_LUA, 2, `~foreshard:b:${bucketId}`, key, epoch, command, ...args)
  return answer === 1
}
