-- look: shows stored messages of one state in the order in which they would leave it.
-- ARGV: state, offset, how many, how many bytes. KEYS behind the fixed ones: OWNED of every consumer.
-- Answers how many ids were looked at, then for each message id, value, counters, due, history.

local state, offset, count, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ids, due = {}, {}
if state == 'waiting' then
  local first, middle = call('ZCOUNT', RANKED, '-inf', '(0'), call('LLEN', WAITING)
  local function ranked(from, till)
    for _, found in ipairs(from < till and call('ZRANGE', RANKED, from, till - 1) or {}) do
      ids[#ids + 1] = id_of(found)
    end
  end
  local last = offset + count
  ranked(offset, math.min(last, first))
  if offset < first + middle and last > first then
    for _, id in ipairs(call('LRANGE', WAITING, math.max(0, offset - first), last - first - 1)) do
      ids[#ids + 1] = id
    end
  end
  ranked(math.max(offset - middle, first), last - middle)
elseif state == 'delayed' then
  local found = call('ZRANGE', DELAYED, offset, offset + count - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    ids[#ids + 1] = id_of(found[i])
    due[#ids] = found[i + 1]
  end
elseif state == 'reserved' then
  local held = {}
  for place = FIXED_KEYS + 1, #KEYS do
    local owned = call('HGETALL', KEYS[place])
    for i = 1, #owned, 2 do
      if not is_notice(owned[i]) then
        held[#held + 1] = { tonumber(owned[i + 1]), owned[i] }
      end
    end
  end
  table.sort(held, function(one, other)
    return one[1] < other[1]
  end)
  for place = offset + 1, math.min(offset + count, #held) do
    ids[#ids + 1] = held[place][2]
  end
else
  ids = call('ZRANGE', state == 'failed' and FAILED or TIMEOUT, offset, offset + count - 1)
end

local answer = { 0 }
for i, id in ipairs(ids) do
  local value = call('HGET', BODIES, id)
  if value and #answer > 1 and #value > room then
    break
  end
  answer[1] = i
  if value then
    room = room - #value
    answer[#answer + 1] =
      { id, value, call('HGET', META, id), due[i] or false, call('HGET', HISTORY, id) or '' }
  end
end
return answer
