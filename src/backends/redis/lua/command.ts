import { CHANGE_LOG_LUA, ELEMENTS_LUA } from './change-log'
import { PARTS_LUA } from './parts'

/**
 * Native commands under the fence: what lua/execute.ts is for get and set, for any command of Redis. Fence check, the
 * commands and the upkeep of their keys' records are one script.
 *
 * KEYS  expiries, then for each call: the bucket's hash
 * ARGV  for each call: what, epoch, tag, how many commands; then for each command: header, name, arguments
 *       what: r w for a call to the bucket, R W for one to the tag's own segment; w, W: it may change something
 *       header: how many items name and arguments are, with one of these letters before it
 *         r w  the first argument is the only key, read or written
 *         k    then a space and a place of a key for each key, with a + before it where it may be written
 *         e    the same, and the command is a script: its name stands for the index of its function
 * Returns a list for each call:
 *   seq, then a reply for each command. After seq ' i:n' for each reply i that is an integer n of more than 53 bits
 *   refusal: nil, 'elsewhere' or the time of a held write, then s x r of the bucket and s x r of the tag
 *
 * A key without a record is absent, whatever lies there: a read of it reads a key that never is, a write of it is
 * refused with FOREIGN. What a command did to a key is read off the key afterwards, failed commands included: whether it
 * is there, and when it expires, the server's own time of it. So whatever a command does, a key of the server
 * and its record agree, each changed key has a seq of its own, and is in the change log where there is one.
 */
