-- raise_tickets: tickets only grow, also where the store has forgotten how far they had come. Law D4.
-- ARGV: the ticket that the next one has to be larger than.

local last = tonumber(ARGV[1])
if last <= tonumber(known[3] or 0) then
  return 0
end
call('HDEL', STATE, 'ticket') -- frees first: a Redis that is full goes on settling
call('HSET', STATE, 'v', LAYOUT, 'ticket', text(last))
return 1
