-- How runs begin and end: who holds them, what is counted of them, what is kept of them.

step.FAILURES = { failed = true, timed_out = true, abandoned = true }

-- The pause of the task itself, whatever holds for all tasks.
function step.own_pause(task)
  if task.paused then return task.paused end
  if task.disabled and not task.resumed then return { since = task.disabled } end
end

function step.pause_of(task)
  return step.own_pause(task) or step.pause_of_all
end

function step.is_exhausted(task)
  return task.max_runs and task.runs >= task.max_runs
end

function step.is_full(task)
  return task.alive_max and task.begun + step.queued(task) >= task.alive_max
end

function step.has_room(task)
  return not task.alive_max or task.begun < task.alive_max
end

function step.held_by(node)
  local of = step.holdings[node]
  if not of then
    of = {}
    step.holdings[node] = of
  end
  step.held_changed[node] = true
  return of
end

-- The token under which a run is held next, a text. It is not before the present, so that none that was given and then lost is
-- given again. One that an older program has given is a number, and nobody but that program asks for it.
function step.next_token(run)
  local after = tonumber(run.token or 0) + 1
  return after > step.now and step.text(after) or step.present
end

function step.hold(id, run, node)
  local task = step.tasks[run.task]
  run.holder = node
  step.held_by(node)[run.task .. ':' .. id] = true
  step.given_to[node] = true
  if task.group then
    step.group_of(task.group).held = step.group_of(task.group).held + 1
    step.groups_touched[task.group] = true
  end
  step.tasks_changed[run.task] = true
end

-- Takes a run out of its holder's hands.
function step.release(id, run)
  local task = step.tasks[run.task]
  if not run.holder then return end
  step.held_by(run.holder)[run.task .. ':' .. id] = false
  run.holder = nil
  if task.group then
    step.group_of(task.group).held = step.group_of(task.group).held - 1
    step.groups_touched[task.group] = true
  end
  step.tasks_changed[run.task] = true
end

-- Puts a run into the hands of `node`, for its next attempt.
function step.give(id, run, node)
  if not run.began then step.begin(id, run) end
  if run.attempt > 0 then run.token = step.next_token(run) end
  step.hold(id, run, node)
  run.claim, run.was = nil, nil
  run.state = 'running'
  run.attempt = run.attempt + 1
  if step.tasks[run.task].waiting then step.touched[run.task] = true end
  step.runs_changed[id] = true
end

function step.new_run(id, given, of)
  local run = setmetatable({
    task = of, origin = given.origin, origin_id = given.origin_id, scheduled_at = given.scheduled_at,
    due_at = given.due_at, missed = given.missed, missed_first = given.missed_first, state = 'queued', attempt = 0,
    token = step.present, beside = given.beside,
  }, step.OF_RUN)
  step.runs[id] = run
  step.runs_changed[id] = true
  step.tasks_changed[of] = true
  return run
end

function step.count_failure(id, task, at)
  task.failures = task.failures + 1
  if task.pause_after and task.failures >= task.pause_after and not task.paused then
    step.rules_of(id).paused = { failures = task.failures, since = at }
    task.failures = 0
    step.say({ kind = 'task', task = id })
  end
end