const COMMAND_BODY = `
local call, rpcall, find, match, format, sub = redis.call, redis.pcall, string.find, string.match, string.format, string.sub
${PARTS_LUA}${CHANGE_LOG_LUA}${ELEMENTS_LUA}
local expiries = K[1]
-- The last moment that a Date knows: a move could carry nothing later.
local END_OF_TIME = 8640000000000000
local time
local function now()
  if not time then
    local t = call('TIME')
    time = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return time
end

-- When a key expires; -1 never, -2 where it is not.
local function ending(key)
  local at = rpcall('PEXPIRETIME', key)
  if type(at) == 'table' then
    -- Redis 6.2 tells what is left only: the time before that, so that nothing grows.
    local t = call('TIME')
    local left = call('PTTL', key)
    if left < 0 then return left end
    at = t[1] * 1000 + math.floor(t[2] / 1000) + left
    call('PEXPIREAT', key, format('%.0f', at))
  end
  if at > END_OF_TIME then
    at = END_OF_TIME
    call('PEXPIREAT', key, format('%.0f', at))
  end
  return at
end

local function step_length(at) return tonumber(match(A[at], '^%l(%d+)')) end

-- Logs the change of a key, as the elements that were named where it is large: each with a seq of its own, since a page
-- of the log ends between two. Returns the seq of the last one.
local function logged(log, seq, tag, key, change)
  local kind = change and call('TYPE', key).ok
  if change and COUNT[kind] and isLarge(key, kind) then
    local args = {}
    for i = change[2] + 3, change[2] + step_length(change[2]) do args[#args + 1] = A[i] end
    local first = seq
    for _, element in ipairs(change[1](args, change[3])) do
      if element then
        seq = seq + 1
        call('ZADD', log, format('%.0f', seq), elementMember(tag, key, element))
      end
    end
    if seq > first then return seq end
  end
  call('ZADD', log, format('%.0f', seq + 1), keyMember(tag, key))
  return seq + 1
end

-- Answers that a server gives instead of trying.
local DENIED = { OOM = true, READONLY = true, MISCONF = true, NOREPLICAS = true, NOPERM = true }

local out, a, expiring = {}, 1, 0
for k = 2, #K do
  local bucket, what, epoch, tag, count = K[k], A[a], A[a + 1], A[a + 2], tonumber(A[a + 3])
  a = a + 4
  local p = string.byte(what) > 96 and '#' or '{' .. tag .. '}'
  local writes = what == 'w' or what == 'W'
  local fields, place, steps = { p .. 'e', p .. 's', p .. 'x' }, {}, {}
  local function note(key)
    if place[key] then return end
    fields[#fields + 1] = ':' .. key
    place[key] = #fields
  end
  for s = 1, count do
    local kind, argc, rest = match(A[a], '^(%l)(%d+)(.*)$')
    local step = { kind = kind, at = a, argc = tonumber(argc), keys = { 2 }, written = { kind == 'w' } }
    if kind == 'k' or kind == 'e' then
      step.keys, step.written = {}, {}
      for plus, at in string.gmatch(rest, ' (%+?)(%d+)') do
        step.keys[#step.keys + 1] = tonumber(at)
        step.written[#step.keys] = plus == '+'
      end
    end
    for _, at in ipairs(step.keys) do note(A[a + at]) end
    steps[s] = step
    a = a + 1 + step.argc
  end

  local f = call('HMGET', bucket, unpack(fields))
  local x = f[3]
  local logs = x and find(x, 'L', 1, true) == 1
  local refused = f[1] ~= epoch and 'elsewhere'
  if not refused and x ~= '' then
    if find(x, ',', 1, true) and find(x .. ',', ',' .. cjson.encode(tag) .. ',', 1, true) then
      refused = 'elsewhere'
    elseif writes then
      local held = match(x, '^LH(%d+)')
      if held and now() < tonumber(held) then refused = format('%.0f', now()) end
    end
  end

  if refused then
    local own = '{' .. tag .. '}'
    out[k - 1] = { false, refused,
      call('HMGET', bucket, '#s', '#x', '#r', own .. 's', own .. 'x', own .. 'r') }
  else
    local replies, touched, ours, alive, failed, large = { '' }, {}, {}, {}, false, ''
    for s = 1, count do
      local step = steps[s]
      local at, reply, hidden = step.at, nil, nil
      for i, place_of in ipairs(step.keys) do
        local key = A[at + place_of]
        if ours[key] == nil then ours[key] = (f[place[key]] or call('EXISTS', key) == 0) and true or false end
        if not ours[key] then
          if step.written[i] then reply = { err = 'FOREIGN ' .. key } else hidden = true end
        end
      end
      if logs then
        for i, place_of in ipairs(step.keys) do
          local key = A[at + place_of]
          if step.written[i] and alive[key] == nil then alive[key] = call('EXISTS', key) == 1 end
        end
      end
      if not reply then
        local from, to = at + 1, at + step.argc
        if step.kind == 'e' then
          reply = runs(from, to, ours, bucket .. ':-')
          failed = true
        elseif hidden then
          local argv = {}
          for i = from, to do argv[#argv + 1] = A[i] end
          for _, place_of in ipairs(step.keys) do
            if not ours[A[at + place_of]] then argv[place_of] = bucket .. ':-' end
          end
          reply = rpcall(unpack(argv))
        else
          reply = rpcall(unpack(A, from, to))
        end
        local denied, erred
        if type(reply) == 'table' and reply.err then
          denied = DENIED[match(reply.err, '^-?(%u+) ')] and step.kind ~= 'e'
          failed, erred = true, true
        end
        if not denied then
          for i, place_of in ipairs(step.keys) do
            local key = A[at + place_of]
            if step.written[i] then
              -- How it changed is known where one command named what it changed in what was there before.
              local names = alive[key] and step.kind == 'w' and not erred and NAMED[string.upper(A[at + 1])]
              if touched[key] == nil then touched[#touched + 1] = key else names = false end
              touched[key] = names and { names, at, reply } or false
            end
          end
        end
      end
      if type(reply) == 'number' and (reply >= 9007199254740992 or reply <= -9007199254740992) then
        large = large .. ' ' .. s .. ':' .. format('%.0f', reply)
        reply = 0
      end
      if reply == nil then reply = false end
      replies[s + 1] = reply
    end

    local seq = tonumber(f[2])
    local before = seq
    -- Redis refuses a script for want of memory at its first write only, and nothing may have been written so far.
    if failed and #touched > 0 then call('DEL', bucket .. ':-') end
    for _, key in ipairs(touched) do
      local meta = f[place[key]]
      local had = meta and find(meta, '^%d+ [^0]')
      local at = ending(key)
      if at ~= -2 or meta then
        local known = tag == key and '' or tag
        if logs then seq = logged(bucket .. ':l' .. p, seq, known, key, at ~= -2 and touched[key]) else seq = seq + 1 end
        local fresh = format('%.0f', seq)
        local id = match(bucket, '%d+$')
        if at == -2 then
          call('HDEL', bucket, ':' .. key)
          call('ZREM', bucket .. ':o', key)
          if had then call('ZREM', expiries, id .. ':' .. key) end
        else
          local expiry = at == -1 and '0' or format('%.0f', at)
          call('HSET', bucket, ':' .. key, fresh .. ' ' .. expiry .. ' ' .. known)
          if not meta then call('ZADD', bucket .. ':o', call('HINCRBY', bucket, '*p', 1), key) end
          if at ~= -1 then
            expiring = expiring + 1
            call('ZADD', expiries, expiry, id .. ':' .. key)
          elseif had then call('ZREM', expiries, id .. ':' .. key) end
        end
      end
    end
    if seq ~= before then call('HSET', bucket, p .. 's', format('%.0f', seq)) end
    replies[1] = format('%.0f', seq) .. large
    out[k - 1] = replies
  end
end

-- What expired leaves its field behind. Every write that may add one takes two away.
if expiring > 0 then
  local gone = call('ZRANGEBYSCORE', expiries, '-inf', '(' .. format('%.0f', now()), 'LIMIT', 0, 2 * expiring)
  for i = 1, #gone do
    local id, key = match(gone[i], '^(%d+):(.*)$')
    local bucket = sub(expiries, 1, -9) .. 'b:' .. id
    local meta = call('HGET', bucket, ':' .. key)
    local at = meta and match(meta, '^%d+ (%d+)')
    if at and at ~= '0' and tonumber(at) < now() then
      call('HDEL', bucket, ':' .. key)
      call('ZREM', bucket .. ':o', key)
    end
    call('ZREM', expiries, gone[i])
  end
end
return out
`

