-- beat: a host shows that it lives. Law D6: one that was declared dead is so for ever.
-- ARGV: host, name. Answers every host and its "beat name".

local host, name = ARGV[1], ARGV[2]
local failure = buried(host)
if failure then
  return failure
end

local beat = tonumber(beat_of(host) or 0)
call('HDEL', HOSTS, host) -- frees first: a Redis that is full still knows who lives
call('HSET', STATE, 'v', LAYOUT)
call('HSET', HOSTS, host, text(beat + 1) .. ' ' .. name)
return call('HGETALL', HOSTS)
