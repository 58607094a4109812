-- compare: law D13, ownership is compared and not only announced. Laws D3, D5.
-- ARGV: consumer, then the tickets that it holds.
-- Answers how many it did not hold and went back to the head, then the held tickets that it does not own.

local failure = stranger(ARGV[1])
if failure then
  return failure
end

local held, owned, missing = {}, {}, {}
for i = 2, #ARGV do
  held[ARGV[i]] = true
end
local all = call('HGETALL', OWNED)
for i = 1, #all, 2 do
  if held[all[i + 1]] then
    held[all[i + 1]] = nil
  else
    owned[#owned + 1] = all[i]
    owned[#owned + 1] = all[i + 1]
  end
end
for i = 1, #owned, 2 do
  call('HDEL', OWNED, owned[i])
end
return_all(owned)
finish()
keep_count()
wake()

local answer = { #owned / 2 }
for i = 2, #ARGV do
  if held[ARGV[i]] then
    answer[#answer + 1] = ARGV[i]
  end
end
return answer
