-- Carrying out verdicts, for turn, compare, leave, reclaim and cancel: laws D3, D4, D15. The caller has checked the
-- owner and has taken the ids out of OWNED; nothing from here on can fail.

local ACK, RETURN, RELEASE, FAIL, PARK = 1, 2, 3, 4, 5 -- verdict.Kind
local returned = {}

if OWNED then
  call('HLEN', OWNED)
end
call('HLEN', BODIES)
call('HLEN', META)
call('HLEN', HISTORY)
call('LLEN', WAITING)
call('ZCARD', DELAYED)
call('ZCARD', FAILED)
call('ZCARD', TIMEOUT)
call('LLEN', NOTICES)
call('ZCARD', WAKE)
local cancelled = call('HLEN', CANCELLED) -- how many of the reserved are to go whatever their verdict

-- An error reply if the consumer is not known, else nil. Law D5. That of a buried host is gone although it is
-- known: it has yet to be reclaimed.
local function stranger(consumer)
  if call('ZSCORE', GONE, consumer) then
    return redis.error_reply('GONE consumer ' .. consumer .. ' was reclaimed')
  end
  if call('HEXISTS', CONSUMERS, consumer) == 1 then
    return nil
  end
  return redis.error_reply('UNKNOWN consumer ' .. consumer)
end

local function raise_counter(id, place)
  local at = 0
  local packed = string.gsub(call('HGET', META, id) or '0 0 0 0 0', '%d+', function(number)
    at = at + 1
    return at == place and text(number + 1) or nil
  end)
  call('HSET', META, id, packed)
end

local function remember(id, record)
  local lines = (call('HGET', HISTORY, id) or '') .. record .. '\n'
  if #lines > MAX_HISTORY then -- cut behind the first line whose end leaves few enough
    local cut = string.find(lines, '\n', #lines - MAX_HISTORY, true)
    lines = cut < #lines and string.sub(lines, cut + 1) or record .. '\n'
  end
  call('HSET', HISTORY, id, lines)
end

local function owe(id, ticket, header)
  local notice, value = '!' .. id .. ':' .. ticket, call('HGET', BODIES, id)
  call('HSET', BODIES, notice, string.sub(value, 1, 14) .. header .. '\n' .. string.sub(value, 15))
  call('RPUSH', NOTICES, notice)
end

-- For ids that were just taken out of OWNED. `charge` is a place among the counters, 0 is none.
local function settle(id, ticket, kind, charge, delay, record, owes)
  kind, charge, delay = tonumber(kind), tonumber(charge), tonumber(delay)
  if is_notice(id) then
    noticed = noticed - 1
    if kind >= FAIL then
      kind = ACK
    end
  end
  if call('HEXISTS', BODIES, id) == 0 then
    return drop({ id })
  end
  local header = cancelled > 0 and call('HGET', CANCELLED, id)
  if header then
    call('HDEL', CANCELLED, id)
    if kind ~= ACK then
      owe(id, ticket, header)
    end
    return drop({ id })
  end
  if charge > 0 then
    raise_counter(id, charge)
  end
  if record ~= '' then
    remember(id, record)
  end
  if owes ~= '' and not is_notice(id) then
    owe(id, ticket, owes)
  end
  if kind == ACK then
    drop({ id })
  elseif kind == RETURN then
    returned[#returned + 1] = { tonumber(ticket), id }
  elseif kind == FAIL then
    unlock_of(id)
    call('ZADD', FAILED, text(NOW), id)
  elseif kind == PARK then
    unlock_of(id)
    call('ZADD', TIMEOUT, text(NOW), id)
  elseif is_notice(id) then
    call('RPUSH', NOTICES, id)
  elseif delay > 0 then
    call('ZADD', DELAYED, text(NOW + delay), member(id, call('HGET', BODIES, id)))
  else
    stand(id)
  end
end

local function trim_notices()
  while call('LLEN', NOTICES) > MAX_NOTICES do
    drop({ call('LPOP', NOTICES) })
  end
end

-- Ends a row of settlements: what was returned goes to the head, the lowest ticket foremost.
local function finish()
  table.sort(returned, function(one, other)
    return one[1] > other[1]
  end)
  for _, entry in ipairs(returned) do
    local id = entry[2]
    local rank, _, _, place = traits(id)
    if rank and rank ~= '0' then
      call('ZADD', RANKED, text(-tonumber(rank)), place .. ':' .. id)
    else
      call('LPUSH', is_notice(id) and NOTICES or WAITING, id)
    end
  end
  trim_notices()
end

local function return_all(owned)
  for i = 1, #owned, 2 do
    settle(owned[i], owned[i + 1], RETURN, 0, 0, '', '')
  end
end

local function keep_count()
  if text(noticed) ~= (known[4] or '0') then
    call('HSET', STATE, 'v', LAYOUT, 'noticed', text(noticed))
  end
end
