-- find: one stored message. ARGV: id.
-- Answers its state, value, counters, due, history and ended; empty if it is not stored.

local id = ARGV[1]
local state, value, due, ended = find(id)
if not state then
  return {}
end
return { state, value, call('HGET', META, id), due or false, call('HGET', HISTORY, id) or '', ended or false }
