-- pause: from now on no message of the queue is handed out; notices still are (D15). Paused already: the end
-- changes, the beginning stays.
-- ARGV: for how many ms, 0: until it is resumed. Answers since when, and until when (0: until resumed).

local since, till = pause() or NOW, tonumber(ARGV[1])
till = till > 0 and NOW + till or 0
call('HDEL', STATE, 'paused') -- frees first: also the consumers of a Redis that is full can be paused
call('HSET', STATE, 'v', LAYOUT, 'paused', text(since) .. ' ' .. text(till))
return { since, till }
