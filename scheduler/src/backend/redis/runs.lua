-- How runs begin and end: who holds them, what is counted of them, what is kept of them.

local FAILURES = { failed = true, timed_out = true, abandoned = true }

-- The pause of the task itself, whatever holds for all tasks.
local function own_pause(task)
  if task.paused then return task.paused end
  if task.disabled and not task.resumed then return { since = task.declared_at } end
end

local function pause_of(task)
  return own_pause(task) or pause_of_all
end

local function is_exhausted(task)
  return task.max_runs and task.runs >= task.max_runs
end

local function is_full(task)
  return task.alive_max and task.begun + queued(task) >= task.alive_max
end

local function has_room(task)
  return not task.alive_max or task.begun < task.alive_max
end

-- The next number: of the runs of a task, each has another, and a later one a higher one.
local function number(task)
  task.made = task.made + 1
  return task.made
end

local function held_by(node)
  local of = holdings[node]
  if not of then
    of = {}
    holdings[node] = of
  end
  held_changed[node] = true
  return of
end

-- The token under which a run is held next. It is later than the present, so that none that was given and then lost is given
-- again.
local function next_token(run)
  return math.max((run.token or 0) + 1, now)
end

local function begin(id, run)
  local task = task_of(run.task)
  run.began = number(task)
  add('begun', begun_member(id, run), 0)
  task.begun = task.begun + 1
  if run.origin == 'backfill' then
    task.following = task.following or {}
    task.following[run.origin_id] = (task.following[run.origin_id] or 0) + 1
  end
  changed(run.task)
end

local function unbegin(id, run)
  local task = task_of(run.task)
  remove('begun', begun_member(id, run))
  run.began = nil
  task.begun = task.begun - 1
  if run.origin == 'backfill' and task.following then
    local count = (task.following[run.origin_id] or 0) - 1
    task.following[run.origin_id] = count > 0 and count or nil
    if not next(task.following) then task.following = nil end
  end
  changed(run.task)
end

local function hold(id, run, node)
  local task = task_of(run.task)
  run.holder = node
  held_by(node)[run.task .. ':' .. id] = true
  given_to[node] = true
  task.held = task.held + 1
  if task.group then
    group_of(task.group).held = group_of(task.group).held + 1
    groups_touched[task.group] = true
  end
  changed(run.task)
end

-- Takes a run out of its holder's hands.
local function release(id, run)
  local task = task_of(run.task)
  if not run.holder then return end
  held_by(run.holder)[run.task .. ':' .. id] = false
  run.holder = nil
  task.held = task.held - 1
  if task.group then
    group_of(task.group).held = group_of(task.group).held - 1
    groups_touched[task.group] = true
  end
  changed(run.task)
end

-- Puts a run into the hands of `node`, for its next attempt.
local function give(id, run, node)
  if not run.began then begin(id, run) end
  if run.attempt > 0 then run.token = next_token(run) end
  hold(id, run, node)
  run.claim, run.was = nil, nil
  run.state = 'running'
  run.attempt = run.attempt + 1
  touched[run.task] = touched[run.task] or task_of(run.task).waiting ~= nil or nil
  save_run(id)
end

local function new_run(id, given, of)
  local run = {
    task = of, origin = given.origin, origin_id = given.origin_id, scheduled_at = given.scheduled_at,
    due_at = given.due_at, missed = given.missed, missed_first = given.missed_first, state = 'queued', attempt = 0,
    token = next_token({}), made = number(task_of(of)), beside = given.beside,
  }
  runs[id] = run
  save_run(id)
  changed(of)
  return run
end

local function count_failure(id, task, at)
  task.failures = task.failures + 1
  if task.pause_after and task.failures >= task.pause_after and not task.paused then
    rules_of(id).paused = { failures = task.failures, since = at }
    task.failures = 0
    say({ kind = 'task', task = id })
  end
end

