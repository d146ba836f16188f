/**
 * The topology, protocol.md section 1. Keys, each beside the first:
 *
 *     t     hash: format seal id revision buckets seed founded shards tagRule plan planId founding ticket holder term expires
 *     t:a   hash: segment -> 'epoch shard', where it is not as it was founded; a merged tag: 'epoch '
 *     t:d   list of the last changes, oldest first, as JSON; the newest is that of the present revision
 *     t:h   list of finished reshardings, oldest first: 'revision JSON';  t:r  hash of what is retained, by its name
 *
 * A million fields are read in pages (topology-reading.ts): no script may go through all of them.
 *
 * The first owners of the buckets are one text, 'founding': 16,384 fields for what never changes would be a waste.
 */

/**
 * KEYS  t
 * ARGV  id, buckets, seed, shards, founding, tag rule or '', format, seal
 * Returns 1, or 0 where somebody else was faster
 */
export const CREATE_LUA = `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'revision', '1', 'buckets', ARGV[2], 'seed', ARGV[3], 'founded', '0',
  'shards', ARGV[4], 'founding', ARGV[5], 'tagRule', ARGV[6], 'format', ARGV[7], 'seal', ARGV[8],
  'ticket', '0', 'term', '0')
return 1
`

/**
 * KEYS  t, t:d
 * ARGV  revision, changes at most
 * Returns nil where it is no longer known what came after, else the first of the changes
 */
export const CHANGES_SINCE_LUA = `
local behind = tonumber(redis.call('HGET', KEYS[1], 'revision')) - tonumber(ARGV[1])
if behind == 0 then return {} end
if behind < 0 or behind > redis.call('LLEN', KEYS[2]) then return false end
return redis.call('LRANGE', KEYS[2], -behind, math.min(-1, tonumber(ARGV[2]) - behind - 1))
`

/**
 * KEYS  t, t:a, t:d, t:h, t:r
 * ARGV  revision that is expected or '', term or '', plan ('' any, 'none', or '=' and its id), channel,
 *         changes kept, reshardings kept,
 *         the change as JSON without its assignments, whether it founds ('1'), shards as JSON or '',
 *         ids of the shards as JSON or '', plan ('' as it is, 'none', or its JSON), its id,
 *         tag rule as JSON or '', bytes that a message may have,
 *         how many reshardings have finished, copies are retained, copies are released,
 *         then each of them: JSON; name, JSON; name;
 *         then of each assignment: segment, shard ('' for a tag that was merged), epoch, all three as a JSON list
 * Returns the revision and how many assignments were taken; nil where what is expected does not hold; 'unknown' and the
 *   index of an assignment whose shard nobody knows. Publishes the change, or its revision where it is too long
 */
