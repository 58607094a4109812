-- forget: removes messages that are not reserved. Law D3. ARGV: the only state that is meant ('' for any), then
-- ids, each once. Answers the state that each had, nil where it is not stored.

local only = table.remove(ARGV, 1)
local states, values, ranked = {}, {}, {}
for i, id in ipairs(ARGV) do
  local state, value, _, _, rank = find(id)
  states[i], values[i], ranked[i] = state or false, value, rank
end
local function is_meant(state)
  return state and state ~= 'reserved' and (only == '' or only == state)
end

for i, id in ipairs(ARGV) do
  if not is_meant(states[i]) then
    -- it stays
  elseif ranked[i] then
    call('ZREM', RANKED, ranked[i])
  elseif states[i] == 'waiting' then
    call('LREM', WAITING, 1, id)
  elseif states[i] == 'delayed' then
    call('ZREM', DELAYED, member(id, values[i]))
  elseif states[i] == 'failed' then
    call('ZREM', FAILED, id)
  elseif states[i] == 'timeout' then
    call('ZREM', TIMEOUT, id)
  end
  if is_meant(states[i]) then
    drop({ id })
  end
end
return states
