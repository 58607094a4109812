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
  for _, id in ipairs(found) do
    local rank, _, till, place, key = traits(id)
    if rank then -- it was begun, so it does not expire any more; and it has its key again, if that is free
      call('HSET', TRAITS, id, pack_traits(rank, '0', till, place, key))
      if key ~= '' and not tonumber(till) and not holder(key) then
        lock(key, id)
      end
    end
    stand(id)
  end
  wake()
end
return found
