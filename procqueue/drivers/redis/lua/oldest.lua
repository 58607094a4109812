-- oldest: the push sequence of the message at the head, and the clock in µs; empty if none waits.

local top, first = call('ZRANGE', RANKED, 0, 0, 'WITHSCORES'), call('LINDEX', WAITING, 0)
local id = top[1] and (not first or tonumber(top[2]) < 0) and id_of(top[1]) or first
local value = id and call('HGET', BODIES, id)
return value and { string.sub(value, 1, 14), NOW_US } or {}
