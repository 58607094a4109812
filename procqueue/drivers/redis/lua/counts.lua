-- counts: how many messages stand where. Law D3: what has a body and stands nowhere else is reserved.
-- Answers inbox, waiting, delayed, reserved, timeout, failed, notices, and how many have expired so far.

local waiting, delayed = call('LLEN', WAITING) + call('ZCARD', RANKED), call('ZCARD', DELAYED)
local timeout, failed = call('ZCARD', TIMEOUT), call('ZCARD', FAILED)
local notices = call('LLEN', NOTICES) + (tonumber(known[4] or 0) or 0)
local reserved = call('HLEN', BODIES) - waiting - delayed - timeout - failed - notices
return { call('LLEN', INBOX), waiting, delayed, math.max(0, reserved), timeout, failed, notices,
  tonumber(call('HGET', STATE, 'expired') or 0) }
