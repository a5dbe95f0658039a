-- The call itself: the number of the last change, if the step has made one, and the answer; which store has answered, and how
-- many steps it has made.
--
-- A store that is another than its caller knows, or has made fewer steps than it had answered, has lost something: it was
-- emptied, or went back to what it was before. So has one that does not know a task which it had made. Nothing is made of it
-- but by who opens it.

local LOST = { -1, '', '', 0 }

if ARGV[3] == '' then
  if ARGV[1] ~= 'open' then return LOST end
elseif not meta[6] or store ~= ARGV[3] or steps < tonumber(ARGV[4]) then
  return LOST
end

local answer = calls[ARGV[1]]()
if not answer then return LOST end
commit()
answer.now = present
return { #changes > 0 and version or 0, cjson.encode(answer), store, steps }
