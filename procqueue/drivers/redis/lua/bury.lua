-- bury: a host is declared dead for ever, and all its consumers with it in the same step: from now on they can
-- settle nothing, and somebody has to reclaim them. Laws D5, D6. Who moved meanwhile lives: an observer may have
-- been asleep between its last look and this.
-- ARGV: host, the beat at which it stood still. Answers its consumers; nil, and nothing is changed, if it moved.

local host, seen = ARGV[1], ARGV[2]
local all = call('HGETALL', CONSUMERS)
call('ZCARD', GONE)
if beat_of(host) ~= seen then
  return false
end

call('ZREM', GONE, '') -- as a first write it lets a Redis that is full take the next
call('ZADD', GONE, 'NX', text(NOW), tombstone(host))
local found = {}
for i = 1, #all, 2 do
  if all[i + 1] == host then
    call('ZADD', GONE, 'NX', text(NOW), all[i])
    found[#found + 1] = all[i]
  end
end
return found
