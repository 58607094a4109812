-- turn: settles, then reserves, in one step. Laws D1, D3, D4 (only the present owner and ticket), D5, D8, D15.
-- ARGV: consumer, how many to take, how many bytes, 1 if only notices are wanted, how many acks; for each ack its
-- id and ticket; then for each other settlement its id, ticket, kind, charge, delay, record, owes.
-- Answers now, how many are owned, the first new ticket (the others follow it), the tickets that were refused,
-- and of what was taken the ids, the values and the counters.

local consumer, take, room, acks = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local failure = stranger(consumer)
if failure then
  return failure
end

local accepted, refused = {}, {}

-- The places in ARGV of those settlements that are the consumer's to make.
local function own(first, last, width)
  local places, ids = {}, {}
  for place = first, last, width do
    ids[#ids + 1] = ARGV[place]
  end
  local tickets = #ids > 0 and call('HMGET', OWNED, unpack(ids))
  for i, id in ipairs(ids) do
    local place = first + (i - 1) * width
    if tickets[i] == ARGV[place + 1] and not accepted[id] then
      accepted[id] = true
      accepted[#accepted + 1] = id
      places[#places + 1] = place
    else
      refused[#refused + 1] = ARGV[place + 1]
    end
  end
  return places
end

local done = own(6, 5 + 2 * acks, 2)
local others = own(6 + 2 * acks, #ARGV, 7)
if #accepted > 0 then
  call('HDEL', OWNED, unpack(accepted)) -- frees first
  local notices = noticed > 0
  for i, place in ipairs(done) do
    done[i] = ARGV[place]
    noticed = noticed - (notices and is_notice(done[i]) and 1 or 0)
  end
  if #done > 0 then
    drop(done)
    if cancelled > 0 then
      call('HDEL', CANCELLED, unpack(done))
    end
  end
  for _, place in ipairs(others) do
    settle(unpack(ARGV, place, place + 6))
  end
  finish()
end

local ticket = math.max(tonumber(known[3] or 0) + 1, NOW_US)
local taken, values, owned, lapsed = {}, {}, {}, {}

local function of_list(list)
  return function(count)
    local ids = call('LRANGE', list, 0, count - 1)
    return ids, ids
  end, function(_, count)
    call('LPOP', list, count)
  end
end

local function of_ranks(from, till)
  return function(count)
    local ids, members = {}, call('ZRANGEBYSCORE', RANKED, from, till, 'LIMIT', 0, count)
    for i, found in ipairs(members) do
      ids[i] = id_of(found)
    end
    return ids, members
  end, function(members, count)
    call('ZREM', RANKED, unpack(members, 1, count))
  end
end

-- True if it has waited for too long; else it has begun, and a key that it has until then is free.
local function is_late(id, value)
  local _, expires, till, _, key = traits(id)
  if not expires then
    return false
  elseif expires ~= '0' and tonumber(expires) <= NOW and call('HEXISTS', META, id) == 0 then
    lapsed[#lapsed + 1] = { id, value }
    return true
  end
  unlock(id, till == 'begun' and till, key)
  return false
end

-- First a bite of 16, then all if they would fit were they as large: so large bodies beyond `room` are hardly ever
-- read. An id without a body is skipped.
local function reserve(look, remove)
  local bite, before, space = 16, #taken, room
  for _ = 1, 7 do
    local ids, members = {}, {}
    if #taken < take then
      ids, members = look(math.min(take - #taken, bite))
    end
    if #ids == 0 then
      return
    end
    for i, value in ipairs(call('HMGET', BODIES, unpack(ids))) do
      if value and #taken > 0 and #value - 14 > room then
        take = 0
        if i > 1 then
          remove(members, i - 1)
        end
        return
      elseif value and not (traited > 0 and is_late(ids[i], value)) then
        owned[#owned + 1] = ids[i]
        owned[#owned + 1] = text(ticket + #taken)
        taken[#taken + 1] = ids[i]
        values[#values + 1] = value
        room = room - #value + 14
      end
    end
    remove(members, #ids)
    bite = math.max(bite, math.floor((#taken - before) * room / math.max(1, space - room)))
  end
end

reserve(of_list(NOTICES))
noticed = noticed + #taken
if ARGV[4] == '0' then
  take = math.min(take, #taken + places())
  local has_ranks = call('ZCARD', RANKED) > 0
  if has_ranks then
    reserve(of_ranks('-inf', '(0'))
  end
  reserve(of_list(WAITING))
  if has_ranks then
    reserve(of_ranks('(0', '+inf'))
  end
end

-- What has expired is gone; a notice of it stays, in the same step (D15).
if #lapsed > 0 then
  for _, one in ipairs(lapsed) do
    local notice = '!' .. one[1] .. ':' .. text(NOW_US)
    call('HSET', BODIES, notice, string.sub(one[2], 1, 14) .. EXPIRED .. '\n' .. string.sub(one[2], 15))
    call('RPUSH', NOTICES, notice)
    drop({ one[1] })
  end
  trim_notices()
  local before = tonumber(call('HGET', STATE, 'expired') or 0)
  call('HSET', STATE, 'v', LAYOUT, 'expired', text(before + #lapsed))
end
if #taken > 0 then
  call('HSET', OWNED, unpack(owned))
  call('HSET', STATE, 'v', LAYOUT, 'ticket', text(ticket + #taken - 1))
end
keep_count()
wake()
local counters = #taken > 0 and call('HLEN', META) > 0 and call('HMGET', META, unpack(taken)) or {}
return { NOW, call('HLEN', OWNED), ticket, refused, taken, values, counters }
