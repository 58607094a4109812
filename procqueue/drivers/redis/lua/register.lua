-- register: law D5, a consumer that was reclaimed is dead for ever.
-- ARGV: consumer, host.

local consumer, host = ARGV[1], ARGV[2]
call('HLEN', CONSUMERS)
if call('ZSCORE', GONE, consumer) then
  return redis.error_reply('GONE consumer ' .. consumer .. ' was reclaimed')
end
call('ZREM', GONE, consumer) -- frees first: a Redis that is full still gets the consumers that empty it
call('HSET', STATE, 'v', LAYOUT)
call('HSET', CONSUMERS, consumer, host)
return 1
