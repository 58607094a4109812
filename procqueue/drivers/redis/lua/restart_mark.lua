-- restart_mark: the moment of the last mark, and its age in ms; empty if there is none.

local at = tonumber(call('HGET', STATE, 'restart') or 0)
return at > 0 and { at, math.max(0, NOW - at) } or {}
