-- notify: leaves a notice that belongs to no message; one of that id that is there stays as it is. Laws D1, D15.
-- ARGV: id, body. Answers 1 if it was left.

local id, body = ARGV[1], ARGV[2]
call('HLEN', META)
call('HLEN', HISTORY)
call('LLEN', WAITING)
call('LLEN', NOTICES)
call('ZCARD', WAKE)
if call('HEXISTS', BODIES, id) == 1 then
  return 0
end
call('HDEL', BODIES, id) -- as a first write it lets a Redis that is full take the next
call('HSET', BODIES, id, string.format('%014x', NOW_US) .. body)
call('HSET', STATE, 'v', LAYOUT)
call('RPUSH', NOTICES, id)
while call('LLEN', NOTICES) > MAX_NOTICES do
  drop({ call('LPOP', NOTICES) })
end
wake()
return 1
