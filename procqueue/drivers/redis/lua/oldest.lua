-- oldest: the push sequence of the message at the head, and the clock in µs; empty if none waits.

local id = call('LINDEX', WAITING, 0)
local value = id and call('HGET', BODIES, id)
return value and { string.sub(value, 1, 14), NOW_US } or {}
