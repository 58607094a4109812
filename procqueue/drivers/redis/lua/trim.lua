-- trim: what stands in failed or timeout longer than its time, or beyond its number, is dropped, the oldest first.
-- ARGV: state, how many are kept (0: any number), for how many ms (0: for ever), how many are dropped at most.
-- Answers how many were.

local list = ARGV[1] == 'failed' and FAILED or TIMEOUT
local count, age, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local many = count > 0 and call('ZCARD', list) - count or 0
local old = age > 0 and call('ZCOUNT', list, '-inf', '(' .. text(NOW - age)) or 0
local last = math.min(math.max(many, old), most) - 1
call('HLEN', BODIES)
call('HLEN', META)
call('HLEN', HISTORY)
if last < 0 then
  return 0
end
local ids = call('ZRANGE', list, 0, last)
call('ZREM', list, unpack(ids)) -- frees first
drop(ids)
return #ids
