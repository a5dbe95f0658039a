-- What becomes of an occurrence, a trigger or a backfill: a run that is held, one that waits, or a record.

-- How the task receives one more run under `overlap`; without one it waits, however many do.
function step.room(id, task, overlap, origin)
  if not overlap then return 'wait' end
  if overlap == 'allow' or not step.is_full(task) then return step.group_has_room(task.group) and 'free' or 'wait' end
  if overlap == 'skip' then return 'overlap', step.oldest_begun(id, task) or step.first_queued(id, task) end
  if overlap == 'buffer_one' then
    local newest = step.newest_buffered(id, task, origin)
    if newest then return 'covered', newest end
    return 'wait'
  end
  if overlap == 'buffer_all' then return step.buffered(task, origin) >= step.BUFFERED_MAX and 'buffer_full' or 'wait' end
  return 'after', step.oldest_begun(id, task)
end

step.REFUSED = { overlap = true, covered = true, buffer_full = true }

-- Under `cancel_running` only the newest waits, and the oldest that has begun is asked to end: it is the answer, if a node has
-- to cancel it.
function step.make_way(id, task, oldest)
  step.settle('waiting')
  for _, member in ipairs(step.first_of('waiting', id .. ':s', -1)) do
    local waiting = step.run_in(member)
    step.ask_to_cancel(waiting, step.run_of(waiting), 'replaced')
  end
  local run = oldest and step.run_of(oldest)
  return run and step.ask_to_cancel(oldest, run, 'replaced')
end

function step.advance(firing, became)
  local id, task = firing.task, step.task_of(firing.task)
  if firing.passed and firing.to == firing.mark then
    task.behind = firing.passed.last
  elseif firing.to ~= firing.mark then
    task.behind = nil
  end
  task.mark, task.step_id, task.step = firing.to, firing.id, became ~= 'run' and became or nil
  step.tasks_changed[id] = true
  if firing.passed then
    -- The grid of a fixed delay goes on from what was passed over.
    task.last_end = firing.passed.last
    step.record(id, task, firing.passed)
  end
end

function step.refused(how, by)
  return { a = how, run = by }
end

function step.refuse(firing, how, by)
  local id, task, run = firing.task, step.task_of(firing.task), firing.run
  step.advance(firing, by and how .. ' ' .. by or how)
  task.last_end = step.present
  local pause = how == 'paused' and step.pause_of(task) or nil
  step.record(id, task, { reason = how, first = run.scheduled_at, last = run.scheduled_at, count = 1, run = by, pause = pause })
  local covering = how == 'covered' and step.run_of(by)
  if covering then
    -- What it would have stood for itself is covered with it.
    covering.missed_first = covering.missed_first or run.missed_first or run.scheduled_at
    covering.missed = (covering.missed or 0) + 1 + (run.missed or 0)
    step.runs_changed[by] = true
  end
  return step.refused(how, by)
end

