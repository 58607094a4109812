-- owned: what one consumer owns, with what its fate depends on. Law D7.
-- Answers the ids, the tickets and the counters.

local all, ids, tickets = call('HGETALL', OWNED), {}, {}
for i = 1, #all, 2 do
  ids[#ids + 1], tickets[#tickets + 1] = all[i], all[i + 1]
end
return { ids, tickets, #ids > 0 and call('HMGET', META, unpack(ids)) or {} }
