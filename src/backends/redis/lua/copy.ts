import { FENCE_LUA } from './fence'
import { PARTS_LUA } from './parts'

/**
 * Some of a batch of an import. The last script of a batch counts it; before that the same changes may be sent again. A part of
 * a value is in the last script only, so that it is taken exactly once: it waits under a name of ours until the last one
 * is there, and any other step of the segment's fence deletes it.
 *
 * KEYS  expiries, the bucket's hash, then the key of each change
 * ARGV  time or '', segment, the step as JSON, 'last' or '', then for each change
 *         tag, version (empty: delete), expiry, format, value, part (empty: the whole value; its number, and + where more
 *         follow)
 * Returns 1, or nil for a refusal; s x r of the segment; or 'foreign' and a tag that the segment does not contain; or
 *   'torn' and the key of a part that does not follow on the one before
 */
export const INGEST_LUA = `${FENCE_LUA}${PARTS_LUA}
open(KEYS[2])
local given, p, c = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local change = decide(p, c)
-- Refused, or the repetition of a batch that was applied already: late duplicates undo newer batches.
if not change or #change.records == 0 then return { change and 1 or false, raw(p) } end
local r = record(p)
local stage, staged = stageOf(p), p .. 'i'
for k = 3, #KEYS do
  local a = 6 * (k - 3) + 5
  local tag, part = ARGV[a], ARGV[a + 5]
  if p == '#' and has(r.carved, tag) or p ~= '#' and tagOf(p) ~= tag then return { 'foreign', tag } end
  local number = match(part, '^%d+')
  if number and number ~= '0' and call('HGET', bucket, staged) ~= number .. ' ' .. KEYS[k] then
    return { 'torn', KEYS[k] }
  end
end

local function index(key, tag, meta, version, expiry)
  local had = meta and find(meta, '^%d+ [^0]')
  local member = (had or expiry ~= '0') and match(bucket, '%d+$') .. ':' .. key
  if version == '' then
    call('HDEL', bucket, ':' .. key)
    call('ZREM', bucket .. ':o', key)
    if had then call('ZREM', KEYS[1], member) end
    return
  end
  call('HSET', bucket, ':' .. key, version .. ' ' .. expiry .. ' ' .. (tag == key and '' or tag))
  if not meta then call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key) end
  if expiry ~= '0' then call('ZADD', KEYS[1], expiry, member)
  elseif had then call('ZREM', KEYS[1], member) end
end

-- Writes a value, of which this part is the last; false where there is none.
local function store(key, kind, value, part, native, meta)
  if part == '' and kind == 'redis-elements' then
    replay(key, value)
    if native == '0' then call('PERSIST', key) else call('PEXPIREAT', key, native) end
    return call('EXISTS', key) == 1
  end
  -- What is large is freed by another thread, which an overwrite would not do.
  if meta then call('UNLINK', key) end
  if part ~= '' then
    if call('EXISTS', stage) == 0 then return false end
    if native ~= '0' then call('PEXPIREAT', stage, native) end
    call('RENAME', stage, key)
  elseif kind == 'redis-dump' then call('RESTORE', key, native, value, 'REPLACE', 'ABSTTL')
  elseif native == '0' then call('SET', key, value)
  else call('SET', key, value, 'PXAT', native) end
  return true
end

for k = 3, #KEYS do
  local key, a = KEYS[k], 6 * (k - 3) + 5
  local tag, version, expiry, kind, value, part =
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local number, more = match(part, '^(%d+)(%+?)$')
  if number then
    if number == '0' then call('UNLINK', stage) end
    replay(stage, value)
    if more == '+' then call('HSET', bucket, staged, int(number + 1) .. ' ' .. key)
    else call('HDEL', bucket, staged) end
  end
  -- Elements without commands: the key itself has changed since, and comes later.
  if more ~= '+' and not (kind == 'redis-elements' and value == '') then
    local meta = call('HGET', bucket, ':' .. key)
    local gone = version == '' or (expiry ~= '0' and tonumber(expiry) <= now(given))
    if gone or not store(key, kind, value, part, given == '' and expiry or '0', meta) then
      if number then call('UNLINK', stage) end
      call('UNLINK', key)
      index(key, tag, meta, '', '0')
    else index(key, tag, meta, version, expiry) end
  end
end
if ARGV[4] == 'last' then apply(change) end
return { 1, raw(p) }
`

/**
 * Part of a sweep or purge: deletes what no live record governs. Deleting comes first, so that it works when the
 * memory is full.
 *
 * KEYS  expiries, the shard's hash, the bucket's hash
 * ARGV  segment, the step as JSON, keys to delete at most, place to go on after, entries to look at, at most
 * Returns 1 or nil for a refusal; s x r of the segment; deleted; place to go on after, '' when none are left
 */
export const ERASE_LUA = `${FENCE_LUA}
open(KEYS[3])
local p, c, limit, after, passes = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local change = decide(p, c)
if not change then return { false, raw(p), 0, '' } end
-- A sweep that was finished before: what lies there now was ingested.
if c.step == 'sweep' and record(p).loading then return { 1, raw(p), 0, '' } end

-- isProtected of the table.
local spared, governed = {}, false
if p == '#' then
  for _, tag in ipairs(each(tags)) do
    if record('{' .. tag .. '}').state ~= 'n' then spared[tag] = true end
  end
else
  local b = record('#')
  governed = (b.state == 'o' or b.state == 'i') and not has(b.carved, tagOf(p))
end

local doomed, ended = {}, governed
local found = governed and {} or
  call('ZRANGEBYSCORE', bucket .. ':o', '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, passes)
for i = 1, #found, 2 do
  if #doomed == limit then break end
  local key = found[i]
  after = found[i + 1]
  if i + 1 == #found and #found < 2 * passes then ended = true end
  local meta = call('HGET', bucket, ':' .. key)
  local tag = meta and match(meta, '^%d+ %d+ (.*)$') or ''
  if tag == '' then tag = key end
  if p == '#' and not spared[tag] or p ~= '#' and tag == tagOf(p) then doomed[#doomed + 1] = key end
end
if #found == 0 then ended = true end

if #doomed > 0 then
  local fields, members, id = {}, {}, match(bucket, '%d+$')
  for i, key in ipairs(doomed) do fields[i], members[i] = ':' .. key, id .. ':' .. key end
  call('UNLINK', unpack(doomed))
  call('HDEL', bucket, unpack(fields))
  call('ZREM', bucket .. ':o', unpack(doomed))
  call('ZREM', KEYS[1], unpack(members))
end
if c.step == 'sweep' then
  c.empty = ended
  change = decide(p, c)
end
apply(change)
return { 1, raw(p), #doomed, ended and '' or after }
`
