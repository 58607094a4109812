-- counts: how many messages stand where. Law D3.
-- Answers inbox, waiting, delayed, reserved, timeout, failed, notices.

local waiting, delayed = call('LLEN', WAITING), call('ZCARD', DELAYED)
local timeout, failed = call('ZCARD', TIMEOUT), call('ZCARD', FAILED)
local notices = call('LLEN', NOTICES) + noticed
return { call('LLEN', INBOX), waiting, delayed, reserved(), timeout, failed, notices }
