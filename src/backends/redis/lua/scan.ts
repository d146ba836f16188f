import { CHANGE_LOG_LUA } from './change-log'
import { ENTRY_LUA } from './entry'

const TAKE = `
local bytes, stopped = 0, false
local function take(key, meta)
  local value, kind = read(key, meta, given, parts)
  if not value then return end
  if value == true then
    stopped = true
    if #out > 3 then return end
  else
    bytes = bytes + #value
    if kind == 'redis-dump' and want == 'digests' then value = content(key) end
  end
  for _, it in ipairs({ key, meta, value, kind }) do out[#out + 1] = it end
end
`

/**
 * A page of a segment's entries, in the order of their places.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', segment, role, epoch or ticket, values or digests, limit, bytes, place to go on after,
 *         last place of the scan ('' at its beginning), entries to pass over at most, 1 where large values are not read
 * Returns nil and s x r where that name may not read; or
 *   seq, place and last place to go on with ('' '' at the end), then key, ':key' field, value, format of each entry;
 *   a large value is the only entry: 1 in place of the value, and its type
 */
export const SCAN_LUA = `${ENTRY_LUA}
local bucket, given, p, want, out, parts = KEYS[1], ARGV[1], ARGV[2], ARGV[5], {}
local f, may = mayRead(bucket, p, ARGV[3], ARGV[4])
if not may then return { false, f[2], f[3], f[4] } end
${TAKE}
local limit, room, after, last, passes =
  tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9], tonumber(ARGV[10])
parts = ARGV[11] == '1'
if last == '' then last = call('HGET', bucket, '*p') or '0' end
out[1], out[2], out[3] = f[2], '', ''
local taken = 0
while true do
  local chunk = math.min(passes, limit - taken)
  local found = call('ZRANGEBYSCORE', bucket .. ':o', '(' .. after, last, 'WITHSCORES', 'LIMIT', 0, chunk)
  for i = 1, #found, 2 do
    local key = found[i]
    passes = passes - 1
    local meta = call('HGET', bucket, ':' .. key)
    local tag = meta and match(meta, '^%d+ %d+ (.*)$')
    local before = #out
    if tag and contains(p, f[3], tag == '' and key or tag) then
      take(key, meta)
      if #out > before then taken = taken + 1 end
    end
    -- A large value begins a page of its own.
    if not stopped or #out > before then after = found[i + 1] end
    if stopped or taken == limit or bytes >= room or passes == 0 then
      if after ~= last then out[2], out[3] = after, last end
      return out
    end
  end
  if #found < 2 * chunk then return out end
end
`

/**
 * The entries of these keys, those that are there and belong to the segment.
 *
 * KEYS  the bucket's hash, keys
 * ARGV  time or '', segment, role, epoch or ticket, values or digests, 1 where large values are not read, then the tag
 *         of each key
 * Returns as SCAN_LUA, and in place of the place how many keys were looked at
 */
export const NAMED_LUA = `${ENTRY_LUA}
local bucket, given, p, want, out, parts = KEYS[1], ARGV[1], ARGV[2], ARGV[5], {}, ARGV[6] == '1'
local f, may = mayRead(bucket, p, ARGV[3], ARGV[4])
if not may then return { false, f[2], f[3], f[4] } end
${TAKE}
out[1], out[2], out[3] = f[2], #KEYS - 1, ''
for i = 2, #KEYS do
  local before = #out
  if contains(p, f[3], ARGV[5 + i]) then take(KEYS[i], call('HGET', bucket, ':' .. KEYS[i])) end
  if stopped or bytes >= 1048576 then
    out[2] = stopped and #out == before and i - 2 or i - 1
    break
  end
end
return out
`

/**
 * A part of a large value, or its part of the digest. Of a source the value may change meanwhile: what the log has of its
 * elements is brought by the log. Where it has the key itself, or where nothing tells, the rest is not read.
 *
 * KEYS  the bucket's hash, the key
 * ARGV  segment, role, epoch or ticket, values or digests, tag, type, place, version that the first part had
 * Returns nil and s x r where that name may not read; or
 *   seq, ':key' field (nil where it is not read to its end), next place ('' at the end), the part; of a digest of a
 *   collection a sum
 */
export const PART_LUA = `${ENTRY_LUA}${CHANGE_LOG_LUA}
local bucket, key, p, role, want, tag, kind, at = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local f, may = mayRead(bucket, p, role, ARGV[3])
if not may then return { false, f[2], f[3], f[4] } end
local meta = call('HGET', bucket, ':' .. key)
local version = meta and match(meta, '^%d+')
local whole = version and call('TYPE', key).ok == kind
if whole and version ~= ARGV[8] then
  local changed = call('ZSCORE', bucket .. ':l' .. p, keyMember(tag, key))
  whole = role == 'source' and tonumber(changed or 0) <= tonumber(ARGV[8])
end
if not whole then return { f[2], false, '', '' } end
local items, after = elements(key, kind, at)
if want == 'digests' then
  return { f[2], meta, after, kind == 'string' and items[1] or format('%.0f', digest(kind, at, items)) }
end
return { f[2], meta, after, cmsgpack.pack(commands(kind, at, items, kind == 'string' and call('STRLEN', key))) }
`

