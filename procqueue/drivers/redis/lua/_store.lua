-- Storing new messages, for push, inbox and push_tick: laws D2, D3, D8. A message is prepared (nothing is written),
-- then all that were prepared are stored at once. Preparing looks at those keys that this message needs, and at no
-- others: most messages ask for nothing, and a look costs as much as a write.

local seq = tonumber(known[2] or 0)
local bodies, now, later, ranked, keep, fresh = {}, {}, {}, {}, {}, {}
local special, holds, replaced = {}, {}, {} -- traits, keys and ids, what gives way
local wakes -- true if the marker is to be set: there is none, and what is stored here could be reserved now

local function take_out(list, width, at, value)
  for i = 1, #list, width do
    if list[i + at] == value then
      for _ = 1, width do
        table.remove(list, i)
      end
      return
    end
  end
end

-- True if the message makes room for another of its key: it waits, is delayed, or is of this very chunk.
local function gives_way(id)
  if fresh[id] then
    local value
    for i = 1, #bodies, 2 do
      value = bodies[i] == id and bodies[i + 1] or value
    end
    take_out(bodies, 2, 0, id)
    take_out(now, 1, 0, id)
    take_out(later, 2, 1, member(id, value))
    take_out(ranked, 2, 1, member(id, value))
    take_out(special, 2, 0, id)
    take_out(keep, 2, 1, id)
    return true
  end
  local value = call('HGET', BODIES, id)
  local rank, _, _, place = traits(id)
  if not value then
    return false
  elseif call('ZSCORE', DELAYED, member(id, value)) then
    replaced[#replaced + 1] = { DELAYED, member(id, value), id }
  elseif rank and rank ~= '0' and call('ZSCORE', RANKED, place .. ':' .. id) then
    replaced[#replaced + 1] = { RANKED, place .. ':' .. id, id }
  elseif call('LPOS', WAITING, id, 'RANK', -1) then -- the newest are found soonest
    replaced[#replaced + 1] = { WAITING, id, id }
  else
    return false
  end
  call('HLEN', META)
  call('HLEN', HISTORY)
  return true
end

-- 1 if it is to be stored; 0 if a message of that id exists, or the id is remembered; the id of the message that
-- has its key. `at` wins over `delay`; all times are ms. `more` is "", or for how many ms the id is remembered,
-- priority, expires, until ("done", "begun" or ms), 1 for replace, and the key.
local function prepare(id, body, delay, at, more)
  if fresh[id] or call('HEXISTS', BODIES, id) == 1 then
    return 0
  elseif remembered > 0 and tonumber(call('ZSCORE', REMEMBERED, id) or 0) > NOW then
    return 0
  end
  local kept, rank, expires, till, replace, key = '0', '0', '0', 'done', '0', ''
  if more ~= '' then
    kept, rank, expires, till, replace, key = string.match(more, '^(%d+) (%S+) (%d+) (%S+) (%d) (.*)$')
    local other = key ~= '' and (holds[key] or holder(key))
    if other and (replace == '0' or not gives_way(other)) then
      return other
    end
  end
  fresh[id] = true
  seq = math.max(seq + 1, NOW_US)
  local place = string.format('%014x', seq)
  local value = place .. body
  bodies[#bodies + 1] = id
  bodies[#bodies + 1] = value
  local due = tonumber(at) or NOW + tonumber(delay)
  if due > NOW then
    call('ZCARD', DELAYED)
    later[#later + 1] = text(due)
    later[#later + 1] = member(id, value)
  elseif rank ~= '0' then
    ranked[#ranked + 1] = text(-tonumber(rank))
    ranked[#ranked + 1] = member(id, value)
  else
    now[#now + 1] = id
  end
  if due <= NOW and wakes == nil then
    call('LLEN', WAITING)
    wakes = call('ZCARD', WAKE) == 0 and places() > 0
  end
  if kept ~= '0' then
    keep[#keep + 1] = '-' .. kept
    keep[#keep + 1] = id
  end
  if key ~= '' then
    holds[key] = id
    if tonumber(till) then
      take_out(keep, 2, 1, '!' .. key)
      keep[#keep + 1] = text(NOW + tonumber(till))
      keep[#keep + 1] = '!' .. key
    end
  end
  if rank ~= '0' or expires ~= '0' or key ~= '' then
    special[#special + 1] = id
    special[#special + 1] =
      pack_traits(rank, expires == '0' and '0' or text(NOW + tonumber(expires)), till, place, key)
  end
  return 1
end

-- Its first write grows, so that a push is refused as a whole by a Redis that is full.
local function store()
  if #bodies == 0 then
    return
  end
  call('HSET', STATE, 'v', LAYOUT, 'seq', text(seq))
  for _, old in ipairs(replaced) do
    if old[1] == WAITING then
      call('LREM', WAITING, -1, old[2])
    else
      call('ZREM', old[1], old[2])
    end
    drop({ old[3] })
  end
  call('HSET', BODIES, unpack(bodies))
  for key, id in pairs(holds) do
    lock(key, id)
  end
  if #keep > 0 then
    call('ZADD', REMEMBERED, unpack(keep))
  end
  if #special > 0 then
    call('HSET', TRAITS, unpack(special))
  end
  if #later > 0 then
    call('ZADD', DELAYED, unpack(later))
  end
  if #ranked > 0 then
    call('ZADD', RANKED, unpack(ranked))
  end
  if #now > 0 then
    call('RPUSH', WAITING, unpack(now))
  end
  if wakes and #now + #ranked > 0 then
    call('ZADD', WAKE, 0, '1')
  end
end
