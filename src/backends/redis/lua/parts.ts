/**
 * How a large value travels: in parts, each a list of commands that write it, packed with MessagePack. It is used by
 * scripts that read and by those that write. What is large is decided by the source alone, since whatever the parts
 * are, the digest of a collection is a sum over its elements.
 *
 * A part begins at a place: '0', a cursor of HSCAN, SSCAN or ZSCAN, an index of a list, an offset of a string, or in a stream
 * 'e <id>' entries after, 'g<n>' its nth group, 'p<n> <id>' what is pending there after. A scan that goes on while
 * elements come and go still meets all that stay; the others are in the change log.
 */
export const PARTS_LUA = `
-- Larger values are copied in parts, of so many elements or bytes.
local ELEMENTS, BYTES, STRING = 1000, 262144, 1048576
local PART, STRING_PART = 500, 524288
local COUNT = { hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN' }
local SCAN = { hash = 'HSCAN', set = 'SSCAN', zset = 'ZSCAN' }

local function isLarge(key, kind)
  if not COUNT[kind] then return false end
  if call(COUNT[kind], key) > ELEMENTS then return true end
  return (call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0) > BYTES
end

-- Elements in a part.
local function width(key, kind)
  local size = (call('MEMORY', 'USAGE', key, 'SAMPLES', 5) or 0) / math.max(1, call(COUNT[kind], key))
  return math.max(1, math.min(PART, math.floor(BYTES / math.max(1, size))))
end

local function named(reply)
  local t = {}
  for i = 1, #reply, 2 do t[reply[i]] = reply[i + 1] end
  return t
end

local function streamEntries(key, after)
  local items, count, last = {}, math.min(200, width(key, 'stream')), after
  for _, entry in ipairs(call('XRANGE', key, after == '-' and '-' or '(' .. after, '+', 'COUNT', count)) do
    last = entry[1]
    items[#items + 1] = { 'XADD', last, unpack(entry[2]) }
  end
  if #items == count then return items, 'e ' .. last end
  local about = named(call('XINFO', 'STREAM', key))
  if last == '-' then
    -- Nothing else makes an empty stream.
    items = { { 'XGROUP', 'CREATE', '~', '0', 'MKSTREAM' }, { 'XGROUP', 'DESTROY', '~' } }
  end
  local set = { 'XSETID', about['last-generated-id'] }
  if about['entries-added'] then
    for _, it in ipairs({ 'ENTRIESADDED', about['entries-added'], 'MAXDELETEDID', about['max-deleted-entry-id'] }) do
      set[#set + 1] = it
    end
  end
  items[#items + 1] = set
  return items, about.groups > 0 and 'g1' or ''
end

local function streamGroup(key, n)
  local group = call('XINFO', 'GROUPS', key)[n]
  if not group then return {}, '' end
  group = named(group)
  local create = { 'XGROUP', 'CREATE', group.name, group['last-delivered-id'] }
  if group['entries-read'] then
    create[5], create[6] = 'ENTRIESREAD', group['entries-read']
  end
  local items = { create }
  for _, consumer in ipairs(call('XINFO', 'CONSUMERS', key, group.name)) do
    items[#items + 1] = { 'XGROUP', 'CREATECONSUMER', group.name, named(consumer).name }
  end
  return items, 'p' .. n .. ' -'
end

-- What is pending without being there any more is left out: nobody could be given it, and XCLAIM does not take it.
local function streamPending(key, n, after)
  local group, items, count = call('XINFO', 'GROUPS', key)[n], {}, 150
  if not group then return {}, '' end
  local name, t = named(group).name, call('TIME')
  local ms = t[1] * 1000 + math.floor(t[2] / 1000)
  local found = call('XPENDING', key, name, after == '-' and '-' or '(' .. after, '+', count)
  for _, it in ipairs(found) do
    after = it[1]
    if #call('XRANGE', key, after, after) > 0 then
      items[#items + 1] = { 'XCLAIM', name, it[2], '0', after, 'TIME', format('%.0f', ms - it[3]), 'RETRYCOUNT', it[4],
        'FORCE', 'JUSTID' }
    end
  end
  return items, #found == count and 'p' .. n .. ' ' .. after or 'g' .. n + 1
end

-- The elements of a part, and where the next one begins ('' at the end). Of a stream they are commands already.
local function elements(key, kind, at)
  if SCAN[kind] then
    local found = call(SCAN[kind], key, at, 'COUNT', width(key, kind))
    return found[2], found[1] == '0' and '' or found[1]
  elseif kind == 'stream' then
    local what, n, after = match(at, '^(%a)(%d*) ?(.*)$')
    if what == 'g' then return streamGroup(key, tonumber(n)) end
    if what == 'p' then return streamPending(key, tonumber(n), after) end
    return streamEntries(key, what and after or '-')
  elseif kind == 'list' then
    local found = call('LRANGE', key, at, at + width(key, kind) - 1)
    local after = at + #found
    return found, #found > 0 and after < call('LLEN', key) and format('%.0f', after) or ''
  end
  local bytes = call('GETRANGE', key, at, at + STRING_PART - 1)
  local after = at + #bytes
  return { bytes }, #bytes > 0 and after < call('STRLEN', key) and format('%.0f', after) or ''
end

local WRITE = { hash = 'HSET', set = 'SADD', zset = 'ZADD', list = 'RPUSH' }

local function commands(kind, at, items, length)
  if kind == 'stream' then return items end
  if kind == 'string' then
    -- All the room at once: a string that grows is copied each time.
    local room = at == '0' and { 'SETRANGE', format('%.0f', length - 1), '\\0' } or nil
    return { { 'SETRANGE', at, items[1] }, room }
  end
  if kind == 'zset' then
    for i = 1, #items, 2 do items[i], items[i + 1] = items[i + 1], items[i] end
  end
  local out = {}
  for i = 1, #items, PART do
    out[#out + 1] = { WRITE[kind], unpack(items, i, math.min(#items, i + PART - 1)) }
  end
  return out
end

-- Of each element 48 bits, added up: the same for two copies, in whatever order and parts they are looked at. Of a
-- stream it leaves out when something was delivered, and counts that servers keep in different ways.
local function digest(kind, at, items)
  local sum, step = 0, (kind == 'hash' or kind == 'zset') and 2 or 1
  for i = 1, #items, step do
    local it, text = items[i]
    if kind == 'stream' then
      local to = it[1] == 'XADD' and #it or it[1] == 'XSETID' and 2 or math.min(#it, 4)
      if it[1] == 'XCLAIM' then it, to = { it[1], it[2], it[3], it[5], it[9] }, 5 end
      if it[1] == 'XGROUP' and it[3] == '~' then to = 0 end
      local words = {}
      for j = 1, to do words[j] = #tostring(it[j]) .. ':' .. it[j] end
      text = table.concat(words)
    elseif kind == 'list' then text = format('%.0f:', at + i - 1) .. it
    elseif step == 2 then text = #it .. ':' .. it .. items[i + 1]
    else text = it end
    sum = (sum + tonumber(sub(redis.sha1hex(text), 1, 12), 16)) % 2 ^ 48
  end
  return sum
end

local ALLOWED = { HSET = 1, HDEL = 1, SADD = 1, SREM = 1, ZADD = 1, ZREM = 1, RPUSH = 1, SETRANGE = 1, XADD = 1, XDEL = 1,
  XTRIM = 1, XSETID = 1, XCLAIM = 1, XGROUP = 2 }

-- Carries out a part's commands on a key.
local function replay(key, packed)
  for _, it in ipairs(cmsgpack.unpack(packed)) do
    local at = ALLOWED[it[1]]
    if not at then error('a part of a value asks for ' .. tostring(it[1])) end
    table.insert(it, at + 1, key)
    local done = redis.pcall(unpack(it))
    -- An entry that is there already: the part came after it was added.
    if type(done) == 'table' and done.err and not (it[1] == 'XADD' and find(done.err, 'equal or smaller', 1, true)) then
      error(done.err)
    end
  end
end
`