/**
 * The oldest changes of an export after a seq. Changes of elements of one key that follow on one another are one.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', segment, ticket, seq, limit, bytes, 1 where large values are not read
 * Returns nil and s x r where the ticket exports nothing here; or
 *   seq, then seq, key, tag, ':key' field or nil, value, format of each change; 1 in place of a large value, which is the
 *   only one then, and its type
 */
export const CHANGES_LUA = `${ENTRY_LUA}${CHANGE_LOG_LUA}
local bucket, given, p, limit, room, parts = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local f, may = mayRead(bucket, p, 'source', ARGV[3])
if not may then return { false, f[2], f[3], f[4] } end
local out, log = { f[2] }, bucket .. ':l' .. p

local function tell(seq, key, tag, meta, value, kind)
  for _, it in ipairs({ seq, key, tag == '' and key or tag, meta, value, kind }) do out[#out + 1] = it end
  limit = limit - 1
  room = room - (value and #value or 0)
end

-- Commands that bring elements to what they are now.
local function changed(key, kind, names)
  local set, gone = {}, {}
  if kind == 'stream' then
    for _, id in ipairs(names) do
      if id == '<' then
        local first = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
        set[#set + 1] = first and { 'XTRIM', 'MINID', first[1] } or { 'XTRIM', 'MAXLEN', '0' }
      else
        local entry = call('XRANGE', key, id, id)[1]
        set[#set + 1] = entry and { 'XADD', id, unpack(entry[2]) } or { 'XDEL', id }
      end
    end
    return set
  end
  local is = call(kind == 'hash' and 'HMGET' or kind == 'set' and 'SMISMEMBER' or 'ZMSCORE', key, unpack(names))
  for i, name in ipairs(names) do
    if not is[i] or is[i] == 0 then gone[#gone + 1] = name
    else
      if kind == 'zset' then set[#set + 1] = is[i] end
      set[#set + 1] = name
      if kind == 'hash' then set[#set + 1] = is[i] end
    end
  end
  local add = kind == 'hash' and 'HSET' or kind == 'set' and 'SADD' or 'ZADD'
  local remove = kind == 'hash' and 'HDEL' or kind == 'set' and 'SREM' or 'ZREM'
  local list = {}
  if #set > 0 then list[1] = { add, unpack(set) } end
  if #gone > 0 then list[#list + 1] = { remove, unpack(gone) } end
  return list
end

local group
local function flush()
  if not group then return end
  local seq, key, tag = group.seq, group.key, group.tag
  local names = group.names
  group = nil
  local meta = call('HGET', bucket, ':' .. key)
  local kind = meta and not dead(meta, given) and call('TYPE', key).ok or 'none'
  if kind == 'none' then return tell(seq, key, tag, false, false, '') end
  -- The key itself has changed since: that comes later, and these may be elements of something else.
  local whole = call('ZSCORE', log, keyMember(tag, key))
  if not COUNT[kind] or kind == 'list' or tonumber(whole or 0) > tonumber(seq) then
    return tell(seq, key, tag, meta, '', 'redis-elements')
  end
  tell(seq, key, tag, meta, cmsgpack.pack(changed(key, kind, names)), 'redis-elements')
end

local function after(count)
  return call('ZRANGEBYSCORE', log, '(' .. ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, count)
end
local found = after(limit)
if found[1] then
  local _, _, element = parseMember(found[1])
  if element then found = after(PART) end
end
for i = 1, #found, 2 do
  local tag, key, element = parseMember(found[i])
  if not group or not element or group.key ~= key then
    flush()
    if limit <= 0 or room <= 0 then break end
  end
  if element then
    group = group or { key = key, tag = tag, names = {} }
    group.seq = found[i + 1]
    group.names[#group.names + 1] = element
  else
    local meta = call('HGET', bucket, ':' .. key)
    local value, kind = read(key, meta, given, parts)
    if value == true then
      if #out == 1 then
        for _, it in ipairs({ found[i + 1], key, tag == '' and key or tag, meta, true, kind }) do out[#out + 1] = it end
      end
      break
    end
    tell(found[i + 1], key, tag, value and meta, value, kind)
    if limit <= 0 or room <= 0 then break end
  end
end
flush()
return out
`

/**
 * How many entries buckets have.
 *
 * KEYS  hashes of buckets
 * Returns a number for each
 */
export const COUNTS_LUA = `
local out = {}
for i, bucket in ipairs(KEYS) do out[i] = redis.call('ZCARD', bucket .. ':o') end
return out
`

/**
 * Bytes of the values of some entries of a bucket, evenly spread over their places.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', entries to look at, at most
 * Returns entries looked at, those of them that are there, their bytes
 */
export const BYTES_LUA = `${ENTRY_LUA}
local bucket, given, want = KEYS[1], ARGV[1], tonumber(ARGV[2])
local all = call('ZCARD', bucket .. ':o')
local seen, there, bytes, step = 0, 0, 0, math.max(1, all / want)
for i = 0, math.min(all, want) - 1 do
  local rank = math.floor(i * step)
  local key = call('ZRANGE', bucket .. ':o', rank, rank)[1]
  local meta = key and call('HGET', bucket, ':' .. key)
  seen = seen + 1
  if meta and not dead(meta, given) then
    local length = pcall('STRLEN', key)
    if type(length) == 'table' then length = call('MEMORY', 'USAGE', key, 'SAMPLES', 5) or 0 end
    if length > 0 or call('EXISTS', key) == 1 then
      there = there + 1
      bytes = bytes + length
    end
  end
end
return { seen, there, bytes }
`
