-- Begins every verb: the names of a queue's keys, law D16 (a newer layout is refused before anything else),
-- and law D9 (the server's clock). Constants are set in front of it by scripts.py.
-- What every verb keeps (law D1): first it reads, each key with a command of its type, so that whatever can
-- fail has failed; then it writes, and nothing of that can. The first write frees memory (push excepted):
-- a Redis that is full asks only at the first write of a script.

local call = redis.call
local STATE, CONSUMERS, GONE, HOSTS, BODIES, META, HISTORY, WAITING, DELAYED, FAILED, TIMEOUT, NOTICES, WAKE, INBOX =
  unpack(KEYS, 1, 14)
local SESSIONS, USES, REMEMBERED, CRONS, CANCELLED = unpack(KEYS, 15, 19)
local OWNED = KEYS[FIXED_KEYS + 1] -- of the consumer in question

local known = call('HMGET', STATE, 'v', 'seq', 'ticket', 'noticed', 'paused', 'max_running')
if known[1] and (tonumber(known[1]) or 1e9) > LAYOUT then
  return redis.error_reply('NEWER layout ' .. known[1] .. ' is stored, this procqueue knows ' .. LAYOUT)
end

local clock = call('TIME')
local NOW_US = clock[1] * 1000000 + clock[2]
local NOW = math.floor(NOW_US / 1000)

local remembered = call('ZCARD', REMEMBERED)

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

-- Since when the queue is paused, and until when (0: until resumed); nil if it is not, or not any more.
local function pause()
  local since, till = string.match(known[5] or '', '^(%d+) (%d+)$')
  if since and (till == '0' or tonumber(till) > NOW) then
    return tonumber(since), tonumber(till)
  end
  return nil
end

-- What has a body and stands nowhere else is reserved (law D3).
local noticed = tonumber(known[4] or 0) or 0 -- how many notices are owned
local function reserved()
  local stand = call('LLEN', WAITING) + call('ZCARD', DELAYED) + call('ZCARD', TIMEOUT) + call('ZCARD', FAILED)
  return math.max(0, call('HLEN', BODIES) - stand - call('LLEN', NOTICES) - noticed)
end

-- How many messages may be reserved now: max_running is counted here, over all consumers and hosts.
local LIMIT = tonumber(known[6] or 0) or 0
local function places()
  return pause() and 0 or LIMIT > 0 and math.max(0, LIMIT - reserved()) or math.huge
end
if LIMIT > 0 then
  reserved() -- each key is of its type, or nothing is written
end

-- One marker, however often it is set: the consumer that pops it looks, and sets it again if more is there that
-- it may be given; else those that wait would wake one another for ever.
local function wake()
  if call('ZCARD', WAKE) == 0 and (call('LLEN', NOTICES) > 0 or call('LLEN', WAITING) > 0 and places() > 0) then
    call('ZREM', WAKE, '') -- as a first write it lets a Redis that is full take the next
    call('ZADD', WAKE, 0, '1')
  end
end

-- What goes is gone, but for ids that are to be remembered: from now on until their time is over (D10).
local function drop(ids)
  call('HDEL', BODIES, unpack(ids))
  call('HDEL', META, unpack(ids))
  call('HDEL', HISTORY, unpack(ids))
  for i = 1, remembered > 0 and #ids or 0 do
    local keep = tonumber(call('ZSCORE', REMEMBERED, ids[i]) or 0)
    if keep < 0 then
      call('ZADD', REMEMBERED, text(NOW - keep), ids[i])
    end
  end
end
