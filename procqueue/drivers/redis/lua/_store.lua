-- Storing new messages, for push and inbox: laws D2, D3, D8. A message is prepared (nothing is written), then
-- all that were prepared are stored at once.

local seq = tonumber(known[2] or 0)
local bodies, now, later, keep, fresh = {}, {}, {}, {}, {}

call('HLEN', BODIES)
call('LLEN', WAITING)
call('ZCARD', DELAYED)
call('LLEN', NOTICES)
call('ZCARD', WAKE)

-- False if a message of that id exists, or the id is remembered. `at` wins over `delay`; all times are ms.
local function prepare(id, body, delay, at, remember)
  if fresh[id] or call('HEXISTS', BODIES, id) == 1 then
    return false
  elseif remembered > 0 and tonumber(call('ZSCORE', REMEMBERED, id) or 0) > NOW then
    return false
  end
  fresh[id] = true
  seq = math.max(seq + 1, NOW_US)
  local value = string.format('%014x', seq) .. body
  bodies[#bodies + 1] = id
  bodies[#bodies + 1] = value
  local due = tonumber(at) or NOW + tonumber(delay)
  if due > NOW then
    later[#later + 1] = text(due)
    later[#later + 1] = member(id, value)
  else
    now[#now + 1] = id
  end
  if remember ~= '0' then
    keep[#keep + 1] = { '-' .. remember, id }
  end
  return true
end

-- Its first write grows, so that a push is refused as a whole by a Redis that is full.
local function store()
  if #bodies == 0 then
    return
  end
  call('HSET', STATE, 'v', LAYOUT, 'seq', text(seq))
  call('HSET', BODIES, unpack(bodies))
  for _, entry in ipairs(keep) do
    call('ZADD', REMEMBERED, unpack(entry))
  end
  if #later > 0 then
    call('ZADD', DELAYED, unpack(later))
  end
  if #now > 0 then
    call('RPUSH', WAITING, unpack(now))
    wake()
  end
end
