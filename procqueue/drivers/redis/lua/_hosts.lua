-- Hosts, for register, beat and bury: law D6. HOSTS holds "beat name" of each; a buried one has a tombstone
-- among those of the consumers, under a name that no consumer has.

call('HLEN', CONSUMERS)
call('HLEN', HOSTS)

local function tombstone(host)
  return 'host ' .. host
end

-- An error reply if the host was buried, else nil.
local function buried(host)
  if call('ZSCORE', GONE, tombstone(host)) then
    return redis.error_reply('GONE host ' .. host .. ' was declared dead')
  end
  return nil
end

-- What the host's beat stands at; nil if nobody watches it.
local function beat_of(host)
  local value = call('HGET', HOSTS, host)
  return value and string.match(value, '^%d+')
end
