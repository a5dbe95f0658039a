-- The call itself: the number of the last change, if the step has made one, and the answer; which store has answered, and the
-- number of this answer among those that its caller has got; what travels beside the answer.
--
-- A store that is another than its caller knows, or does not know an answer that its caller has got, has lost something: it was
-- emptied, or went back to what it was before. So has one that does not know a task which it had made. Nothing is made of it
-- but by who opens it.

local LOST = { -1, '', '', 0, {} }

step.load_caller()
if ARGV[3] == '' then
  if ARGV[1] ~= 'open' then return LOST end
elseif not step.meta[6] or step.store ~= ARGV[3] or step.answers < tonumber(ARGV[5]) then
  -- A replica that is behind, as a primary becomes in a failover, has lost nothing: it refuses this.
  redis.call('HDEL', step.key('callers'), '')
  return LOST
end

step.answer = calls[ARGV[1]]()
if not step.answer then return LOST end
step.commit()
step.answer.now = step.present
return { #step.changes > 0 and step.version or 0, cjson.encode(step.answer), step.store, step.count_answer(), step.texts }
