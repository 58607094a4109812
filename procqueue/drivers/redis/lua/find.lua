-- find: one stored message. ARGV: id.
-- Answers its state, value, counters, due and history; empty if it is not stored.

local id = ARGV[1]
local state, value, due = find(id)
if not state then
  return {}
end
return { state, value, call('HGET', META, id), due or false, call('HGET', HISTORY, id) or '' }
