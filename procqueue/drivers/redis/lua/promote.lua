-- promote: what is due becomes waiting, in the order of its due time, then of its push (law D8); the marker is
-- set again if anything waits, so that a lost one costs a second at most; what had its time is forgotten: dead
-- consumers (law D5), idle sessions and remembered ids (D10).
-- ARGV: how many at most, how long (ms) a tombstone stands.
-- Answers how many were moved, and when the next is due (ms from now, -1 if there is none).

local due = call('ZRANGEBYSCORE', DELAYED, '-inf', text(NOW), 'LIMIT', 0, ARGV[1])
local old = call('ZRANGEBYSCORE', GONE, '-inf', text(NOW - tonumber(ARGV[2])), 'LIMIT', 0, ARGV[1])
call('LLEN', WAITING)
call('LLEN', NOTICES)
call('ZCARD', WAKE)
call('HLEN', SESSIONS)
call('ZCARD', USES)
call('HLEN', LOCKS)

local ids = {}
for i, found in ipairs(due) do
  ids[i] = id_of(found)
end
if #old > 0 then
  call('ZREM', GONE, unpack(old))
end
if #due > 0 then
  call('ZREM', DELAYED, unpack(due)) -- frees first
  if traited == 0 then
    call('RPUSH', WAITING, unpack(ids))
  else
    for _, id in ipairs(ids) do
      stand(id)
    end
  end
end
forget_sessions(ARGV[1])
forget_ids(ARGV[1])
wake()
local following = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
return { #due, following[2] and math.max(0, following[2] - NOW) or -1 }
