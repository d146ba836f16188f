import { FENCE_LUA } from './fence'

/**
 * Part of a batch of an import. The last part counts the batch; before that the same batch may be sent again.
 *
 * KEYS  expiries, the bucket's hash, then the key of each change, no key twice
 * ARGV  time or '', segment, the step as JSON, 'last' or '', then for each change
 *         tag, version (empty: delete), expiry, format, value
 * Returns 1, or nil for a refusal; s x r of the segment; or 'foreign' and a tag that the segment does not contain
 */
export const INGEST_LUA = `${FENCE_LUA}
open(KEYS[2])
local given, p, c = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local change = decide(p, c)
-- Refused, or the repetition of a batch that was applied already: late duplicates undo newer batches.
if not change or #change.records == 0 then return { change and 1 or false, raw(p) } end
local r = record(p)
for k = 3, #KEYS do
  local tag = ARGV[5 * (k - 2)]
  if p == '#' and has(r.carved, tag) or p ~= '#' and tagOf(p) ~= tag then return { 'foreign', tag } end
end
for k = 3, #KEYS do
  local key, a = KEYS[k], 5 * (k - 2)
  local tag, version, expiry, kind, value = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  local meta = call('HGET', bucket, ':' .. key)
  local had = meta and find(meta, '^%d+ [^0]')
  local gone = version == '' or (expiry ~= '0' and tonumber(expiry) <= now(given))
  local member = (had or expiry ~= '0') and match(bucket, '%d+$') .. ':' .. key
  if gone then
    call('UNLINK', key)
    call('HDEL', bucket, ':' .. key)
    call('ZREM', bucket .. ':o', key)
    if had then call('ZREM', KEYS[1], member) end
  else
    local native = given == '' and expiry or '0'
    if kind == 'redis-dump' then call('RESTORE', key, native, value, 'REPLACE', 'ABSTTL')
    elseif native == '0' then call('SET', key, value)
    else call('SET', key, value, 'PXAT', native) end
    call('HSET', bucket, ':' .. key, version .. ' ' .. expiry .. ' ' .. (tag == key and '' or tag))
    if not meta then call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key) end
    if expiry ~= '0' then call('ZADD', KEYS[1], expiry, member)
    elseif had then call('ZREM', KEYS[1], member) end
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
