-- What each process has been answered, by a count that only its own calls move on. Whatever others do after the store has gone
-- back, the count of one that was told more stays behind what that process knows.
--
-- An answer is counted where something was written since the last one that was: by this step, or by others before it. So a store
-- in which nothing happens writes nothing, and one that has gone back to before an answer has a lower count.

-- A process that calls at all is seen so often, and forgotten when it was not seen for so long.
step.CALLER_SEEN_EVERY_MS = 60 * 60 * 1000
step.CALLERS_KEPT_MS = 14 * 24 * 60 * 60 * 1000
-- Each time that there are so many more, those are looked for that are to be forgotten.
step.CALLERS_CHECKED_EVERY = 64

function step.load_caller()
  local row = redis.call('HGET', step.key('callers'), ARGV[4])
  step.is_new_caller = not row
  local answers, steps, seen_at = string.match(row or '0 -1 0', '^(%d+) (%S+) (%d+)$')
  step.answers, step.answered_steps, step.caller_seen_at = tonumber(answers), tonumber(steps), tonumber(seen_at)
end

function step.forget_callers()
  if redis.call('HLEN', step.key('callers')) % step.CALLERS_CHECKED_EVERY ~= 0 then return end
  local rows, gone = redis.call('HGETALL', step.key('callers')), {}
  for at = 1, #rows, 2 do
    local seen_at = tonumber(string.match(rows[at + 1], '(%d+)$'))
    if seen_at < step.now - step.CALLERS_KEPT_MS then gone[#gone + 1] = rows[at] end
  end
  step.call_all('HDEL', 'callers', gone)
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
  if type(told) == 'table' and told.err then return 0 end
  if step.is_new_caller then step.forget_callers() end
  return step.answers + 1
end
