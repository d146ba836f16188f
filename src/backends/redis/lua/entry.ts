/**
 * How scripts that copy read an entry, and in whose name. They read keys that they find in the index, and which are
 * not among their KEYS: a shard is one server, where that is allowed.
 */
export const ENTRY_LUA = `
local call, pcall, find, sub, match, format = redis.call, redis.pcall, string.find, string.sub, string.match, string.format

local function dead(meta, given)
  if given == '' then return false end
  local at = match(meta, '^%d+ (%d+)')
  return at ~= '0' and tonumber(at) <= tonumber(given)
end

-- Value and format: the bytes of a string, a DUMP of anything else. False where there is nothing.
local function read(key, meta, given)
  if not meta or dead(meta, given) then return false, '' end
  local value = pcall('GET', key)
  if type(value) ~= 'table' then return value, '' end
  if not find(value.err, 'WRONGTYPE', 1, true) then error(value.err) end
  return call('DUMP', key), 'redis-dump'
end

-- What a DUMP does not tell in the same words twice (the order of a hash, the encoding): the content, as a digest.
local function content(key)
  local kind = call('TYPE', key).ok
  local function chain(list)
    local h = kind
    for i = 1, #list do h = redis.sha1hex(h .. #list[i] .. ':' .. list[i]) end
    return h
  end
  if kind == 'list' then return chain(call('LRANGE', key, 0, -1)) end
  if kind == 'zset' then return chain(call('ZRANGE', key, 0, -1, 'WITHSCORES')) end
  if kind == 'stream' then
    local all = { call('XINFO', 'STREAM', key)[8] or '' }
    for _, entry in ipairs(call('XRANGE', key, '-', '+')) do
      all[#all + 1] = entry[1]
      for _, field in ipairs(entry[2]) do all[#all + 1] = field end
    end
    return chain(all)
  end
  local items = {}
  if kind == 'set' then items = call('SMEMBERS', key) end
  if kind == 'hash' then
    local all = call('HGETALL', key)
    for i = 1, #all, 2 do items[#items + 1] = #all[i] .. ':' .. all[i] .. all[i + 1] end
  end
  for i = 1, #items do items[i] = redis.sha1hex(items[i]) end
  table.sort(items)
  return chain(items)
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
