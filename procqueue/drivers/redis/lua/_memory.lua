-- What is known beside messages, for push and promote (laws D2, D10). SESSIONS: session → number of its last
-- chunk, ms of a recent use, places of its duplicates. USES: session by that ms. REMEMBERED: id by the ms until
-- which it stays taken; negative while its message exists: for how long after (drop turns it round).

local function over(keys, from, to, most)
  return call('ZRANGEBYSCORE', keys, from, text(to), 'LIMIT', 0, most)
end

local function forget_sessions(most)
  local idle = over(USES, '-inf', NOW - SESSION_KEPT - SESSION_NOTED, most)
  if #idle > 0 then
    call('ZREM', USES, unpack(idle))
    call('HDEL', SESSIONS, unpack(idle))
  end
end

local function forget_ids(most)
  local ids = remembered > 0 and tonumber(most) > 0 and over(REMEMBERED, 0, NOW, most) or {}
  if #ids > 0 then
    call('ZREM', REMEMBERED, unpack(ids))
    for _, id in ipairs(ids) do
      if is_notice(id) then -- no id, but a key that was taken for a time
        call('HDEL', LOCKS, string.sub(id, 2))
      end
    end
  end
end
