-- inbox: takes in one document of a foreign producer. Whoever removes it from the inbox decides it, so that of
-- two schedulers only one pushes. Laws D1, D2, D12.
-- ARGV: the document, id, body, delay, at, what else it asks for; the record of an unreadable one, else "".
-- Answers 1 stored, 0 dropped because the id exists, the id that has its key if it was dropped for that, -1 somebody else took it, or the gate is closed.

local raw, id, body, delay, at, more, record = unpack(ARGV)
call('HLEN', HISTORY)
call('ZCARD', FAILED)
local answer = prepare(id, body, delay, at, more)
if gate() == 'closed' or call('LREM', INBOX, 1, raw) == 0 then
  return -1
elseif answer ~= 1 then
  return answer
elseif record == '' then
  store()
  return 1
end
call('HSET', STATE, 'v', LAYOUT, 'seq', text(seq))
call('HSET', BODIES, unpack(bodies))
call('HSET', HISTORY, id, record .. '\n')
call('ZADD', FAILED, text(NOW), id)
return 1
