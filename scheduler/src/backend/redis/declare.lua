-- Tasks as programs declare them, and where they stand; what operators ask of them.

-- How the run ended that ended last.
function step.latest(id)
  local last = redis.call('LINDEX', step.key('past:' .. id), -1)
  local row = last and redis.call('HGET', step.key('ended'), step.run_in(last))
  return row and (cjson.decode(row).state or 'succeeded') or nil
end

-- Where a task stands, as its nodes are told.
function step.view(id, task, counts)
  local facts = step.facts[id]
  local alive = task.begun > 0 and step.oldest_begun(id, task, 's') or nil
  if not alive and step.waits_in(task, 's') > 0 then
    for _, member in ipairs(step.first_of('waiting', id .. ':s', 16)) do
      local run = step.run_of(step.run_in(member))
      if not alive and run and run.origin == 'schedule' then alive = step.run_in(member) end
    end
  end
  return {
    key = id, name = facts.name, version = step.version, mark = task.mark, behind = task.behind, anchor = facts.anchor,
    timetable = counts, since = task.since, pause = step.pause_of(task),
    resumed_at = step.later(task.resumed_at, step.all_resumed_at), last_end = task.last_end, alive = alive,
    latest = step.latest(id), runs = task.runs, max_runs = task.max_runs,
  }
end

-- What of a task never changes.
step.facts = {}

-- The timetables that count of tasks; what else is shown of them is read beside.
function step.timetables_of(ids)
  local declared, asked_for = step.get_all('timetables', ids), step.get_all('rescheduled', ids)
  local counts = {}
  for at, row in ipairs(step.get_all('facts', ids)) do
    step.facts[ids[at]] = row and cjson.decode(row) or nil
    counts[ids[at]] = asked_for[at] or declared[at]
  end
  return counts
end

