/**
 * The fence table of placement/fence.ts in Lua, and what it needs of a bucket's record. Every script that takes a step
 * begins with it. test/backends/redis/fence-script.test.ts drives it and `decide` with the same commands.
 *
 * A segment is named by the prefix of its fields in the bucket's hash: `#` is the bucket itself, `{tag}` a tag. Fields:
 *
 *     #e  {tag}e    the epoch where this shard owns the segment, else empty: what clients are compared with
 *     #s  {tag}s    seq
 *     #x  {tag}x    what a client must heed: L, changes are logged; H and a time, writes are held until then; then the
 *                   carved tags, each as a comma and a JSON string. Empty for most.
 *     #r  {tag}r    the rest: state epoch ticket export holdUntil held trace base loading kept nextBatch intact peer
 *     #i  {tag}i    of an import: number of the part that is expected next, and the key of the value that comes in parts
 *     *k  *x  *t    of the bucket: its ticket, the segment that is exported, the tags that have a record (as in #x)
 *     *p            place of the newest entry; entries are scanned in the order of their places
 *     :key          version, expiry and tag of an entry (tag empty: the key itself)
 *
 * Beside the hash: `<hash>:o` entries by place, `<hash>:l<segment>` change log by seq (change-log.ts), `<hash>:s<segment>` a value
 * that comes in parts, until the last of them is there.
 *
 * Numbers stay below 2^53 and are written with %.0f: Lua's tostring keeps 14 digits only.
 */
