import { PARTS_LUA } from './parts'

/**
 * How scripts that copy read an entry, and in whose name. They read keys that they find in the index, and which are
 * not among their KEYS: a shard is one server, where that is allowed.
 */
export const ENTRY_LUA = `
local call, pcall, find, sub, match, format = redis.call, redis.pcall, string.find, string.sub, string.match, string.format
${PARTS_LUA}
local function dead(meta, given)
  if given == '' then return false end
  local at = match(meta, '^%d+ (%d+)')
  return at ~= '0' and tonumber(at) <= tonumber(given)
end

-- Value and format: the bytes of a string, a DUMP of anything else. False where there is nothing; true, and its type,
-- where it is to be read in parts.
local function read(key, meta, given, parts)
  if not meta or dead(meta, given) then return false, '' end
  -- Most strings are short: one command tells that, and is the value.
  local value = pcall('GETRANGE', key, 0, 16383)
  if type(value) ~= 'table' then
    if #value == 16384 then
      if parts and call('STRLEN', key) > STRING then return true, 'string' end
      return call('GET', key), ''
    end
    if value == '' and call('EXISTS', key) == 0 then return false, '' end
    return value, ''
  end
  if not find(value.err, 'WRONGTYPE', 1, true) then error(value.err) end
  local kind = call('TYPE', key).ok
  if parts and isLarge(key, kind) then return true, kind end
  return call('DUMP', key), 'redis-dump'
end

-- What a DUMP does not tell in the same words twice (the order of a hash, the encoding): the content, as a digest.
local function content(key)
  local kind, at, sum = call('TYPE', key).ok, '0', 0
  if not COUNT[kind] then return call('DUMP', key) end
  repeat
    local items, after = elements(key, kind, at)
    sum = (sum + digest(kind, at, items)) % 2 ^ 48
    at = after
  until at == ''
  return format('%s %.0f', kind, sum)
end

-- e, s, x and r of a segment, and whether it may be read in this name.
local function mayRead(bucket, p, role, number)
  local f = call('HMGET', bucket, p .. 'e', p .. 's', p .. 'x', p .. 'r')
  if not f[4] then return f, false end
  local state, ticket, export = match(f[4], '^(%a) %d+ (%d+) (%d+)')
  if role == 'owner' then return f, f[1] == number end
  if role == 'source' then return f, state == 'o' and number ~= '0' and export == number end
  return f, state == 'i' and ticket == number
end

local function carves(x, tag)
  return find(x, ',', 1, true) ~= nil and find(x .. ',', ',' .. cjson.encode(tag) .. ',', 1, true) ~= nil
end

-- Whether the keys of a tag belong to the segment.
local function contains(p, x, tag)
  if p == '#' then return not carves(x, tag) end
  return sub(p, 2, -2) == tag
end
`
