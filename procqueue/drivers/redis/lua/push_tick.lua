-- push_tick: a tick of a cron is taken once, however many hosts see it: only one that is newer than the last, and
-- its message is stored in the same step. Laws D1, D2. CRONS: cron → "ms of its last tick, id of the last message
-- that it pushed (or -), schedule".
-- ARGV: cron, ms of the tick, schedule, 1 if nothing is pushed while the last message is still to be handled; then
-- id and body, unless the tick is only to be noted.
-- Answers 0 known already, 1 done, 2 skipped for the last message, 3 the id exists, 4 the gate is not open: then
-- nothing is noted.

local cron, tick, schedule, alone, id, body = unpack(ARGV)
local last, former = string.match(call('HGET', CRONS, cron) or '', '^(%d+) (%S+) ')
former = former or '-'
call('ZCARD', FAILED)
call('ZCARD', TIMEOUT)
if last and tonumber(last) >= tonumber(tick) then
  return 0
elseif body and (gate() or 'open') ~= 'open' then
  return 4
end

local answer = 1
local ended = call('ZSCORE', FAILED, former) or call('ZSCORE', TIMEOUT, former)
if body and alone == '1' and call('HEXISTS', BODIES, former) == 1 and not ended then
  answer = 2
elseif body and prepare(id, body, '0', '', '') ~= 1 then
  answer = 3
elseif body then
  former = id
  store()
end
call('HDEL', CRONS, cron) -- frees first, where nothing is pushed
call('HSET', STATE, 'v', LAYOUT)
call('HSET', CRONS, cron, tick .. ' ' .. former .. ' ' .. schedule)
return answer
