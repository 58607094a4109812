-- push: laws D1 (all or none), D2 (equal messages stay two; an id exists once), D8, D10 (a repeat is stored once:
-- of a session only the next chunk is taken).
-- ARGV: session or "", number of the chunk, 1 if it comes from a handler; for each message its id, its body, its delay in ms, "at" in ms or "",
-- and what else it asks for (_store.lua) or "".
-- Answers 1 for each that was stored, 0 for each whose id exists, the id that has its key for each whose key is
-- taken, 2 for each of a chunk that is stored already;
-- or, where the chunk is not the next, the number of the last, -1 if the session is not known;
-- or -2 where the gate is closed: after what is said of repeats, for those of before were stored.

local session, number, answers = ARGV[1], tonumber(ARGV[2]), {}
local last, used, doubles = 0, nil, ''
call('ZCARD', USES)
if session ~= '' then
  local value = call('HGET', SESSIONS, session)
  if value then
    last, used, doubles = string.match(value, '^(%d+) (%d+)(.*)$')
    last, used = tonumber(last), tonumber(used)
  end
  if number > last + 1 then
    return value and last or -1
  elseif number <= last then
    for i = 4, #ARGV, 5 do
      answers[#answers + 1] = 2
    end
    for place, id in string.gmatch(number == last and doubles or '', ' (%d+):?(%S*)') do
      answers[tonumber(place)] = id ~= '' and id or 0
    end
    return answers
  end
end

local switch = gate()
if switch == 'closed' or switch == 'draining' and ARGV[3] == '0' then
  return -2
end

doubles = ''
for i = 4, #ARGV, 5 do
  local place = #answers + 1
  local answer = prepare(unpack(ARGV, i, i + 4))
  answers[place] = answer
  if answer ~= 1 then
    doubles = doubles .. ' ' .. place .. (answer ~= 0 and ':' .. answer or '')
  end
end
store()
if session ~= '' then
  local is_noted = used and NOW - used < SESSION_NOTED
  call('HDEL', SESSIONS, '') -- as a first write it lets a Redis that is full answer a duplicate
  call('HSET', SESSIONS, session, ARGV[2] .. ' ' .. text(is_noted and used or NOW) .. doubles)
  if not is_noted then
    call('ZADD', USES, text(NOW), session)
    forget_sessions(2) -- quicker than they come
  end
end
forget_ids(#keep)
return answers
