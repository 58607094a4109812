-- push: laws D1 (all or none), D2 (equal messages stay two; an id exists once), D8, D10.
-- ARGV: for each message its id, its body, its delay in ms, and "at" in ms or "".
-- Answers 1 for each that was stored, 0 for each whose id exists.

local answers = {}
for i = 1, #ARGV, 4 do
  local id, body, delay, at = unpack(ARGV, i, i + 3)
  answers[#answers + 1] = prepare(id, body, delay, at) and 1 or 0
end
store()
return answers