-- Keeps the row of a run that has ended.
local function keep(id, run, state, at, why)
  local task = task_of(run.task)
  ended_made = ended_made + 1
  meta_changes.ended = text(ended_made)
  ended_rows[#ended_rows + 1] = id
  ended_rows[#ended_rows + 1] = cjson.encode({
    id = id, task = run.task, origin = run.origin, origin_id = run.origin_id, scheduled_at = run.scheduled_at,
    due_at = run.due_at ~= run.scheduled_at and run.due_at or nil, missed = run.missed, missed_first = run.missed_first, state = state, attempt = run.attempt,
    started_at = run.started_at, finished_at = at, failure = why.failure, cause = why.cause, deaths = why.deaths,
  })
  local failed = FAILURES[state]
  add('history', id, ended_made)
  local past = past_added[run.task]
  if not past then
    past = {}
    past_added[run.task] = past
  end
  task.latest = state
  task.kept = task.kept + 1
  if FAILURES[state] then
    task.failed_past = task.failed_past + 1
    past[#past + 1] = at .. ':' .. id
  else
    past[#past + 1] = id
  end
end

-- The end of a run, held or not. `why` is its error, the cause by which it was cancelled, or how many of its nodes died.
local function end_run(id, run, state, why, started_at, at)
  local task, of = task_of(run.task), run.task
  if run.state == 'queued' then
    leave_waiting(id, run)
  else
    if run.state == 'retrying' then leave_retrying(id, run) else release(id, run) end
    unbegin(id, run)
  end
  if run.cancelling or run.put_off_by then asked_changed[id] = false end
  runs[id] = false
  runs_changed[id] = nil
  runs_gone[#runs_gone + 1] = id
  run.started_at = started_at or run.started_at
  if run.origin == 'schedule' then
    -- Not the latest of all ends: from one before the clock was set back an instant would follow that has run.
    task.last_end = at
    if task.is_delay then say({ kind = 'task', task = of }) end
  end
  if state == 'succeeded' then
    task.failures = 0
    task.last_success = later(task.last_success, run.scheduled_at)
  elseif FAILURES[state] then
    count_failure(of, task, at)
  end
  keep(id, run, state, at, why)
  changed(of)
  if task.waiting then touched[of] = true end
end

-- Ends a run that nobody holds; asks the holder of one that is held, and answers with it.
local function ask_to_cancel(id, run, cause)
  say({ kind = 'cancelled', task = run.task, run = id, cause = cause, was = run.state })
  if run.holder then
    if not run.cancelling then
      run.cancelling = cause
      asked_changed[id] = true
      save_run(id)
    end
    return id
  end
  end_run(id, run, 'cancelled', { cause = cause }, nil, present)
end

-- Keeps what an attempt wrote, behind its number, in the place of what an earlier one did.
local function keep_log(id, run, log)
  logs_kept[#logs_kept + 1] = id
  logs_kept[#logs_kept + 1] = text(run.attempt) .. '\n' .. log
end

-- The history of a task is as long as its rules say: its last runs, and beyond them the last failures, for so long. Both are
-- lists, the oldest first, in which a failure has the instant of its end before it.
local function prune(id, task)
  local gone, past, failed = {}, key('past:' .. id), key('failed:' .. id)
  local excess = redis.call('LLEN', past) - task.keep_runs
  if excess > 0 then
    local few = math.min(excess, PRUNE_MAX)
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
    local dropped, most = 0, math.min(math.max(many, 0), PRUNE_MAX) + PRUNE_EVERY
    for at, ended in ipairs(redis.call('LRANGE', failed, 0, most - 1)) do
      local ended_at, run = string.match(ended, '^([^:]*):(.*)$')
      if at > many and now - tonumber(ended_at) <= task.keep_failures_ms then break end
      dropped = at
      gone[#gone + 1] = run
    end
    if dropped > 0 then redis.call('LTRIM', failed, dropped, -1) end
  end
  -- What is left of a long excess goes with the next end.
  task.kept = excess > PRUNE_MAX and PRUNE_EVERY or 0
  for _, run in ipairs(gone) do remove('history', run) end
  call_all('HDEL', 'ended', gone)
  call_all('HDEL', 'logs', gone)
end

local function save_asked()
  local more, fewer = {}, {}
  for id, is_asked in pairs(asked_changed) do
    local of = is_asked and more or fewer
    of[#of + 1] = id
  end
  call_all('SREM', 'asked', fewer)
  call_all('SADD', 'asked', more)
end

local function save_holdings()
  for node in pairs(held_changed) do
    local taken, left = {}, {}
    for member, is_held in pairs(holdings[node]) do
      local of = is_held and taken or left
      of[#of + 1] = member
    end
    call_all('SREM', 'held:' .. node, left)
    call_all('SADD', 'held:' .. node, taken)
  end
end

-- Writes what the step has changed.
local function commit()
  -- What goes comes first: the end of a run is stored although memory is full.
  call_all('HDEL', 'runs', runs_gone)
  local rows = {}
  for id in pairs(runs_changed) do
    rows[#rows + 1] = id
    rows[#rows + 1] = cjson.encode(runs[id])
  end
  call_all('HSET', 'runs', rows)
  call_all('HSET', 'ended', ended_rows)
  for id, past in pairs(past_added) do call_all('RPUSH', 'past:' .. id, past) end
  call_all('HSET', 'logs', logs_kept)
  save_holdings()
  save_asked()
  list_tasks()
  for id in pairs(tasks_changed) do
    if tasks[id].kept >= PRUNE_EVERY then prune(id, tasks[id]) end
  end
  for name in pairs(index) do settle(name) end
  rows = {}
  for id in pairs(tasks_changed) do
    rows[#rows + 1] = id
    rows[#rows + 1] = unusual(tasks[id])
  end
  call_all('HSET', 'tasks', rows)
  rows = {}
  for id in pairs(rules_changed) do
    rows[#rows + 1] = id
    rows[#rows + 1] = unusual(rules[id])
  end
  call_all('HSET', 'rules', rows)
  save_groups()
  save_records()
  if #changes > 0 then
    call_all('RPUSH', 'changes', changes)
    redis.call('LTRIM', key('changes'), -CHANGES_MAX, -1)
    meta_changes.version = text(version)
  end
  if has_written or next(meta_changes) then
    steps = steps + 1
    meta_changes.steps = text(steps)
  end
  rows = {}
  for field, value in pairs(meta_changes) do
    rows[#rows + 1] = field
    rows[#rows + 1] = value
  end
  call_all('HSET', 'meta', rows)
end
