-- cancel: what waits or is delayed is removed, what is reserved is marked: it goes when it is settled, whatever
-- its verdict (_settle.lua). Either leaves a notice. Laws D1, D3, D15. CANCELLED: id → the header of that notice.
-- ARGV: for each message its id and the header; each id once. Answers the state that each had, nil: not stored.

local states, values, ranked = {}, {}, {}
for i = 1, #ARGV, 2 do
  local state, value, _, _, rank = find(ARGV[i])
  states[#states + 1], values[#values + 1] = state or false, value or ''
  ranked[#states] = rank
end
call('HDEL', CANCELLED, '') -- as a first write it lets a Redis that is full take the next
for n, state in ipairs(states) do
  local id, header = ARGV[2 * n - 1], ARGV[2 * n]
  if ranked[n] then
    call('ZREM', RANKED, ranked[n])
  elseif state == 'waiting' then
    call('LREM', WAITING, 1, id)
  elseif state == 'delayed' then
    call('ZREM', DELAYED, member(id, values[n]))
  elseif state == 'reserved' then
    call('HSET', CANCELLED, id, header)
  end
  if state == 'waiting' or state == 'delayed' then
    owe(id, text(NOW_US), header)
    drop({ id })
  end
end
finish()
wake()
return states
