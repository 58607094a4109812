-- look: shows stored messages of one state in the order in which they would leave it.
-- ARGV: state, behind what ('' from the head, else what the last page answered), how many to leave out, how
-- many, how many bytes. KEYS behind the fixed ones: OWNED of every consumer.
-- Answers the clock in ms, what the next page comes behind ('' if this was the last), then for each message id,
-- value, counters, due, history, ended.
-- A page comes behind an entry, not at a place: what leaves or comes meanwhile shifts nothing.

local state, behind, skip, count, room = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

-- As Redis orders members: by bytes (in Lua `<` follows the server's locale).
local function is_behind(one, other)
  for at = 1, math.min(#one, #other) do
    local left, right = string.byte(one, at), string.byte(other, at)
    if left ~= right then
      return left > right
    end
  end
  return #one > #other
end

-- The rank of the first behind a score and member, of which the member may have left.
local function rank_behind(list, score, id)
  local low = call('ZCOUNT', list, '-inf', '(' .. score)
  local high = call('ZCOUNT', list, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_behind(call('ZRANGE', list, middle, middle)[1], id) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- The place behind an id that was found at `place`: it is there still, or nearer to the head. If it was handled,
-- all in front of it were.
local function place_behind(place, id)
  if call('LINDEX', WAITING, place) == id then
    return place + 1
  end
  return (call('LPOS', WAITING, id) or -1) + 1
end

local ids, marks, entries = {}, {}, {} -- marks: score or ticket or place of each; entries: where that is no id's
local first, last
if behind ~= '' then
  first, last = string.match(behind, '^(%d+) (.*)$')
end
if state == 'waiting' then
  -- All that waits stands in one row: what is ranked above 0, the list, what is ranked below.
  local before, middle = call('ZCOUNT', RANKED, '-inf', '(0'), call('LLEN', WAITING)
  local at = first and before + place_behind(tonumber(first), last) or skip
  local score, place = string.match(behind, '^r(%-?%d+) (.*)$')
  if score then
    at = rank_behind(RANKED, score, place) + (tonumber(score) > 0 and middle or 0)
  end
  local function ranked(from, till)
    local found = from < till and call('ZRANGE', RANKED, from, till - 1, 'WITHSCORES') or {}
    for i = 1, #found, 2 do
      ids[#ids + 1] = id_of(found[i])
      marks[#ids], entries[#ids] = 'r' .. text(tonumber(found[i + 1])), found[i]
    end
  end
  local till = at + count
  ranked(at, math.min(till, before))
  if at < before + middle and till > before then
    local from = math.max(0, at - before)
    for i, id in ipairs(call('LRANGE', WAITING, from, till - before - 1)) do
      ids[#ids + 1] = id
      marks[#ids] = text(from + i - 1)
    end
  end
  ranked(math.max(at - middle, before), till - middle)
elseif state == 'reserved' then
  local held = {}
  for place = FIXED_KEYS + 1, #KEYS do
    local owned = call('HGETALL', KEYS[place])
    for i = 1, #owned, 2 do
      if not is_notice(owned[i]) and (not first or tonumber(owned[i + 1]) > tonumber(first)) then
        held[#held + 1] = { tonumber(owned[i + 1]), owned[i] }
      end
    end
  end
  table.sort(held, function(one, other)
    return one[1] < other[1]
  end)
  for place = skip + 1, math.min(skip + count, #held) do
    ids[#ids + 1] = held[place][2]
    marks[#ids] = text(held[place][1])
  end
else
  local list = ({ delayed = DELAYED, failed = FAILED, timeout = TIMEOUT })[state]
  local rank = first and rank_behind(list, first, last) or skip
  local found = call('ZRANGE', list, rank, rank + count - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    ids[#ids + 1] = state == 'delayed' and id_of(found[i]) or found[i]
    marks[#ids], entries[#ids] = text(tonumber(found[i + 1])), found[i]
  end
end

local answer = { NOW, '' }
for i, id in ipairs(ids) do
  local value = call('HGET', BODIES, id)
  local history = value and call('HGET', HISTORY, id) or ''
  if value and #answer > 2 and #value + #history > room then
    return answer
  end
  answer[2] = marks[i] .. ' ' .. (entries[i] or id)
  if value then
    room = room - #value - #history
    local due = state == 'delayed' and marks[i]
    local ended = (state == 'failed' or state == 'timeout') and marks[i]
    answer[#answer + 1] = { id, value, call('HGET', META, id), due, history, ended }
  end
end
if #ids < count then
  answer[2] = ''
end
return answer
