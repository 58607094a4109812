-- set_gate: from now on producers may push, or not. Standing so already, it keeps its beginning.
-- ARGV: open, closed or draining; where it has to stand before, or "". Answers since when; nil if it is open and
-- always was; -1 if it does not stand there.

local state, since = gate()
state = state or 'open'
if ARGV[2] ~= '' and state ~= ARGV[2] then
  return -1
end
if state == ARGV[1] then
  return since or false
end
call('HDEL', STATE, 'gate') -- frees first: also a Redis that is full can be closed
call('HSET', STATE, 'v', LAYOUT, 'gate', ARGV[1] .. ' ' .. text(NOW))
return NOW
