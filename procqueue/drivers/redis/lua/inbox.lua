-- inbox: takes in one document of a foreign producer. Whoever removes it from the inbox decides it, so that of
-- two schedulers only one pushes. Laws D1, D2, D12.
-- ARGV: the document, id, body, delay, at; the record of an unreadable one, else "".
-- Answers 1 stored, 0 dropped because the id exists, -1 somebody else took it, or the gate is closed.

local raw, id, body, delay, at, record = unpack(ARGV)
call('HLEN', HISTORY)
call('ZCARD', FAILED)
local is_new = prepare(id, body, delay, at, '0')
if gate() == 'closed' or call('LREM', INBOX, 1, raw) == 0 then
  return -1
elseif not is_new then
  return 0
elseif record == '' then
  store()
  return 1
end
call('HSET', STATE, 'v', LAYOUT, 'seq', text(seq))
call('HSET', BODIES, unpack(bodies))
call('HSET', HISTORY, id, record .. '\n')
call('ZADD', FAILED, text(NOW), id)
return 1
