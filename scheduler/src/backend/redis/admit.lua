-- What becomes of an occurrence, a trigger or a backfill: a run that is held, one that waits, or a record.

-- How the task receives one more run under `overlap`; without one it waits, however many do.
local function room(id, task, overlap, origin)
  if not overlap then return 'wait' end
  if overlap == 'allow' or not is_full(task) then return group_has_room(task.group) and 'free' or 'wait' end
  if overlap == 'skip' then return 'overlap', oldest_begun(id, task) or first_queued(id, task) end
  if overlap == 'buffer_one' then
    local newest = newest_buffered(id, task, origin)
    if newest then return 'covered', newest end
    return 'wait'
  end
  if overlap == 'buffer_all' then return buffered(task, origin) >= BUFFERED_MAX and 'buffer_full' or 'wait' end
  return 'after', oldest_begun(id, task)
end

local REFUSED = { overlap = true, covered = true, buffer_full = true }

-- Under `cancel_running` only the newest waits, and the oldest that has begun is asked to end: it is the answer, if a node has
-- to cancel it.
local function make_way(id, task, oldest)
  settle('waiting')
  for _, member in ipairs(first_of('waiting', id .. ':s', -1)) do
    local waiting = run_in(member)
    ask_to_cancel(waiting, run_of(waiting), 'replaced')
  end
  local run = oldest and run_of(oldest)
  return run and ask_to_cancel(oldest, run, 'replaced')
end

local function advance(firing, became)
  local id, task = firing.task, task_of(firing.task)
  if firing.passed and firing.to == firing.mark then
    task.behind = firing.passed.last
  elseif firing.to ~= firing.mark then
    task.behind = nil
  end
  task.mark, task.step_id, task.step = firing.to, firing.id, became
  changed(id)
  if firing.passed then
    -- The grid of a fixed delay goes on from what was passed over.
    task.last_end = firing.passed.last
    record(id, task, firing.passed)
  end
end

local function refused(how, by)
  return { a = how, run = by }
end

local function refuse(firing, how, by)
  local id, task, run = firing.task, task_of(firing.task), firing.run
  advance(firing, by and how .. ' ' .. by or how)
  task.last_end = present
  local pause = how == 'paused' and pause_of(task) or nil
  record(id, task, { reason = how, first = run.scheduled_at, last = run.scheduled_at, count = 1, run = by, pause = pause })
  local covering = how == 'covered' and run_of(by)
  if covering then
    -- What it would have stood for itself is covered with it.
    covering.missed_first = covering.missed_first or run.missed_first or run.scheduled_at
    covering.missed = (covering.missed or 0) + 1 + (run.missed or 0)
    save_run(by)
  end
  return refused(how, by)
end

-- The run of the same key, if it is still alive: an operator has put the mark back behind it.
local function fired_before_a_reset(id, task, run)
  if not task.reset_upto or tonumber(task.reset_upto) < tonumber(run.scheduled_at) then return nil end
  for _, name in ipairs({ 'begun', 'waiting' }) do
    for _, member in ipairs(first_of(name, id .. ':s', -1)) do
      local other = run_of(run_in(member))
      if other and other.origin == 'schedule' and other.scheduled_at == run.scheduled_at then return run_in(member) end
    end
  end
end

local function held_as(task, run)
  return { a = 'claimed', token = run.token, success = task.last_success }
end

-- The answer to a firing that was made before, or whose mark somebody else has moved.
local function repeated(firing, task, node)
  local run = run_of(firing.id)
  if run and run.holder == node then
    -- If a claim has brought it since the first call: given a second time, it would be executed twice.
    if run.claim then return { a = 'queued' } end
    return held_as(task, run)
  end
  if run and not run.holder then
    local oldest = oldest_begun(firing.task, task)
    local replaced = oldest and run_of(oldest).cancelling == 'replaced'
    return { a = 'queued', run = replaced and oldest or nil }
  end
  if task.step_id == firing.id then
    if task.step == 'passed' then return { a = 'passed' } end
    local how, by = string.match(task.step, '^(%S+) ?(.*)$')
    if how ~= 'run' then return refused(how, by ~= '' and by or nil) end
  end
  return { a = 'moved', at = task.mark }
end

local function fire(firing, node)
  local id, task, run = firing.task, task_of(firing.task), firing.run
  if task.step_id == firing.id or task.mark ~= firing.mark then return repeated(firing, task, node) end
  local is_shown_again = firing.passed and firing.to == firing.mark
  if task.since ~= firing.since or is_shown_again and task.behind ~= firing.behind then return { a = 'outdated' } end
  if is_exhausted(task) then return { a = 'exhausted' } end
  if not run then
    advance(firing, 'passed')
    return { a = 'passed' }
  end
  if tonumber(run.due_at) > now then return { a = 'early', at = present } end
  if run.accept_until and now > tonumber(run.accept_until) then return { a = 'late', at = present } end
  if pause_of(task) then return refuse(firing, 'paused') end
  local same = fired_before_a_reset(id, task, run)
  if same then return refuse(firing, 'overlap', same) end
  local how, by = room(id, task, task.overlap, run.origin)
  if REFUSED[how] then return refuse(firing, how, by) end
  advance(firing, 'run')
  task.runs = task.runs + 1
  local cancel = nil
  if how == 'after' then cancel = make_way(id, task, by) end
  local born = new_run(firing.id, run, id)
  -- What was between two attempts has ended by making way, and left its room.
  if how == 'free' or how == 'after' and not cancel and has_room(task) and group_has_room(task.group) then
    give(firing.id, born, node)
    return held_as(task, born)
  end
  enter_waiting(firing.id, born)
  return { a = 'queued', run = cancel }
end

function calls.enqueue()
  local name, ids, answers = input.holder.node, {}, {}
  for at, firing in ipairs(input.firings) do ids[at] = firing.task end
  load_tasks(ids)
  for _, id in ipairs(ids) do
    if not task_of(id) then return nil end
  end
  local node = greet(input.holder)
  for at, firing in ipairs(input.firings) do answers[at] = fire(firing, name) end
  list_lease(name, node)
  return { answers = answers }
end

local function submit(submission)
  local id, task = submission.task, task_of(submission.task)
  if run_of(submission.id) or ended_before[submission.id] then return { a = 'queued' } end
  if not task then return { a = 'unknown' } end
  local at, is_start = submission.scheduled_at or present, submission.origin == 'start'
  if is_start and pause_of(task) then return refused('paused') end
  if is_start and task.last_start == at then return { a = 'queued' } end
  if not is_start and submitted(task) >= TRIGGERS_WAITING_MAX then return { a = 'too_many' } end
  local how, by = room(id, task, submission.overlap, submission.origin)
  if REFUSED[how] then return refused(how, by) end
  local cancel = nil
  if how == 'after' then cancel = make_way(id, task, by) end
  submission.scheduled_at, submission.due_at = at, present
  submission.beside = submission.overlap == 'allow' or nil
  if is_start then task.last_start = at end
  enter_waiting(submission.id, new_run(submission.id, submission, id))
  say_runnable()
  return { a = 'queued', run = cancel }
end

function calls.submit()
  local ids, of, answers = {}, {}, {}
  for at, submission in ipairs(input.submissions) do
    ids[at], of[at] = submission.id, submission.task
  end
  load_tasks(of)
  load_runs(ids)
  for at, row in ipairs(get_all('ended', ids)) do ended_before[ids[at]] = row and true end
  for at, submission in ipairs(input.submissions) do answers[at] = submit(submission) end
  return { answers = answers }
end
