-- push begins here, in front of the functions that the verbs share: making those takes longer than a push. First the
-- place of the chunk in its session (D10) and the gate, then what almost every push is: new messages that ask for
-- nothing, in a session that was noted lately or in none. Of any other nothing is written here: push.lua goes on.

local session, number, answers = ARGV[1], tonumber(ARGV[2]), {}
local last, used, doubles = 0, nil, ''
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

local switch = string.match(known[6] or '', '^%l+')
if switch == 'closed' or switch == 'draining' and ARGV[3] == '0' then
  return -2
end

local is_noted = used and NOW - used < SESSION_NOTED
local is_plain = (is_noted or session == '') and #ARGV > 3
is_plain = is_plain and remembered == 0 and not known[5] and (known[7] or '0') == '0'
if is_plain then
  local seq, ids, values, seen = tonumber(known[2] or 0), {}, {}, {}
  for i = 4, #ARGV, 5 do
    local id, body, delay, due, more = unpack(ARGV, i, i + 4)
    if seen[id] or delay ~= '0' or due ~= '' or more ~= '' or call('HEXISTS', BODIES, id) == 1 then
      is_plain = false
      break
    end
    seq = math.max(seq + 1, NOW_US)
    seen[id], ids[#ids + 1], answers[#answers + 1] = true, id, 1
    values[#values + 1] = id
    values[#values + 1] = string.format('%014x', seq) .. body
  end
  if is_plain then
    local wakes = call('ZCARD', WAKE) == 0
    call('RPUSH', WAITING, unpack(ids)) -- refused if WAITING is no list or Redis is full, before anything is written
    call('HSET', STATE, 'v', LAYOUT, 'seq', string.format('%.0f', seq))
    call('HSET', BODIES, unpack(values))
    if session ~= '' then
      call('HSET', SESSIONS, session, ARGV[2] .. ' ' .. string.format('%.0f', used))
    end
    if wakes then
      call('ZADD', WAKE, 0, '1')
    end
    return answers
  end
  answers = {}
end
