-- What each process has been answered, by a count that only its own calls move on. Whatever others do after the store has gone
-- back, the count of one that was told more stays behind what that process knows.
--
-- An answer is counted where something was written since the last one that was: by this step, or by others before it. So a store
-- in which nothing happens writes nothing, and one that has gone back to before an answer has a lower count.

-- A process that calls at all is seen so often, and forgotten when it was not seen for so long; so many are forgotten where one
-- is new.
step.CALLER_SEEN_EVERY_MS = 60 * 60 * 1000
step.CALLERS_KEPT_MS = 14 * 24 * 60 * 60 * 1000
step.CALLERS_FORGOTTEN_MAX = 128

function step.load_caller()
  local row = redis.call('HGET', step.key('callers'), ARGV[4])
  step.is_new_caller = not row
  local answers, steps, seen_at = string.match(row or '0 -1 0', '^(%d+) (%S+) (%d+)$')
  step.answers, step.answered_steps, step.caller_seen_at = tonumber(answers), tonumber(steps), tonumber(seen_at)
end

function step.forget_callers()
  local before = step.text(step.now - step.CALLERS_KEPT_MS)
  local gone = redis.call('ZRANGEBYSCORE', step.key('seen'), '-inf', '(' .. before, 'LIMIT', 0, step.CALLERS_FORGOTTEN_MAX)
  step.call_all('HDEL', 'callers', gone)
  step.call_all('ZREM', 'seen', gone)
end

-- The number of the answer, or 0 for one that is not counted. Who only asks for the number of the last change makes nothing of
-- it before another call: that answer need not be counted.
function step.count_answer()
  local is_news = ARGV[1] ~= 'version' and step.answered_steps ~= step.steps
  local is_due = step.caller_seen_at < step.now - step.CALLER_SEEN_EVERY_MS
  if ARGV[1] == 'open' or not is_news and not is_due then return 0 end
  local row = step.text(step.answers + 1) .. ' ' .. step.text(step.steps) .. ' ' .. step.present
  -- Where memory is full, what only reads is answered all the same.
  local told = redis.pcall('HSET', step.key('callers'), ARGV[4], row)
  if type(told) == 'table' and told.err then
    -- A server that is no primary any more does not answer at all.
    if string.find(told.err, 'READONLY', 1, true) then redis.call('HSET', step.key('callers'), ARGV[4], row) end
    return 0
  end
  if is_due then redis.call('ZADD', step.key('seen'), step.present, ARGV[4]) end
  if step.is_new_caller then step.forget_callers() end
  return step.answers + 1
end
