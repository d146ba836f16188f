/**
 * Client operations, protocol.md section 2, without proofs (a proof is a step of its own).
 *
 * KEYS  expiries, then for each call: the bucket's hash, the key
 * ARGV  time or '', then for each call: what, epoch, tag (empty: the key itself), and
 *         of s (set):    value, expiry (0: never), version it must have ('' any)
 *         of d (delete): version it must have
 *       what: g h s d for a call to the bucket, G H S D for one to the tag's own segment
 * Returns three items for each call:
 *   read     seq, ':key' field or nil where absent, value (of a get)
 *   write    seq, version, '1' where it was applied, else nil
 *   refusal  nil, 'elsewhere' or the time of a held write, then s x r of the bucket and s x r of the tag
 *   a get of what is no string: nil, 'type', the key's type
 *
 * Two calls of Redis for a read, three for a write to a key that is there. Fields and keys are described in fence.ts.
 */
export const EXECUTE_LUA = `
local call, pcall, find, match, format = redis.call, redis.pcall, string.find, string.match, string.format
local expiries, given = KEYS[1], ARGV[1]
local time
local function now()
  if not time then
    if given ~= '' then time = tonumber(given) else
      local t = call('TIME')
      time = t[1] * 1000 + math.floor(t[2] / 1000)
    end
  end
  return time
end
-- A server's own keys expire by themselves; under another clock they are looked at.
local function dead(meta)
  if given == '' then return false end
  local at = match(meta, '^%d+ (%d+)')
  return at ~= '0' and tonumber(at) <= now()
end

local out, o, a, expiring = {}, 0, 2, 0
for k = 2, #KEYS, 2 do
  local bucket, key = KEYS[k], KEYS[k + 1]
  local what, epoch, tag, p = ARGV[a], ARGV[a + 1], ARGV[a + 2], '#'
  local f
  if string.byte(what) > 96 then
    f = call('HMGET', bucket, '#e', '#s', '#x', ':' .. key)
  else
    what = string.lower(what)
    p = '{' .. (tag == '' and key or tag) .. '}'
    f = call('HMGET', bucket, p .. 'e', p .. 's', p .. 'x', ':' .. key)
  end
  local seq, x, meta = f[2], f[3], f[4]
  local refused = f[1] ~= epoch and 'elsewhere'
  if not refused and x ~= '' then
    if find(x, ',', 1, true) and
      find(x .. ',', ',' .. cjson.encode(tag == '' and key or tag) .. ',', 1, true) then
      refused = 'elsewhere'
    elseif what == 's' or what == 'd' then
      local held = match(x, '^LH(%d+)')
      if held and now() < tonumber(held) then refused = format('%.0f', now()) end
    end
  end

  if refused then
    local own = '{' .. (tag == '' and key or tag) .. '}'
    out[o + 1], out[o + 2] = false, refused
    out[o + 3] = call('HMGET', bucket, '#s', '#x', '#r', own .. 's', own .. 'x', own .. 'r')
  elseif what == 'g' then
    local value = meta and not dead(meta) and pcall('GET', key)
    if type(value) == 'table' then
      out[o + 1], out[o + 2], out[o + 3] = false, 'type', call('TYPE', key).ok
    else
      out[o + 1], out[o + 2], out[o + 3] = seq, value and meta, value
    end
  elseif what == 'h' then
    local there = meta and not dead(meta) and call('EXISTS', key) == 1
    out[o + 1], out[o + 2], out[o + 3] = seq, there and meta, false
  else
    local removes = what == 'd'
    local condition = ARGV[removes and a + 3 or a + 5]
    local version = '0'
    if (removes or condition ~= '') and meta and not dead(meta) and call('EXISTS', key) == 1 then
      version = match(meta, '^%d+')
    end
    if (condition ~= '' and condition ~= version) or (removes and version == '0') then
      out[o + 1], out[o + 2], out[o + 3] = seq, version, false
    else
      local expiry = removes and '0' or ARGV[a + 4]
      if expiry ~= '0' then
        expiring = expiring + 1
        -- What is born expired is a delete: nobody may see it.
        if tonumber(expiry) <= now() then removes, expiry = true, '0' end
      end
      local fresh = format('%.0f', seq + 1)
      local had = meta and find(meta, '^%d+ [^0]')
      local member = (had or expiry ~= '0') and match(bucket, '%d+$') .. ':' .. key
      -- Redis refuses a script for want of memory at its first write only: here, or nowhere.
      if removes then
        if meta then
          call('UNLINK', key)
          call('HDEL', bucket, ':' .. key)
          call('ZREM', bucket .. ':o', key)
        end
        call('HSET', bucket, p .. 's', fresh)
        version = '0'
      else
        if expiry == '0' or given ~= '' then call('SET', key, ARGV[a + 3])
        else call('SET', key, ARGV[a + 3], 'PXAT', expiry) end
        call('HSET', bucket, p .. 's', fresh, ':' .. key, fresh .. ' ' .. expiry .. ' ' .. tag)
        if not meta then call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key) end
        version = fresh
      end
      if find(x, 'L', 1, true) == 1 then
        call('ZADD', bucket .. ':l' .. p, fresh, tag == '' and ':' .. key or #tag .. ':' .. tag .. key)
      end
      if expiry ~= '0' then call('ZADD', expiries, expiry, member)
      elseif had then call('ZREM', expiries, member) end
      out[o + 1], out[o + 2], out[o + 3] = fresh, version, '1'
    end
  end
  o = o + 3
  a = a + (what == 's' and 6 or what == 'd' and 4 or 3)
end

-- What expired leaves its field behind. Every write that may add one takes two away.
if expiring > 0 then
  local gone = call('ZRANGEBYSCORE', expiries, '-inf', '(' .. format('%.0f', now()), 'LIMIT', 0, 2 * expiring)
  for i = 1, #gone do
    local id, key = match(gone[i], '^(%d+):(.*)$')
    local bucket = string.sub(expiries, 1, -9) .. 'b:' .. id
    local meta = call('HGET', bucket, ':' .. key)
    local at = meta and match(meta, '^%d+ (%d+)')
    if at and at ~= '0' and tonumber(at) < now() then
      call('HDEL', bucket, ':' .. key)
      call('ZREM', bucket .. ':o', key)
      if given ~= '' then call('UNLINK', key) end
    end
    call('ZREM', expiries, gone[i])
  end
end
return out
`
