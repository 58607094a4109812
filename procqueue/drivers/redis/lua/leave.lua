-- leave: a consumer goes in peace; what it still owns goes back to the head, uncharged. Laws D3, D7.
-- ARGV: consumer.

local owned = call('HGETALL', OWNED)
call('HLEN', CONSUMERS)
call('HDEL', CONSUMERS, ARGV[1]) -- frees first
call('DEL', OWNED)
return_all(owned)
finish()
keep_count()
wake()
return #owned / 2
