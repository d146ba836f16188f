import { ENTRY_LUA } from './entry'

/**
 * The names of a page of a segment's entries, in the order of their places.
 *
 * KEYS  the bucket's hash
 * ARGV  segment, epoch of its owner, place to go on after, last place of the listing ('' at its beginning), entries to
 *       look at, at most
 * Returns nil and s x r where that epoch is not the owner's; or
 *   seq, place and last place to go on with ('' '' at the end), then key and ':key' field of each entry that is there
 */
export const KEYS_LUA = `${ENTRY_LUA}
local bucket, p, after, last, passes = KEYS[1], ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5])
local f, may = mayRead(bucket, p, 'owner', ARGV[2])
if not may then return { false, f[2], f[3], f[4] } end
if last == '' then last = call('HGET', bucket, '*p') or '0' end
local out = { f[2], '', '' }
local found = call('ZRANGEBYSCORE', bucket .. ':o', '(' .. after, last, 'WITHSCORES', 'LIMIT', 0, passes)
for i = 1, #found, 2 do
  local key, meta = found[i], call('HGET', bucket, ':' .. found[i])
  local tag = meta and match(meta, '^%d+ %d+ (.*)$')
  if tag and contains(p, f[3], tag == '' and key or tag) and call('EXISTS', key) == 1 then
    out[#out + 1] = key
    out[#out + 1] = meta
  end
end
if #found == 2 * passes and found[#found] ~= last then out[2], out[3] = found[#found], last end
return out
`