export const COMMIT_LUA = `
local call = redis.call
local t = call('HMGET', KEYS[1], 'revision', 'term', 'holder', 'planId', 'shards')
if ARGV[1] ~= '' and ARGV[1] ~= t[1] then return false end
if ARGV[2] ~= '' and (ARGV[2] ~= t[2] or (t[3] or '') == '') then return false end
if ARGV[3] == 'none' and (t[4] or '') ~= '' then return false end
if string.sub(ARGV[3], 1, 1) == '=' and ('=' .. (t[4] or '')) ~= ARGV[3] then return false end

local retained = 18 + ARGV[15]
local released = retained + 2 * ARGV[16]
local first = released + ARGV[17]
local known = {}
if ARGV[10] ~= '' then for _, id in ipairs(cjson.decode(ARGV[10])) do known[id] = true end
elseif #ARGV >= first then for _, shard in ipairs(cjson.decode(t[5])) do known[shard.id] = true end end

local taken, fields, seen = {}, {}, {}
for from = first, #ARGV, 2000 do
  local till, segments = math.min(#ARGV, from + 1999), {}
  for i = from, till, 4 do segments[#segments + 1] = ARGV[i] end
  local was = call('HMGET', KEYS[2], unpack(segments))
  for i = from, till, 4 do
    local segment, shard, epoch = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if shard ~= '' and not known[shard] then return { 'unknown', (i - first) / 4 } end
    local stored = seen[segment] or was[(i - from) / 4 + 1]
    if not stored and string.byte(segment) == 35 then stored = '1 founder' end
    local is, at
    if stored then is, at = string.match(stored, '^(%d+) (.*)$') end
    local late
    if shard == '' then
      -- A merge ends the life that its epoch belongs to, the last epoch of that life included.
      late = stored and (at == '' or tonumber(is) > tonumber(epoch))
    else
      late = stored and tonumber(is) >= tonumber(epoch)
    end
    if not late then
      seen[segment] = epoch .. ' ' .. shard
      fields[#fields + 1] = segment
      fields[#fields + 1] = seen[segment]
      taken[#taken + 1] = ARGV[i + 3]
    end
  end
end
-- Nothing but late publications.
if #taken == 0 and ARGV[7] == '{}' then return { t[1], 0 } end

local revision = string.format('%.0f', t[1] + 1)
for i = 1, #fields, 1000 do call('HSET', KEYS[2], unpack(fields, i, math.min(#fields, i + 999))) end
if ARGV[8] == '1' then call('HSET', KEYS[1], 'founded', '1') end
if ARGV[9] ~= '' then call('HSET', KEYS[1], 'shards', ARGV[9]) end
if ARGV[13] ~= '' then call('HSET', KEYS[1], 'tagRule', ARGV[13]) end
if ARGV[11] == 'none' then call('HDEL', KEYS[1], 'plan', 'planId')
elseif ARGV[11] ~= '' then call('HSET', KEYS[1], 'plan', ARGV[11], 'planId', ARGV[12]) end
for i = 18, retained - 1 do call('RPUSH', KEYS[4], revision .. ' ' .. ARGV[i]) end
if retained > 18 then call('LTRIM', KEYS[4], -tonumber(ARGV[6]), -1) end
for i = released, first - 1 do call('HDEL', KEYS[5], ARGV[i]) end
for i = retained, released - 1, 2 do call('HSET', KEYS[5], ARGV[i], ARGV[i + 1]) end
call('HSET', KEYS[1], 'revision', revision)
local delta = '{"revision":' .. revision .. ',"assignments":[' .. table.concat(taken, ',') .. '],"rest":' .. ARGV[7] .. '}'
call('RPUSH', KEYS[3], delta)
call('LTRIM', KEYS[3], -tonumber(ARGV[5]), -1)
call('PUBLISH', ARGV[4], #delta > tonumber(ARGV[14]) and revision or delta)
return { revision, #taken }
`

/**
 * A ticket is above all that were drawn, and not below the time in ms: so that a server that lost its last writes
 * draws none twice. Terms likewise.
 */
const CLOCK = `
local function now(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function next(last, given)
  return string.format('%.0f', math.max(tonumber(last or 0) + 1, now(given)))
end
`

/**
 * KEYS  t
 * ARGV  time or ''
 * Returns the ticket
 */
export const TICKET_LUA = `${CLOCK}
local ticket = next(redis.call('HGET', KEYS[1], 'ticket'), ARGV[1])
redis.call('HSET', KEYS[1], 'ticket', ticket)
return ticket
`

/**
 * The lease, on the server's clock.
 *
 * KEYS  t
 * ARGV  time or '', acquire or renew or release, holder, duration in ms, term ('' to acquire)
 * Returns term and expiry, or nil where another has it or it is not so
 */
export const LEASE_LUA = `${CLOCK}
local at, what, holder = now(ARGV[1]), ARGV[2], ARGV[3]
local t = redis.call('HMGET', KEYS[1], 'holder', 'term', 'expires')
local stands = t[1] and t[1] ~= '' and at < tonumber(t[3])
if what == 'release' then
  -- The term stays: the next holder's is higher.
  if t[1] == holder and t[2] == ARGV[5] then redis.call('HSET', KEYS[1], 'holder', '', 'expires', '0') end
  return false
end
if what == 'renew' and not (stands and t[1] == holder and t[2] == ARGV[5]) then return false end
if what == 'acquire' and stands and t[1] ~= holder then return false end
local term = stands and t[2] or next(t[2], ARGV[1])
local expires = string.format('%.0f', at + tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'holder', holder, 'term', term, 'expires', expires)
return { term, expires }
`
