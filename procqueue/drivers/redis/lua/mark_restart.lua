-- mark_restart: all hosts that see the mark, and were there before it, restart the queue. It only grows, also if
-- the clock went back. Answers its moment, and 0: its age.

local last = tonumber(call('HGET', STATE, 'restart') or 0)
local at = math.max(last + 1, NOW)
call('HDEL', STATE, 'restart') -- frees first: also a Redis that is full passes it on
call('HSET', STATE, 'v', LAYOUT, 'restart', text(at))
return { at, 0 }
