-- peek: reads the head of the inbox without taking anything, in bites that stay near a limit of bytes. Nothing
-- while the gate is closed: it stays there.
-- ARGV: how many at most, how many bytes.

local found, room = {}, tonumber(ARGV[2])
if gate() == 'closed' then
  return found
end
while #found < tonumber(ARGV[1]) and room > 0 do
  local bite = call('LRANGE', INBOX, #found, math.min(#found + 16, tonumber(ARGV[1])) - 1)
  if #bite == 0 then
    break
  end
  for _, raw in ipairs(bite) do
    if #found > 0 and #raw > room then
      return found
    end
    found[#found + 1] = raw
    room = room - #raw
  end
end
return found
