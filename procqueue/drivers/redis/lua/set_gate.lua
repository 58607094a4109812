-- set_gate: from now on producers may push, or not. Standing so already, it keeps its beginning.
-- ARGV: open, closed or draining. Answers since when; nil if it is open and always was.

local state, since = gate()
if (state or 'open') == ARGV[1] then
  return since or false
end
call('HDEL', STATE, 'gate') -- frees first: also a Redis that is full can be closed
call('HSET', STATE, 'v', LAYOUT, 'gate', ARGV[1] .. ' ' .. text(NOW))
return NOW
