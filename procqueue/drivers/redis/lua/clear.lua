-- clear: removes the foremost messages of one state; reserved ones are not anybody's to clear. Laws D1, D3.
-- ARGV: state, how many at most. Answers how many.

local state, last = ARGV[1], ARGV[2] - 1
local list = ({ waiting = WAITING, delayed = DELAYED, failed = FAILED, timeout = TIMEOUT })[state]
local ids, ranked = call(state == 'waiting' and 'LRANGE' or 'ZRANGE', list, 0, last), {}
if state == 'waiting' then
  ranked = call('ZRANGE', RANKED, 0, last)
end
call('HLEN', BODIES)
call('HLEN', META)
call('HLEN', HISTORY)
if #ranked > 0 then -- those of a priority first, whichever it is
  call('ZREM', RANKED, unpack(ranked))
  for i, found in ipairs(ranked) do
    ranked[i] = id_of(found)
  end
  drop(ranked)
  return #ranked
elseif #ids == 0 then
  return 0
elseif state == 'waiting' then
  call('LPOP', list, #ids)
else
  call('ZREMRANGEBYRANK', list, 0, #ids - 1)
end
if state == 'delayed' then
  for i, found in ipairs(ids) do
    ids[i] = id_of(found)
  end
end
drop(ids)
return #ids
