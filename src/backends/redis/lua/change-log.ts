/**
 * The change log of a segment, `<bucket>:l<segment>`: what changed, by the seq of its last change. A member is a key, as
 * `<length of its tag>:<tag><key>`, where no length says that the tag is the key; or, of a collection that is copied in parts,
 * an element of it, as `<length of its tag>,<length of its key>:<tag><key><element>`. A command that changes more of a
 * large collection than it names logs the key.
 *
 * An element is a field, a member or the id of an entry. Of a stream `<` stands for its beginning, which was trimmed.
 */
export const CHANGE_LOG_LUA = `
local function keyMember(tag, key) return tag == '' and ':' .. key or #tag .. ':' .. tag .. key end

local function elementMember(tag, key, element)
  return (tag == '' and '' or #tag) .. ',' .. #key .. ':' .. tag .. key .. element
end

-- Tag, key, and element if it is one.
local function parseMember(member)
  local tagged, length, rest = match(member, '^(%d*),?(%d*):(.*)$')
  local tag = ''
  if tagged ~= '' then tag, rest = sub(rest, 1, tagged), sub(rest, tagged + 1) end
  if length == '' then return tag, rest end
  return tag, sub(rest, 1, length), sub(rest, length + 1)
end
`

/**
 * For scripts that carry out a command of Redis on a collection whose segment is logged: what of it changed. Where it
 * isLarge, each of these is logged with a seq of its own, since a page of the log ends between two; else the key.
 */
export const ELEMENTS_LUA = `
local function every(args, from, step)
  local out = {}
  for i = from, #args, step do out[#out + 1] = args[i] end
  return out
end

local function scored(args)
  local flags, from = { NX = 1, XX = 1, GT = 1, LT = 1, CH = 1, INCR = 1 }, 1
  while flags[string.upper(args[from])] do from = from + 1 end
  return every(args, from + 1, 2)
end

local function added(args, reply)
  local out = { reply }
  for i = 1, math.min(#args, 8) do
    local word = string.upper(args[i])
    -- It may have been a field of that name: then there was nothing to trim, and nothing is.
    if word == 'MAXLEN' or word == 'MINID' then out[2] = '<' end
  end
  return out
end

-- The elements that a command names; its arguments begin after the key.
local NAMED = {
  HSET = function(args) return every(args, 1, 2) end,
  HMSET = function(args) return every(args, 1, 2) end,
  HSETNX = function(args) return { args[1] } end,
  HINCRBY = function(args) return { args[1] } end,
  HINCRBYFLOAT = function(args) return { args[1] } end,
  HDEL = function(args) return args end,
  SADD = function(args) return args end,
  SREM = function(args) return args end,
  ZADD = scored,
  ZINCRBY = function(args) return { args[2] } end,
  ZREM = function(args) return args end,
  XADD = added,
  XDEL = function(args) return args end,
  XTRIM = function() return { '<' } end,
}
`
