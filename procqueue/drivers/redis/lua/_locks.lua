-- Unique keys, for push, inbox and retry. The lock is the message itself: LOCKS says which one has a key, and
-- whatever ends its time (drop, settle, turn) takes the entry out. Where a key stays taken for a time whatever
-- becomes of its message, REMEMBERED has it, behind a "!", which begins no id.

-- The id that has the key; nil if nobody has.
local function holder(key)
  local id = call('HGET', LOCKS, key)
  local till = id and remembered > 0 and tonumber(call('ZSCORE', REMEMBERED, '!' .. key) or nil)
  if till then
    return till > NOW and id or nil
  end
  return id and call('HEXISTS', BODIES, id) == 1 and id or nil
end

local function lock(key, id)
  if remembered > 0 then
    call('ZREM', REMEMBERED, '!' .. key) -- of one whose time is over
  end
  call('HSET', LOCKS, key, id)
end
