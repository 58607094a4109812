-- forget: removes messages that are not reserved. Law D3. ARGV: ids, each once.
-- Answers the state that each had, nil where it is not stored.

local states, values, ranked = {}, {}, {}
for i, id in ipairs(ARGV) do
  local state, value, _, rank = find(id)
  states[i], values[i], ranked[i] = state or false, value, rank
end
for i, id in ipairs(ARGV) do
  if ranked[i] then
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
  if states[i] and states[i] ~= 'reserved' then
    drop({ id })
  end
end
return states