export const FENCE_LUA = `
local call, find, sub, match, format = redis.call, string.find, string.sub, string.match, string.format
local function int(n) return format('%.0f', n) end
local function flag(b) return b and '1' or '0' end

-- Time in ms: the one that was given, for simulations, or the server's.
local time
local function now(given)
  if not time then
    if given ~= '' then time = tonumber(given) else
      local t = call('TIME')
      time = t[1] * 1000 + math.floor(t[2] / 1000)
    end
  end
  return time
end

-- Sets of tags are text: a comma and a JSON string each. Inside a JSON string no quote stands after a comma or before
-- one without a backslash, so that the name of one tag is never found inside another's.
local function quoted(tag) return ',' .. cjson.encode(tag) end
local function has(set, tag) return set ~= '' and find(set .. ',', quoted(tag) .. ',', 1, true) ~= nil end
local function plus(set, tag) return has(set, tag) and set or set .. quoted(tag) end
local function minus(set, tag)
  local from, to = find(set .. ',', quoted(tag) .. ',', 1, true)
  return from and sub(set, 1, from - 1) .. sub(set, to) or set
end
local function each(set) return set == '' and {} or cjson.decode('[' .. sub(set, 2) .. ']') end
local function set(list)
  local s = ''
  for _, tag in ipairs(list or {}) do s = plus(s, tag) end
  return s
end
local function tagOf(p) return sub(p, 2, -2) end

local bucket, records, bucketTicket, exporting, tags

local function record(p)
  if records[p] then return records[p] end
  local f = call('HMGET', bucket, p .. 's', p .. 'x', p .. 'r')
  local r = { state = 'n', epoch = 0, ticket = 0, seq = 0, peer = '', export = 0, holdUntil = 0, held = false,
    trace = false, base = 0, loading = false, kept = false, nextBatch = 0, intact = false, carved = '' }
  if f[3] then
    local state, epoch, ticket, export, holdUntil, held, trace, base, loading, kept, nextBatch, intact, peer =
      match(f[3], '^(%a) (%d+) (%d+) (%d+) (%d+) (%d) (%d) (%d+) (%d) (%d) (%d+) (%d) (.*)$')
    r.state, r.epoch, r.ticket, r.seq, r.peer = state, tonumber(epoch), tonumber(ticket), tonumber(f[1]), peer
    r.export, r.holdUntil, r.held = tonumber(export), tonumber(holdUntil), held == '1'
    r.trace, r.base, r.loading, r.kept = trace == '1', tonumber(base), loading == '1', kept == '1'
    r.nextBatch, r.intact = tonumber(nextBatch), intact == '1'
    r.carved = match(f[2], ',.*$') or ''
  end
  records[p] = r
  return r
end

local function open(key)
  bucket, records = key, {}
  local f = call('HMGET', key, '*k', '*x', '*t')
  bucketTicket, exporting, tags = tonumber(f[1] or 0), f[2] or '', f[3] or ''
end

local function raw(p) return call('HMGET', bucket, p .. 's', p .. 'x', p .. 'r') end

local function stageOf(p) return bucket .. ':s' .. p end

local function write(p, r)
  -- A value that came in part only ends with the import, or begins again with the next one.
  if r.nextBatch <= 1 and call('HDEL', bucket, p .. 'i') == 1 then call('UNLINK', stageOf(p)) end
  local x = r.carved
  if r.state == 'o' then
    if r.export ~= 0 and r.holdUntil > 0 then x = 'H' .. int(r.holdUntil) .. x end
    if r.export ~= 0 or r.trace then x = 'L' .. x end
  end
  call('HSET', bucket, p .. 'e', r.state == 'o' and int(r.epoch) or '', p .. 's', int(r.seq), p .. 'x', x,
    p .. 'r', table.concat({ r.state, int(r.epoch), int(r.ticket), int(r.export), int(r.holdUntil), flag(r.held),
      flag(r.trace), int(r.base), flag(r.loading), flag(r.kept), int(r.nextBatch), flag(r.intact), r.peer }, ' '))
  records[p] = r
  if p ~= '#' and not has(tags, tagOf(p)) then
    tags = plus(tags, tagOf(p))
    call('HSET', bucket, '*t', tags)
  end
end

local function with(r, ...)
  local copy = {}
  for k, v in pairs(r) do copy[k] = v end
  for _, changes in ipairs({ ... }) do for k, v in pairs(changes) do copy[k] = v end end
  return copy
end

local NOT_EXPORTED = { export = 0, holdUntil = 0, held = false, peer = '' }
local NOT_IMPORTING = { loading = false, kept = false, nextBatch = 0 }
local UNCHANGED = { records = {} }

local function spoiled(p)
  if p == '#' then return {} end
  local b = record('#')
  if b.state ~= 'm' or not b.intact or has(b.carved, tagOf(p)) then return {} end
  return { { '#', with(b, { intact = false }) } }
end

local function endExport(...)
  if exporting == '' then return {}, {} end
  for _, p in ipairs({ ... }) do if p == exporting then return {}, {} end end
  local r = record(exporting)
  return { { exporting, with(r, NOT_EXPORTED) } }, r.trace and {} or { exporting }
end

local function contradicted(c, p)
  if p ~= '#' then return false end
  local carved = set(c.carved)
  for _, tag in ipairs(each(tags)) do
    if record('{' .. tag .. '}').state == 'o' and not has(carved, tag) then return true end
  end
  return false
end

-- What a segment that begins anew here makes history of.
local function overtaken(p, carved)
  if p ~= '#' then
    local b, out = record('#'), {}
    if b.state == 'i' and not has(b.carved, tagOf(p)) then
      out[1] = { '#', with(b, NOT_IMPORTING, { state = 'n' }) }
    end
    for _, it in ipairs(spoiled(p)) do out[#out + 1] = it end
    return out
  end
  local out = {}
  for _, tag in ipairs(each(tags)) do
    local old = record('{' .. tag .. '}')
    if old.state ~= 'n' and not has(carved, tag) then
      out[#out + 1] = { '{' .. tag .. '}',
        with(old, NOT_EXPORTED, NOT_IMPORTING, { state = 'n', trace = false, base = 0, intact = false }) }
    end
  end
  return out
end

local function prepare(c, r, p, kept)
  local carved = set(c.carved)
  local out = overtaken(p, carved)
  out[#out + 1] = { p, with(r, { state = 'i', epoch = c.epoch + 1, ticket = c.ticket, peer = '', nextBatch = 1,
    loading = kept, kept = kept, intact = false, carved = carved }) }
  return { records = out, ticket = c.ticket }
end

local function restore(c, r, p, state)
  local carved = set(c.carved)
  local past = overtaken(p, carved)
  local but = { p }
  for _, it in ipairs(past) do but[#but + 1] = it[1] end
  local out, clear = endExport(unpack(but))
  for _, it in ipairs(past) do out[#out + 1] = it end
  for _, it in ipairs(but) do clear[#clear + 1] = it end
  out[#out + 1] = { p, with(r, NOT_EXPORTED, NOT_IMPORTING, { state = state, epoch = c.epoch, ticket = c.ticket,
    peer = c.peer, seq = math.max(r.seq, c.seq), trace = false, base = 0, intact = false, carved = carved }) }
  return { records = out, ticket = c.ticket, exporting = '', clear = clear }
end

local function importsFor(c, r)
  return r.epoch == c.epoch + 1 and r.ticket == c.ticket and bucketTicket == c.ticket and r.loading
end

local function unchanged() return UNCHANGED end

-- step -> what answers its rows of { from, guard, effect }, in the order of the table: only those of the step are made.
local ROWS = {
  found = function() return {
    { 'n', function(c, r) return r.ticket == 0 and r.epoch == 0 and bucketTicket == 0 end,
      function(c, r, p) return { records = { { p, with(r, { state = 'o', epoch = 1 }) } } } end },
    { 'oimn', function() return true end, unchanged },
  } end,
  export = function() return {
    { 'o', function(c, r) return r.epoch == c.epoch and bucketTicket < c.ticket end,
      function(c, r, p)
        local out, clear = endExport(p)
        out[#out + 1] = { p, with(r, { ticket = c.ticket, export = c.ticket, peer = c.peer, holdUntil = 0,
          held = false }) }
        if not r.trace then clear[#clear + 1] = p end
        return { records = out, ticket = c.ticket, exporting = p, clear = clear }
      end },
    { 'o', function(c, r) return r.epoch == c.epoch and bucketTicket == c.ticket and r.export == c.ticket end,
      unchanged },
  } end,
  prepare = function() return {
    { 'm', function(c, r, p) return bucketTicket < c.ticket and r.intact and r.epoch == c.epoch and c.base ~= nil
        and r.seq == c.base and not contradicted(c, p) end,
      function(c, r, p) return prepare(c, r, p, true) end },
    { 'nim', function(c, r, p) return bucketTicket < c.ticket and not contradicted(c, p) end,
      function(c, r, p) return prepare(c, r, p, false) end },
    { 'i', function(c, r) return r.epoch == c.epoch + 1 and r.ticket == c.ticket and bucketTicket == c.ticket end,
      unchanged },
  } end,
  sweep = function() return {
    { 'i', function(c, r) return r.ticket == c.ticket and bucketTicket == c.ticket and not r.loading end,
      function(c, r, p)
        local out = spoiled(p)
        if c.empty then out[#out + 1] = { p, with(r, { loading = true }) } end
        return { records = out }
      end },
    { 'i', function(c, r) return r.ticket == c.ticket and bucketTicket == c.ticket and r.loading end, unchanged },
  } end,
  ingest = function() return {
    { 'i', function(c, r) return importsFor(c, r) and r.nextBatch == c.batch end,
      function(c, r, p) return { records = { { p, with(r, { nextBatch = c.batch + 1 }) } } } end },
    { 'i', function(c, r) return importsFor(c, r) and r.nextBatch > c.batch end, unchanged },
  } end,
  hold = function() return {
    { 'o', function(c, r) return r.epoch == c.epoch and r.export == c.ticket and not r.held end,
      function(c, r, p, at)
        return { records = { { p, with(r, { holdUntil = at() + c.durationMs, held = true }) } } }
      end },
    { 'o', function(c, r) return r.epoch == c.epoch and r.export == c.ticket and r.held end, unchanged },
  } end,
  cutover = function() return {
    { 'o', function(c, r) return r.epoch == c.epoch and r.export == c.ticket and r.seq == c.seq end,
      function(c, r, p)
        return { records = { { p, with(r, NOT_EXPORTED, { state = 'm', epoch = c.epoch + 1, peer = r.peer,
          trace = false, base = 0, intact = true }) } },
          exporting = exporting == p and '' or exporting, clear = { p } }
      end },
    { 'm', function(c, r) return r.epoch == c.epoch + 1 and r.ticket == c.ticket end, unchanged },
  } end,
  activate = function() return {
    { 'i', function(c, r) return r.epoch == c.proof.epoch and r.ticket == c.proof.ticket end,
      function(c, r, p)
        return { records = { { p, with(r, NOT_IMPORTING, { state = 'o', seq = c.proof.seq, trace = true,
          base = c.proof.seq, peer = '' }) } }, clear = { p } }
      end },
    { 'om', function(c, r) return r.epoch >= c.proof.epoch end, unchanged },
  } end,
  abort = function() return {
    { 'o', function(c, r) return r.epoch == c.epoch and bucketTicket <= c.ticket end,
      function(c, r, p)
        local out, clear = endExport(p)
        out[#out + 1] = { p, with(r, NOT_EXPORTED, { ticket = c.ticket }) }
        if not r.trace then clear[#clear + 1] = p end
        return { records = out, ticket = c.ticket, exporting = '', clear = clear }
      end },
  } end,
  discard = function() return {
    { 'in', function(c) return bucketTicket <= c.ticket end,
      function(c, r, p)
        return { records = { { p, with(r, NOT_IMPORTING, { state = 'n', ticket = c.ticket }) } },
          ticket = c.ticket }
      end },
  } end,
  untrace = function() return {
    { 'o', function(c, r) return r.epoch == c.epoch and r.export == 0 end,
      function(c, r, p)
        return { records = { { p, with(r, { trace = false, base = 0 }) } }, clear = { p } }
      end },
  } end,
  purge = function() return {
    { 'm', function(c, r) return r.epoch == c.epoch end,
      function(c, r, p)
        local out = spoiled(p)
        if r.intact then out[#out + 1] = { p, with(r, { intact = false }) } end
        return { records = out }
      end },
    { 'n', function() return true end, function(c, r, p) return { records = spoiled(p) } end },
  } end,
  split = function() return {
    { 'nmi', function(c, r, p)
        local b = record('#')
        return b.state == 'o' and b.epoch == c.epoch and not has(b.carved, tagOf(p)) and bucketTicket < c.ticket
      end,
      function(c, r, p)
        local b = record('#')
        local out, clear = endExport('#')
        local raised = { ticket = c.ticket, epoch = c.epoch + 1, trace = false, base = 0 }
        out[#out + 1] = { '#', with(b, NOT_EXPORTED, raised, { carved = plus(b.carved, tagOf(p)) }) }
        out[#out + 1] = { p, with(r, NOT_EXPORTED, NOT_IMPORTING, raised, { state = 'o', seq = b.seq, peer = '' }) }
        clear[#clear + 1] = '#'
        clear[#clear + 1] = p
        return { records = out, ticket = c.ticket, exporting = '', clear = clear }
      end },
    { 'o', function(c, r) return r.ticket == c.ticket and r.epoch == c.epoch + 1 and bucketTicket == c.ticket end,
      unchanged },
  } end,
  merge = function() return {
    { 'o', function(c, r)
        local b = record('#')
        return b.state == 'o' and b.epoch == c.epoch and bucketTicket < c.ticket
      end,
      function(c, r, p)
        local b = record('#')
        local out, clear = endExport('#', p)
        local raised = { ticket = c.ticket, trace = false, base = 0 }
        out[#out + 1] = { '#', with(b, NOT_EXPORTED, raised, { epoch = math.max(b.epoch, r.epoch) + 1,
          seq = math.max(b.seq, r.seq), carved = minus(b.carved, tagOf(p)) }) }
        out[#out + 1] = { p, with(r, NOT_EXPORTED, raised, { state = 'n' }) }
        clear[#clear + 1] = '#'
        clear[#clear + 1] = p
        return { records = out, ticket = c.ticket, exporting = '', clear = clear }
      end },
    { 'n', function(c, r) return r.ticket == c.ticket and bucketTicket == c.ticket end, unchanged },
  } end,
  restore = function() return {
    { 'o', function(c, r) return c.peer == '' and r.epoch <= c.epoch and bucketTicket <= c.ticket end,
      function(c, r, p) return restore(c, r, p, 'o') end },
    { 'nim', function(c, r) return c.peer == '' and r.epoch < c.epoch and bucketTicket <= c.ticket
        and (r.intact or not c.intact) end,
      function(c, r, p) return restore(c, r, p, 'o') end },
    { 'm', function(c, r) return c.peer ~= '' and r.epoch <= c.epoch and bucketTicket <= c.ticket end,
      function(c, r, p) return restore(c, r, p, 'm') end },
    { 'nio', function(c, r) return c.peer ~= '' and r.epoch < c.epoch and bucketTicket <= c.ticket end,
      function(c, r, p) return restore(c, r, p, 'm') end },
  } end,
}

-- What the table says of a step, or nil for a refusal. Changes nothing.
local function decide(p, c, at)
  local r = record(p)
  for _, row in ipairs(ROWS[c.step]()) do
    if find(row[1], r.state, 1, true) and row[2](c, r, p) then return row[3](c, r, p, at) end
  end
end

-- Carries it out. A step must be possible also when the memory is full, and Redis lets a script go on that has deleted
-- something: so each begins by deleting what is not there.
local function apply(change)
  if #change.records == 0 and change.ticket == nil then return end
  call('DEL', bucket .. ':-')
  for _, it in ipairs(change.records) do write(it[1], it[2]) end
  if change.ticket then
    bucketTicket = change.ticket
    call('HSET', bucket, '*k', int(bucketTicket))
  end
  if change.exporting then
    exporting = change.exporting
    call('HSET', bucket, '*x', exporting)
  end
  for _, p in ipairs(change.clear or {}) do call('UNLINK', bucket .. ':l' .. p) end
end
`