-- Where known tasks stand, in the order given; unknown ones are left out.
function step.views(ids)
  step.load_tasks(ids)
  local counts, seen = step.timetables_of(ids), {}
  for _, id in ipairs(ids) do
    local task = step.task_of(id)
    if task then seen[#seen + 1] = step.view(id, task, counts[id]) end
  end
  return #seen > 0 and seen or nil
end

-- Has another timetable count from the instant on at which its caller saw what the one before owed. If something has changed
-- since then, nothing is done.
function step.replace_timetable(id, task, counts, given, is_delay)
  local seen = given.seen
  if not seen or seen.mark ~= task.mark or seen.behind ~= task.behind or seen.since ~= task.since
    or seen.timetable ~= counts or seen.runs ~= task.runs or tonumber(seen.at) > step.now then
    return false
  end
  if given.owed then step.record(id, task, given.owed) end
  local its_rules = step.rules_of(id)
  its_rules.since, its_rules.is_delay = seen.at, is_delay or nil
  task.behind = tonumber(task.mark) > tonumber(seen.at) and seen.at or nil
  step.tasks_changed[id] = true
  return true
end

-- The runs of a task that are held count in its group, and in no other.
function step.change_group(id, task, given)
  if task.group == given then return end
  step.list_under(id, task, nil)
  local held = 0
  for _, run in ipairs(step.all_begun(id, task)) do
    if step.run_of(run) and step.run_of(run).holder then held = held + 1 end
  end
  if task.group then
    step.group_of(task.group).held = step.group_of(task.group).held - held
    step.groups_touched[task.group] = true
  end
  if given then step.group_of(given).held = step.group_of(given).held + held end
  step.rules_of(id).group = given
end

-- Takes over the rules of a task as they are declared.
function step.declare(id, task, given)
  step.change_group(id, task, given.group)
  if given.group then
    step.group_of(given.group).max = given.group_max
    step.groups_touched[given.group] = true
  end
  local its_rules = step.rules_of(id)
  if (its_rules.disabled ~= nil) ~= given.disabled then
    if its_rules.resumed then
      its_rules.resumed = nil
    elseif not its_rules.paused and its_rules.disabled then
      -- The end of a pause, like an operator's: what fell due in it is not caught up.
      its_rules.resumed_at = step.present
    end
    its_rules.disabled = given.disabled and step.present or nil
  end
  its_rules.alive_max, its_rules.overlap, its_rules.at_most_once = given.alive_max, given.overlap, given.at_most_once or nil
  its_rules.priority, its_rules.max_runs, its_rules.pause_after = given.priority, given.max_runs, given.pause_after
  its_rules.keep_runs, its_rules.keep_failures = given.keep_runs, given.keep_failures
  its_rules.keep_failures_ms = given.keep_failures_ms
  step.touched[id] = true
  step.tasks_changed[id] = true
end

function step.new_task(id, given)
  local mark = given.only and step.earlier(given.only, step.present) or step.present
  step.facts[id] = { name = given.name, anchor = step.present }
  redis.call('HSET', step.key('facts'), id, cjson.encode(step.facts[id]))
  step.rules_changed[id] = true
  local its_rules = step.read_rules()
  its_rules.is_delay, its_rules.disabled = given.is_delay or nil, given.rules.disabled and step.present or nil
  return step.new_row(id, { mark = mark }, its_rules)
end

-- Whether another live node knows the task as one that is to run at a start.
function step.runs_elsewhere(id, nodes)
  for name, node in pairs(nodes) do
    if name ~= step.input.holder.node and step.lives(node) then
      local since = redis.call('HGET', step.key('knows:' .. name), id)
      if since and string.sub(since, -1) == 's' then return true end
    end
  end
  return false
end

function calls.register()
  step.greet(step.input.holder)
  local names, ids, known, texts, knows, answers = {}, {}, {}, {}, {}, {}
  for at, given in ipairs(step.input.tasks) do names[at] = given.name end
  for at, id in ipairs(step.get_all('names', names)) do
    ids[at] = id
    if id then known[#known + 1] = id end
  end
  step.load_tasks(known)
  local declared, counts, nodes = {}, step.timetables_of(known), step.all_nodes()
  for at, row in ipairs(step.get_all('timetables', known)) do declared[known[at]] = row end
  names = {}
  local replaced = {}
  for at, given in ipairs(step.input.tasks) do
    local id, task = ids[at], ids[at] and step.task_of(ids[at])
    local is_new = not task
    if is_new then
      step.tasks_made = step.tasks_made + 1
      step.meta_changes.tasks = step.text(step.tasks_made)
      id = step.text(step.tasks_made)
      ids[at], task = id, step.new_task(id, given)
      names[#names + 1] = given.name
      names[#names + 1] = id
    end
    local is_other = declared[id] ~= given.timetable
    if is_other and not is_new and not step.replace_timetable(id, task, counts[id], given, given.is_delay) then
      answers[at] = { again = step.view(id, task, counts[id]) }
    else
      if is_other then
        texts[#texts + 1] = id
        texts[#texts + 1] = given.timetable
        counts[id] = given.timetable
        replaced[#replaced + 1] = id
      end
      local at_start = given.at_start and not step.runs_elsewhere(id, nodes)
      step.declare(id, task, given.rules)
      if not is_new then step.say({ kind = 'task', task = id }) end
      knows[#knows + 1] = id
      knows[#knows + 1] = step.text(step.version) .. (given.reads and 'r' .. step.text(given.reads) or '') .. (given.at_start and 's' or '')
      answers[at] = { at_start = at_start, id = id }
    end
  end
  step.call_all('HSET', 'names', names)
  step.save_apart('rules')
  step.call_all('HSET', 'timetables', texts)
  step.call_all('HDEL', 'rescheduled', replaced)
  step.call_all('HSET', 'knows:' .. step.input.holder.node, knows)
  for _, answer in ipairs(answers) do
    if answer.id then
      answer.seen, answer.id = step.view(answer.id, step.task_of(answer.id), counts[answer.id]), nil
    end
  end
  return { answers = answers }
end

-- A node gives up tasks, but for those that it has registered again since.
function calls.unregister()
  local name, given_up, ids = 'knows:' .. step.input.node, {}, {}
  for at, given in ipairs(step.input.tasks) do ids[at] = given.task end
  for at, since in ipairs(step.get_all(name, ids)) do
    since = since and tonumber(string.match(since, '^%d+'))
    if since and since <= step.input.tasks[at].version then given_up[#given_up + 1] = ids[at] end
  end
  step.call_all('HDEL', name, given_up)
  return {}
end

function calls.look()
  local seen = step.views(step.input.tasks)
  if not seen and #step.input.tasks > 0 then return nil end
  return { tasks = seen }
end

function step.pause_all(pause)
  step.pause_of_all = pause
  step.meta_changes.paused = pause and cjson.encode(pause) or ''
end

-- All tasks of which something waits might have something to claim.
function step.touch_all()
  local from = '-'
  while true do
    local member = redis.call('ZRANGEBYLEX', step.key('waiting'), from, '+', 'LIMIT', 0, 1)[1]
    if not member then return end
    local id = string.match(member, '^[^:]*')
    step.touched[id] = true
    from = '(' .. id .. ';'
  end
end

local commands = {}

function commands.pause(id, task)
  local pause = { by = step.input.by, reason = step.input.reason, since = step.present }
  if not step.input.task then return step.pause_all(pause) end
  if task then step.rules_of(id).paused = pause end
end

function commands.resume(id, task)
  if not step.input.task then
    if step.pause_of_all then
      step.pause_all(nil)
      step.all_resumed_at = step.present
      step.meta_changes.resumed_at = step.present
    end
    step.touch_all()
  elseif task and step.own_pause(task) then
    local its_rules = step.rules_of(id)
    its_rules.paused, its_rules.resumed, its_rules.resumed_at = nil, true, step.present
    step.touched[id] = true
  end
  step.say_runnable()
end

function commands.reschedule(id, task)
  if not task then return end
  local counts = step.timetables_of({ id })[id]
  if not step.replace_timetable(id, task, counts, step.input, step.input.is_delay) then return { again = step.view(id, task, counts) } end
  redis.call('HSET', step.key('rescheduled'), id, step.input.timetable)
end

function commands.reset_mark(id, task)
  if not task then return end
  if tonumber(task.mark) > step.now then
    step.rules_of(id).reset_upto = step.later(task.mark, task.reset_upto)
    task.mark = step.present
  end
  if task.behind and tonumber(task.behind) >= tonumber(task.mark) then task.behind = nil end
  task.step_id, task.step = nil, nil
end

function calls.control()
  local id = step.input.task
  local task = id and step.task_of(id)
  local again = commands[step.input.command](id, task)
  if again then return again end
  if not id then
    step.say({ kind = 'all_tasks' })
  elseif task then
    step.tasks_changed[id] = true
    step.say({ kind = 'task', task = id })
  end
  return { version = step.version, tasks = id and task and step.views({ id }) or nil }
end