-- Keeps the row of a run that has ended: what is usual is that it succeeded in its first attempt.
function step.keep(id, run, state, at, why, node)
  local task, attempt = step.tasks[run.task], run.attempt
  step.ended_made = step.ended_made + 1
  step.meta_changes.ended = true
  local ended = {
    task = run.task, origin = rawget(run, 'origin'), origin_id = run.origin_id, scheduled_at = run.scheduled_at,
    missed = run.missed, missed_first = run.missed_first, started_at = run.started_at, finished_at = at,
    failure = why.failure, cause = why.cause, deaths = why.deaths, node = node,
  }
  if run.due_at ~= run.scheduled_at then ended.due_at = run.due_at end
  if state ~= 'succeeded' then ended.state = state end
  if attempt ~= 1 then ended.attempt = attempt end
  step.ended_rows[#step.ended_rows + 1] = id
  step.ended_rows[#step.ended_rows + 1] = cjson.encode(ended)
  step.add('history', id, step.text(step.ended_made))
  local past = step.past_added[run.task]
  if not past then
    past = {}
    step.past_added[run.task] = past
  end
  if step.FAILURES[state] then
    task.failed_past = task.failed_past + 1
    past[#past + 1] = at .. ':' .. id
  else
    past[#past + 1] = id
  end
end

-- The end of a run, held or not. `why` is its error, the cause by which it was cancelled, or how many of its nodes died.
function step.end_run(id, run, state, why, started_at, at)
  local task, of, node = step.tasks[run.task], run.task, run.holder
  local waits_as_job = step.waits_as_job(run)
  if waits_as_job then
    jobs.leave(id, run)
  elseif run.state == 'queued' then
    step.leave_waiting(id, run)
  else
    if run.state == 'retrying' then step.leave_retrying(id, run) else step.release(id, run) end
    step.unbegin(id, run)
  end
  if run.cancelling or run.put_off_by then step.asked_changed[id] = false end
  step.runs[id] = false
  step.runs_changed[id] = nil
  local gone = waits_as_job and jobs.gone or step.runs_gone
  gone[#gone + 1] = id
  run.started_at = started_at or run.started_at
  if run.origin == 'schedule' then
    -- Not the latest of all ends: from one before the clock was set back an instant would follow that has run.
    task.last_end = at
    if task.is_delay then step.say({ kind = 'task', task = of }) end
  end
  if state == 'succeeded' then
    task.failures = 0
    task.last_success = step.later(task.last_success, run.scheduled_at)
  elseif step.FAILURES[state] then
    step.count_failure(of, task, at)
  end
  step.keep(id, run, state, at, why, node)
  if run.origin == 'job' then jobs.end_one(id, run, state, at, why) end
  step.tasks_changed[of] = true
  if task.waiting then step.touched[of] = true end
end

-- Ends a run that nobody holds; asks the holder of one that is held, and answers with it.
function step.ask_to_cancel(id, run, cause)
  step.say({ kind = 'cancelled', task = run.task, run = id, cause = cause, was = run.state })
  if run.holder then
    if not run.cancelling then
      run.cancelling = cause
      step.asked_changed[id] = true
      step.runs_changed[id] = true
    end
    return id
  end
  step.end_run(id, run, 'cancelled', { cause = cause }, nil, step.present)
end

-- Keeps what an attempt wrote, behind its number, in the place of what an earlier one did.
function step.keep_log(id, run, log)
  step.logs_kept[#step.logs_kept + 1] = id
  step.logs_kept[#step.logs_kept + 1] = step.text(run.attempt) .. '\n' .. log
end

-- The history of a task is as long as its rules say: its last runs, and beyond them the last failures, for so long. Both are
-- lists, the oldest first, in which a failure has the instant of its end before it.
function step.prune(id, task)
  local gone, past, failed = {}, step.key('past:' .. id), step.key('failed:' .. id)
  local excess = redis.call('LLEN', past) - task.keep_runs
  if excess > 0 then
    local few = math.min(excess, step.PRUNE_MAX)
    for _, ended in ipairs(redis.call('LRANGE', past, 0, few - 1)) do
      if string.find(ended, ':', 1, true) then
        task.failed_past = task.failed_past - 1
        redis.call('RPUSH', failed, ended)
      else
        gone[#gone + 1] = ended
      end
    end
    redis.call('LTRIM', past, few, -1)
  end
  local many = redis.call('LLEN', failed)
  if many > 0 then
    many = many + task.failed_past - task.keep_failures
    local dropped, most = 0, math.min(math.max(many, 0), step.PRUNE_MAX) + step.PRUNE_EVERY
    for at, ended in ipairs(redis.call('LRANGE', failed, 0, most - 1)) do
      local ended_at, run = string.match(ended, '^([^:]*):(.*)$')
      if at > many and step.now - tonumber(ended_at) <= task.keep_failures_ms then break end
      dropped = at
      gone[#gone + 1] = run
    end
    if dropped > 0 then redis.call('LTRIM', failed, dropped, -1) end
  end
  -- What is left of a long excess goes with the next end.
  for _, run in ipairs(gone) do step.remove('history', run) end
  step.call_all('HDEL', 'ended', gone)
  step.call_all('HDEL', 'logs', gone)
end

function step.save_asked()
  local more, fewer = {}, {}
  for id, is_asked in pairs(step.asked_changed) do
    local of = is_asked and more or fewer
    of[#of + 1] = id
  end
  step.call_all('SREM', 'asked', fewer)
  step.call_all('SADD', 'asked', more)
end

function step.save_holdings()
  for node in pairs(step.held_changed) do
    local taken, left = {}, {}
    for member, is_held in pairs(step.holdings[node]) do
      local of = is_held and taken or left
      of[#of + 1] = member
    end
    step.call_all('SREM', 'held:' .. node, left)
    step.call_all('SADD', 'held:' .. node, taken)
  end
end

-- Writes what the step has changed.
function step.commit()
  -- What goes comes first: the end of a run is stored although memory is full.
  step.call_all('HDEL', 'runs', step.runs_gone)
  if step.has_jobs then jobs.save_gone() end
  local rows, waits = {}, {}
  for id in pairs(step.runs_changed) do
    local run = step.runs[id]
    local is_job = step.waits_as_job(run)
    local of = is_job and waits or rows
    of[#of + 1] = id
    of[#of + 1] = is_job and jobs.unusual(run) or step.unusual_run(run)
  end
  step.call_all('HSET', 'runs', rows)
  step.call_all('HSET', 'jobs', waits)
  step.call_all('HSET', 'ended', step.ended_rows)
  local long = {}
  for id, past in pairs(step.past_added) do
    local length = step.call_all('RPUSH', 'past:' .. id, past)
    if length >= step.tasks[id].keep_runs + step.PRUNE_EVERY then long[#long + 1] = id end
  end
  step.call_all('HSET', 'logs', step.logs_kept)
  step.save_holdings()
  step.save_asked()
  step.list_tasks()
  for _, id in ipairs(long) do step.prune(id, step.tasks[id]) end
  if step.has_jobs then jobs.save() end
  for name in pairs(step.index) do step.settle(name) end
  rows = {}
  for id in pairs(step.tasks_changed) do
    rows[#rows + 1] = id
    rows[#rows + 1] = step.unusual(step.tasks[id], step.USUAL_ROW)
  end
  step.call_all('HSET', 'tasks', rows)
  rows = {}
  for id in pairs(step.rules_changed) do
    rows[#rows + 1] = id
    step.rules[id].is_before = nil
    rows[#rows + 1] = step.unusual(step.rules[id], step.USUAL_RULES)
  end
  step.call_all('HSET', 'rules', rows)
  step.save_groups()
  step.save_records()
  if #step.changes > 0 then
    step.call_all('RPUSH', 'changes', step.changes)
    redis.call('LTRIM', step.key('changes'), -step.CHANGES_MAX, -1)
    step.meta_changes.version = step.text(step.version)
  end
  if step.meta_changes.ended then step.meta_changes.ended = step.text(step.ended_made) end
  if step.meta_changes.numbers then step.meta_changes.numbers = step.text(step.numbers) end
  if step.has_written or next(step.meta_changes) then
    step.steps = step.steps + 1
    step.meta_changes.steps = step.text(step.steps)
  end
  rows = {}
  for field, value in pairs(step.meta_changes) do
    rows[#rows + 1] = field
    rows[#rows + 1] = value
  end
  step.call_all('HSET', 'meta', rows)
end
