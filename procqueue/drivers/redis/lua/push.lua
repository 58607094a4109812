-- push: laws D1 (all or none), D2 (equal messages stay two; an id exists once), D8, D10 (a repeat is stored once:
-- of a session only the next chunk is taken). It begins in _plain.lua, which looks at session and gate.
-- ARGV: session or "", number of the chunk, 1 if it comes from a handler; for each message its id, its body, its delay in ms, "at" in ms or "",
-- and what else it asks for (_store.lua) or "".
-- Answers 1 for each that was stored, 0 for each whose id exists, the id that has its key for each whose key is
-- taken, 2 for each of a chunk that is stored already;
-- or, where the chunk is not the next, the number of the last, -1 if the session is not known;
-- or -2 where the gate is closed: after what is said of repeats, for those of before were stored.

doubles = ''
for i = 4, #ARGV, 5 do
  local place = #answers + 1
  local answer = prepare(unpack(ARGV, i, i + 4))
  answers[place] = answer
  if answer ~= 1 then
    doubles = doubles .. ' ' .. place .. (answer ~= 0 and ':' .. answer or '')
  end
end
if session ~= '' and not is_noted then
  call('ZCARD', USES)
end
if session ~= '' and #keep > 0 then
  call('HLEN', LOCKS)
end
store()
if session ~= '' then
  if #bodies == 0 then
    call('HDEL', SESSIONS, '') -- as a first write it lets a Redis that is full answer a duplicate
  end
  call('HSET', SESSIONS, session, ARGV[2] .. ' ' .. text(is_noted and used or NOW) .. doubles)
  if not is_noted then
    call('ZADD', USES, text(NOW), session)
    forget_sessions(2) -- quicker than they come
  end
end
forget_ids(#keep)
return answers