export const COMMAND_LUA = `
local K, A = KEYS, ARGV
local runs
${COMMAND_BODY}`

/** A script of the application, which has compiled by itself: nothing in it can end the function that it becomes. */
export interface UserScript {
  readonly text: string
  readonly sha: string
}

/**
 * The same with functions made of scripts. Each begins on the line on which it would begin by itself, so that errors name its
 * lines; what an error says of the script is put together as Redis 7 does it.
 *
 * ARGV of a script: its function's index, how many keys, keys, arguments.
 */
export function scriptedCommandLua(scripts: readonly UserScript[], readOnly: boolean): string {
  const functions = scripts.map(
    ({ text }, i) => `_foreshard[${i + 3}] = function(...) ${withoutShebang(text)}\nend`,
  )
  const shas = scripts.map(({ sha }) => `'${sha}'`).join(', ')
  const head = `local _foreshard, KEYS, ARGV = { KEYS, ARGV } `
  return `${readOnly ? '#!lua flags=no-writes\n' : ''}${head}${functions.join(' ')}
_foreshard[0] = function(keys, args) KEYS, ARGV = keys, args end
local K, A, F, SHAS = _foreshard[1], _foreshard[2], _foreshard, { ${shas} }
local function runs(from, to, ours, nothing)
  local index, n, keys, args = tonumber(A[from]), tonumber(A[from + 1]), {}, {}
  for i = 1, n do
    local key = A[from + 1 + i]
    keys[i] = ours[key] and key or nothing
  end
  for i = from + 2 + n, to do args[#args + 1] = A[i] end
  F[0](keys, args)
  local ok, reply = xpcall(F[index + 2], __redis__err__handler)
  if redis.setresp then redis.setresp(2) end
  redis.set_repl(redis.REPL_ALL)
  if ok then return reply end
  if type(reply) ~= 'table' then
    return { err = 'ERR Error running script (call to f_' .. SHAS[index] .. '): ' .. tostring(reply) }
  end
  if not reply.source or not reply.line then return { err = reply.err } end
  return { err = string.format('%s script: %s, on %s:%s.', reply.err, SHAS[index], reply.source, tostring(reply.line)) }
end
${COMMAND_BODY}`
}

/** The first line of a script may declare flags; the line stays, so that the others keep their numbers. */
function withoutShebang(text: string): string {
  return text.startsWith('#!') ? text.replace(/^[^\n]*/, '') : text
}
