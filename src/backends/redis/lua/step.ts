import { FENCE_LUA } from './fence'

/**
 * One step of the fence table on one segment.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', segment ('#' for the bucket itself), command as JSON
 * Returns 1 or nil for a refusal; s x r of the segment
 */
export const STEP_LUA = `${FENCE_LUA}
open(KEYS[1])
local p, command = ARGV[2], cjson.decode(ARGV[3])
local change = decide(p, command, function() return now(ARGV[1]) end)
if change then apply(change) end
return { change and 1 or false, raw(p) }
`

/**
 * The step 'found' on many buckets, in short.
 *
 * KEYS  hashes of buckets
 * Returns how many were founded
 */
export const FOUND_LUA = `
local founded = 0
for _, bucket in ipairs(KEYS) do
  local f = redis.call('HMGET', bucket, '#r', '*k')
  if not f[1] and (not f[2] or f[2] == '0') then
    redis.call('HSET', bucket, '#e', '1', '#s', '0', '#x', '', '#r', 'o 1 0 0 0 0 0 0 0 0 0 0 ')
    founded = founded + 1
  end
end
return founded
`

/**
 * Fences as they are.
 *
 * KEYS  hashes of buckets
 * ARGV  for each: the segment that is asked for ('#' for the bucket itself), or '*' for all that have a record
 * Returns for each: the bucket's ticket, and a list of segment, s, x, r
 */
export const FENCES_LUA = `
local out = {}
for i, bucket in ipairs(KEYS) do
  local list, ask = {}, { ARGV[i] }
  local f = redis.call('HMGET', bucket, '*k', '*t')
  if ARGV[i] == '*' then
    ask = { '#' }
    if f[2] and f[2] ~= '' then
      for _, tag in ipairs(cjson.decode('[' .. string.sub(f[2], 2) .. ']')) do ask[#ask + 1] = '{' .. tag .. '}' end
    end
  end
  for _, p in ipairs(ask) do
    local r = redis.call('HMGET', bucket, p .. 's', p .. 'x', p .. 'r')
    if r[3] or ARGV[i] ~= '*' then
      for _, it in ipairs({ p, r[1], r[2], r[3] }) do list[#list + 1] = it end
    end
  end
  out[i] = { f[1] or '0', list }
end
return out
`
