import { ENTRY_LUA } from './entry'

const TAKE = `
local bytes = 0
local function take(key, meta)
  local value, kind = read(key, meta, given)
  if not value then return end
  bytes = bytes + #value
  if kind ~= '' and want == 'digests' then value = content(key) end
  for _, it in ipairs({ key, meta, value, kind }) do out[#out + 1] = it end
end
`

/**
 * A page of a segment's entries, in the order of their places.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', segment, role, epoch or ticket, values or digests, limit, bytes, place to go on after,
 *         last place of the scan ('' at its beginning), entries to pass over at most
 * Returns nil and s x r where that name may not read; or
 *   seq, place and last place to go on with ('' '' at the end), then key, ':key' field, value, format of each entry
 */
export const SCAN_LUA = `${ENTRY_LUA}
local bucket, given, p, want, out = KEYS[1], ARGV[1], ARGV[2], ARGV[5], {}
local f, may = mayRead(bucket, p, ARGV[3], ARGV[4])
if not may then return { false, f[2], f[3], f[4] } end
${TAKE}
local limit, room, after, last, passes =
  tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9], tonumber(ARGV[10])
if last == '' then last = call('HGET', bucket, '*p') or '0' end
out[1], out[2], out[3] = f[2], '', ''
local taken = 0
while true do
  local chunk = math.min(passes, limit - taken)
  local found = call('ZRANGEBYSCORE', bucket .. ':o', '(' .. after, last, 'WITHSCORES', 'LIMIT', 0, chunk)
  for i = 1, #found, 2 do
    local key = found[i]
    after = found[i + 1]
    passes = passes - 1
    local meta = call('HGET', bucket, ':' .. key)
    local tag = meta and match(meta, '^%d+ %d+ (.*)$')
    if tag and contains(p, f[3], tag == '' and key or tag) then
      local before = #out
      take(key, meta)
      if #out > before then taken = taken + 1 end
    end
    if taken == limit or bytes >= room or passes == 0 then
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
 * ARGV  time or '', segment, role, epoch or ticket, values or digests, then the tag of each key
 * Returns as SCAN_LUA
 */
export const NAMED_LUA = `${ENTRY_LUA}
local bucket, given, p, want, out = KEYS[1], ARGV[1], ARGV[2], ARGV[5], {}
local f, may = mayRead(bucket, p, ARGV[3], ARGV[4])
if not may then return { false, f[2], f[3], f[4] } end
${TAKE}
out[1], out[2], out[3] = f[2], '', ''
for i = 2, #KEYS do
  if contains(p, f[3], ARGV[4 + i]) then take(KEYS[i], call('HGET', bucket, ':' .. KEYS[i])) end
end
return out
`

/**
 * The oldest changes of an export after a seq.
 *
 * KEYS  the bucket's hash
 * ARGV  time or '', segment, ticket, seq, limit, bytes
 * Returns nil and s x r where the ticket exports nothing here; or
 *   seq, then seq, key, tag, ':key' field or nil, value, format of each change
 */
export const CHANGES_LUA = `${ENTRY_LUA}
local bucket, given, p = KEYS[1], ARGV[1], ARGV[2]
local f, may = mayRead(bucket, p, 'source', ARGV[3])
if not may then return { false, f[2], f[3], f[4] } end
local out, room = { f[2] }, tonumber(ARGV[6])
local found = call('ZRANGEBYSCORE', bucket .. ':l' .. p, '(' .. ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5])
for i = 1, #found, 2 do
  local length, rest = match(found[i], '^(%d*):(.*)$')
  local tag, key = rest, rest
  if length ~= '' then tag, key = sub(rest, 1, length), sub(rest, length + 1) end
  local meta = call('HGET', bucket, ':' .. key)
  local value, kind = read(key, meta, given)
  for _, it in ipairs({ found[i + 1], key, tag, value and meta, value, kind }) do out[#out + 1] = it end
  room = room - (value and #value or 0)
  if room <= 0 then break end
end
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