-- The run of the same key, if it is still alive: an operator has put the mark back behind it.
function step.fired_before_a_reset(id, task, run)
  if not task.reset_upto or tonumber(task.reset_upto) < tonumber(run.scheduled_at) then return nil end
  local ids = step.all_begun(id, task)
  for _, member in ipairs(step.first_of('waiting', id .. ':s', -1)) do ids[#ids + 1] = step.run_in(member) end
  for _, other in ipairs(ids) do
    local known = step.run_of(other)
    if known and known.origin == 'schedule' and known.scheduled_at == run.scheduled_at then return other end
  end
end

function step.held_as(task, run)
  return { a = 'claimed', token = run.token, success = task.last_success }
end

-- The answer to a firing that was made before, or whose mark somebody else has moved.
function step.repeated(firing, task, node)
  local run = step.run_of(firing.id)
  if run and run.holder == node then
    -- If a claim has brought it since the first call: given a second time, it would be executed twice.
    if run.claim then return { a = 'queued' } end
    return step.held_as(task, run)
  end
  if run and not run.holder then
    local oldest = step.oldest_begun(firing.task, task)
    local replaced = oldest and step.run_of(oldest).cancelling == 'replaced'
    return { a = 'queued', run = replaced and oldest or nil }
  end
  if task.step_id == firing.id then
    if task.step == 'passed' then return { a = 'passed' } end
    local how, by = string.match(task.step or 'run', '^(%S+) ?(.*)$')
    if how ~= 'run' then return step.refused(how, by ~= '' and by or nil) end
  end
  return { a = 'moved', at = task.mark }
end

function step.fire(firing, node)
  local id, task, run = firing.task, step.task_of(firing.task), firing.run
  if run then
    -- What is usual was not said.
    run.scheduled_at = run.scheduled_at or firing.to
    run.due_at = run.due_at or run.scheduled_at
  end
  if task.step_id == firing.id or task.mark ~= firing.mark then return step.repeated(firing, task, node) end
  local is_shown_again = firing.passed and firing.to == firing.mark
  if task.since ~= (firing.since or step.USUAL_RULES.since) or is_shown_again and task.behind ~= firing.behind then return { a = 'outdated' } end
  if step.is_exhausted(task) then return { a = 'exhausted' } end
  if not run then
    step.advance(firing, 'passed')
    return { a = 'passed' }
  end
  if tonumber(run.due_at) > step.now then return { a = 'early', at = step.present } end
  if run.accept_until and step.now > tonumber(run.accept_until) then return { a = 'late', at = step.present } end
  if step.pause_of(task) then return step.refuse(firing, 'paused') end
  local same = step.fired_before_a_reset(id, task, run)
  if same then return step.refuse(firing, 'overlap', same) end
  local how, by = step.room(id, task, task.overlap, run.origin or 'schedule')
  if step.REFUSED[how] then return step.refuse(firing, how, by) end
  step.advance(firing, 'run')
  task.runs = task.runs + 1
  local cancel = nil
  if how == 'after' then cancel = step.make_way(id, task, by) end
  local born = step.new_run(firing.id, run, id)
  -- What was between two attempts has ended by making way, and left its room.
  if how == 'free' or how == 'after' and not cancel and step.has_room(task) and step.group_has_room(task.group) then
    step.give(firing.id, born, node)
    return step.held_as(task, born)
  end
  step.enter_waiting(firing.id, born)
  return { a = 'queued', run = cancel }
end

function calls.enqueue()
  local name, ids, answers = step.input.holder.node, {}, {}
  for at, firing in ipairs(step.input.firings) do ids[at] = firing.task end
  step.load_tasks(ids)
  for _, id in ipairs(ids) do
    if not step.task_of(id) then return nil end
  end
  local node = step.greet(step.input.holder)
  for at, firing in ipairs(step.input.firings) do answers[at] = step.fire(firing, name) end
  step.list_lease(name, node)
  return { answers = answers }
end

function step.submit(submission)
  local id, task = submission.task, step.task_of(submission.task)
  if step.run_of(submission.id) or step.ended_before[submission.id] then return { a = 'queued' } end
  if not task then return { a = 'unknown' } end
  local at, is_start = submission.scheduled_at or step.present, submission.origin == 'start'
  if is_start and step.pause_of(task) then return step.refused('paused') end
  if is_start and task.last_start == at then return { a = 'queued' } end
  if not is_start and step.submitted(task) >= step.TRIGGERS_WAITING_MAX then return { a = 'too_many' } end
  local how, by = step.room(id, task, submission.overlap, submission.origin)
  if step.REFUSED[how] then return step.refused(how, by) end
  local cancel = nil
  if how == 'after' then cancel = step.make_way(id, task, by) end
  submission.scheduled_at, submission.due_at = at, step.present
  submission.beside = submission.overlap == 'allow' or nil
  if is_start then task.last_start = at end
  step.enter_waiting(submission.id, step.new_run(submission.id, submission, id))
  step.say_runnable()
  return { a = 'queued', run = cancel }
end

function calls.submit()
  local ids, of, answers = {}, {}, {}
  for at, submission in ipairs(step.input.submissions) do
    ids[at], of[at] = submission.id, submission.task
  end
  step.load_tasks(of)
  step.load_runs(ids)
  for at, row in ipairs(step.get_all('ended', ids)) do step.ended_before[ids[at]] = row and true end
  for at, submission in ipairs(step.input.submissions) do answers[at] = step.submit(submission) end
  return { answers = answers }
end
