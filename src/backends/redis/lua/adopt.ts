import { CHANGE_LOG_LUA } from './change-log'

const EXPIRY = `
-- Absolute, 0 for never. PEXPIRETIME is of 7.0; before it the time left is counted from the script's one moment.
local t = call('TIME')
local time = t[1] * 1000 + math.floor(t[2] / 1000)
local function expiryOf(key)
  local left = call('PTTL', key)
  if left < 0 then return '0' end
  local at = redis.pcall('PEXPIRETIME', key)
  return format('%.0f', type(at) == 'number' and at or time + left)
end
`

/**
 * Makes keys entries of their segments where they lie. Like a write of each, but for the value.
 *
 * KEYS  expiries, then for each: the bucket's hash, the key
 * ARGV  for each: segment, epoch, tag (empty: the key itself), DUMP to be restored where the key is absent (or empty), its expiry
 * Returns for each: entered, known, absent, refused or taken
 */
export const ENTER_LUA = `
local call, find, sub, match, format = redis.call, string.find, string.sub, string.match, string.format
${CHANGE_LOG_LUA}${EXPIRY}
local out, expiries = {}, KEYS[1]
for i = 2, #KEYS, 2 do
  local bucket, key, a = KEYS[i], KEYS[i + 1], (i - 2) / 2 * 5
  local p, epoch, tag, dump, expiry = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local f = call('HMGET', bucket, p .. 'e', p .. 's', p .. 'x', ':' .. key)
  local x = f[3] or ''
  local held = match(x, '^LH(%d+)')
  local there = call('EXISTS', key) == 1
  local answer = 'entered'
  if f[1] ~= epoch or (held and time < tonumber(held)) or
    (find(x, ',', 1, true) and find(x .. ',', ',' .. cjson.encode(tag == '' and key or tag) .. ',', 1, true)) then
    answer = 'refused'
  elseif f[4] then answer = 'known'
  elseif dump ~= '' and there then answer = 'taken'
  elseif dump == '' and not there then answer = 'absent'
  else
    if dump ~= '' then
      if expiry ~= '0' and tonumber(expiry) <= time then answer = 'absent'
      else call('RESTORE', key, expiry, dump, 'ABSTTL') end
    end
    if answer == 'entered' then
      local at, fresh = expiryOf(key), format('%.0f', f[2] + 1)
      call('HSET', bucket, p .. 's', fresh, ':' .. key, fresh .. ' ' .. at .. ' ' .. tag)
      call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key)
      if find(x, 'L', 1, true) == 1 then call('ZADD', bucket .. ':l' .. p, fresh, keyMember(tag, key)) end
      if at ~= '0' then call('ZADD', expiries, at, match(bucket, '%d+$') .. ':' .. key) end
    end
  end
  out[#out + 1] = answer
end
return out
`

/**
 * KEYS  keys
 * Returns DUMP and expiry of each; nil and 0 of one that is absent
 */
export const DUMP_LUA = `
local call, format = redis.call, string.format
${EXPIRY}
local out = {}
for _, key in ipairs(KEYS) do
  out[#out + 1] = call('DUMP', key)
  out[#out + 1] = expiryOf(key)
end
return out
`

/**
 * KEYS  keys
 * ARGV  for each: DUMP, expiry
 */
export const RESTORE_LUA = `
local t = redis.call('TIME')
for i, key in ipairs(KEYS) do
  local dump, at = ARGV[2 * i - 1], ARGV[2 * i]
  if at ~= '0' and tonumber(at) <= t[1] * 1000 + math.floor(t[2] / 1000) then redis.call('UNLINK', key)
  else redis.call('RESTORE', key, at, dump, 'ABSTTL', 'REPLACE') end
end
`
