-- Finding one message by its id, for find and forget: law D3 says that it is in one place only, so what is
-- nowhere else is reserved. LPOS walks the list: these are verbs of people, never of the path of messages.

call('LLEN', WAITING)
call('ZCARD', DELAYED)
call('ZCARD', FAILED)
call('ZCARD', TIMEOUT)
call('HLEN', META)
call('HLEN', HISTORY)

-- Its state and value, when it is due if delayed, since when it is there if failed or parked, its member of RANKED
-- if it is there; nil if not stored.
local function find(id)
  local value = not is_notice(id) and call('HGET', BODIES, id)
  if not value then
    return nil
  end
  local due = call('ZSCORE', DELAYED, member(id, value))
  if due then
    return 'delayed', value, due
  end
  local failed = call('ZSCORE', FAILED, id)
  local parked = not failed and call('ZSCORE', TIMEOUT, id)
  if failed or parked then
    return failed and 'failed' or 'timeout', value, false, failed or parked
  end
  local rank, _, _, place = traits(id)
  if rank and rank ~= '0' and call('ZSCORE', RANKED, place .. ':' .. id) then
    return 'waiting', value, false, false, place .. ':' .. id
  elseif call('LPOS', WAITING, id) then
    return 'waiting', value
  end
  return 'reserved', value
end
