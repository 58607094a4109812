-- retry: by hand, from failed or timeout to the tail of waiting, with fresh counters. Laws D1, D3.
-- ARGV: state, then ids, each once. Answers those that were found there.

local list, found = ARGV[1] == 'failed' and FAILED or TIMEOUT, {}
call('HLEN', META)
call('LLEN', WAITING)
call('LLEN', NOTICES)
call('ZCARD', WAKE)
for i = 2, #ARGV do
  if call('ZSCORE', list, ARGV[i]) then
    found[#found + 1] = ARGV[i]
  end
end
if #found > 0 then
  call('ZREM', list, unpack(found)) -- frees first
  call('HDEL', META, unpack(found))
  call('RPUSH', WAITING, unpack(found))
  wake()
end
return found
