-- Begins every verb: the names of a queue's keys, law D16 (a newer layout is refused before anything else),
-- and law D9 (the server's clock). Constants are set in front of it by scripts.py.
-- What every verb keeps (law D1): first it reads, each key with a command of its type, so that whatever can
-- fail has failed; then it writes, and nothing of that can. The first write frees memory (push excepted):
-- a Redis that is full asks only at the first write of a script.

local call = redis.call
local STATE, CONSUMERS, GONE, HOSTS, BODIES, META, HISTORY, WAITING, DELAYED, FAILED, TIMEOUT, NOTICES, WAKE, INBOX =
  unpack(KEYS, 1, 14)
local SESSIONS, USES, REMEMBERED, TRAITS, LOCKS, RANKED, CRONS, CANCELLED = unpack(KEYS, 15, 22)
local OWNED = KEYS[FIXED_KEYS + 1] -- of the consumer in question

local known = call('HMGET', STATE, 'v', 'seq', 'ticket', 'noticed', 'paused', 'gate', 'max_running')
if known[1] and (tonumber(known[1]) or 1e9) > tonumber(LAYOUT) then
  return redis.error_reply('NEWER layout ' .. known[1] .. ' is stored, this procqueue knows ' .. LAYOUT)
end

local clock = call('TIME')
local NOW_US = clock[1] * 1000000 + clock[2]
local NOW = math.floor(NOW_US / 1000)

local remembered = call('ZCARD', REMEMBERED)
--+ what a verb does before it needs the functions below: scripts.py sets it in here
local traited = call('HLEN', TRAITS)
call('ZCARD', RANKED)
if traited > 0 then
  call('HLEN', LOCKS)
end

-- In Lua `..` writes big numbers as 1.79e+15.
local function text(number)
  return string.format('%.0f', number)
end

local function is_notice(id)
  return string.byte(id) == 33 -- "!"
end

-- What a body is stored as: 14 hex digits of its push sequence, then its bytes.
local function member(id, value)
  return string.sub(value, 1, 14) .. ':' .. id
end

local function id_of(delayed_member)
  return string.sub(delayed_member, 16)
end

-- What a message asked for: priority, when it expires (ms, 0: never), until when it keeps its key ("done", "begun",
-- or ms), its place among those of its rank, and the key; nil if it asked for nothing.
local function traits(id)
  local packed = traited > 0 and call('HGET', TRAITS, id)
  if packed then
    return string.match(packed, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
  end
  return nil
end

local function pack_traits(...)
  return table.concat({ ... }, ' ')
end

-- To the tail of what waits: the list, or for those of a priority their rank in RANKED, in the order of places.
local stood = 0
local function stand(id)
  local rank, expires, till, _, key = traits(id)
  if not rank or rank == '0' then
    return call('RPUSH', WAITING, id)
  end
  stood = stood + 1
  local place = string.format('%014x', math.max(tonumber(known[2] or 0), NOW_US) + stood)
  call('HSET', TRAITS, id, pack_traits(rank, expires, till, place, key))
  return call('ZADD', RANKED, text(-tonumber(rank)), place .. ':' .. id)
end

-- The message's time with its key is over, unless that has a time of its own.
local function unlock(id, till, key)
  if till and not tonumber(till) and key ~= '' and call('HGET', LOCKS, key) == id then
    call('HDEL', LOCKS, key)
  end
end

local function unlock_of(id)
  local _, _, till, _, key = traits(id)
  unlock(id, till, key)
end

-- Since when the queue is paused, and until when (0: until resumed); nil if it is not, or not any more.
local function pause()
  local since, till = string.match(known[5] or '', '^(%d+) (%d+)$')
  if since and (till == '0' or tonumber(till) > NOW) then
    return tonumber(since), tonumber(till)
  end
  return nil
end

-- How the gate stands, and since when; nil if it is open and always was.
local function gate()
  local state, since = string.match(known[6] or '', '^(%l+) (%d+)$')
  return state, tonumber(since)
end

local function waiting()
  return call('LLEN', WAITING) + call('ZCARD', RANKED)
end

-- What has a body and stands nowhere else is reserved (law D3).
local noticed = tonumber(known[4] or 0) or 0 -- how many notices are owned
local function reserved()
  local stand = waiting() + call('ZCARD', DELAYED) + call('ZCARD', TIMEOUT) + call('ZCARD', FAILED)
  return math.max(0, call('HLEN', BODIES) - stand - call('LLEN', NOTICES) - noticed)
end

-- How many messages may be reserved now: max_running is counted here, over all consumers and hosts.
local LIMIT = tonumber(known[7] or 0) or 0
local function places()
  return pause() and 0 or LIMIT > 0 and math.max(0, LIMIT - reserved()) or math.huge
end
if LIMIT > 0 then
  reserved() -- each key is of its type, or nothing is written
end

-- One marker, however often it is set: the consumer that pops it looks, and sets it again if more is there that
-- it may be given; else those that wait would wake one another for ever.
local function wake()
  if call('ZCARD', WAKE) == 0 and (call('LLEN', NOTICES) > 0 or waiting() > 0 and places() > 0) then
    call('ZREM', WAKE, '') -- as a first write it lets a Redis that is full take the next
    call('ZADD', WAKE, 0, '1')
  end
end

-- What goes is gone, but for ids that are to be remembered: from now on until their time is over (D10).
local function drop(ids)
  call('HDEL', BODIES, unpack(ids))
  for _, key in ipairs({ META, HISTORY }) do
    if call('HLEN', key) > 0 then -- most have neither, and a hundred ids cost more than a look
      call('HDEL', key, unpack(ids))
    end
  end
  if traited > 0 then
    for _, id in ipairs(ids) do
      unlock_of(id)
    end
    call('HDEL', TRAITS, unpack(ids))
  end
  for i = 1, remembered > 0 and #ids or 0 do
    local keep = tonumber(call('ZSCORE', REMEMBERED, ids[i]) or 0)
    if keep < 0 then
      call('ZADD', REMEMBERED, text(NOW - keep), ids[i])
    end
  end
end
