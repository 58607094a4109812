-- resume: messages are handed out again; a consumer is woken if there are any. Answers 1 if it was paused.

local was = pause()
call('ZCARD', WAKE)
call('LLEN', WAITING)
call('LLEN', NOTICES)
if known[5] then
  call('HDEL', STATE, 'paused')
  known[5] = false
  wake()
end
return was and 1 or 0
