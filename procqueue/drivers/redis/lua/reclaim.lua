-- reclaim: a consumer is declared dead for ever and all that it owned is settled in the same step. Laws D3, D5,
-- D7, D15. Repeated, it finds nothing more to do.
-- ARGV: consumer, then for each settlement its id, ticket, kind, charge, delay, record, owes. What they do not
-- name, or name by another ticket, goes back to the head uncharged.

local consumer, owned, verdicts = ARGV[1], call('HGETALL', OWNED), {}
call('HLEN', CONSUMERS)
call('ZCARD', GONE)
for place = 2, #ARGV, 7 do
  verdicts[ARGV[place]] = place
end

call('HDEL', CONSUMERS, consumer) -- frees first
call('ZADD', GONE, 'NX', text(NOW), consumer)
call('DEL', OWNED)
for i = 1, #owned, 2 do
  local id, ticket = owned[i], owned[i + 1]
  local place = verdicts[id]
  if place and ARGV[place + 1] == ticket then
    settle(unpack(ARGV, place, place + 6))
  else
    settle(id, ticket, RETURN, 0, 0, '', '')
  end
end
finish()
keep_count()
wake()
return #owned / 2
