-- register: law D5, a consumer that was reclaimed is dead for ever; law D6, and so are those of a buried host.
-- From its first consumer on the host is watched, so that not even one that never beat is forgotten.
-- ARGV: consumer, host, how many messages of the queue may run at once (0: any number).

local consumer, host = ARGV[1], ARGV[2]
local failure = buried(host)
if failure then
  return failure
end
if call('ZSCORE', GONE, consumer) then
  return redis.error_reply('GONE consumer ' .. consumer .. ' was reclaimed')
end
call('ZREM', GONE, consumer) -- frees first: a Redis that is full still gets the consumers that empty it
call('HSET', STATE, 'v', LAYOUT, 'max_running', ARGV[3])
call('HSET', CONSUMERS, consumer, host)
call('HSETNX', HOSTS, host, '0 ')
return 1
