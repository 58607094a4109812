-- counts: how many messages stand where. Law D3.
-- Answers inbox, waiting, delayed, reserved, timeout, failed, notices, and how many have expired so far.

local delayed, timeout, failed = call('ZCARD', DELAYED), call('ZCARD', TIMEOUT), call('ZCARD', FAILED)
local notices = call('LLEN', NOTICES) + noticed
return { call('LLEN', INBOX), waiting(), delayed, reserved(), timeout, failed, notices,
  tonumber(call('HGET', STATE, 'expired') or 0) }
