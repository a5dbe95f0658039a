-- Tasks as programs declare them, and where they stand; what operators ask of them.

-- Where a task stands, as its nodes are told.
local function view(id, task, counts)
  local alive = task.begun > 0 and first_of('begun', id .. ':s', 1)[1]
  alive = alive and run_in(alive) or nil
  if not alive and waits_in(task, 's') > 0 then
    for _, member in ipairs(first_of('waiting', id .. ':s', 16)) do
      local run = run_of(run_in(member))
      if not alive and run and run.origin == 'schedule' then alive = run_in(member) end
    end
  end
  return {
    key = id, name = task.name, version = version, mark = task.mark, behind = task.behind, anchor = task.anchor,
    timetable = counts, since = task.since, pause = pause_of(task), resumed_at = later(task.resumed_at, all_resumed_at),
    last_end = task.last_end, alive = alive, latest = task.latest, runs = task.runs, max_runs = task.max_runs,
  }
end

local function timetables_of(ids)
  local declared, asked_for = get_all('timetables', ids), get_all('rescheduled', ids)
  local counts = {}
  for at, id in ipairs(ids) do counts[id] = asked_for[at] or declared[at] end
  return counts
end

-- Where known tasks stand, in the order given; unknown ones are left out.
local function views(ids)
  load_tasks(ids)
  local counts, seen = timetables_of(ids), {}
  for _, id in ipairs(ids) do
    local task = task_of(id)
    if task then seen[#seen + 1] = view(id, task, counts[id]) end
  end
  return #seen > 0 and seen or nil
end

-- Has another timetable count from the instant on at which its caller saw what the one before owed. If something has changed
-- since then, nothing is done.
local function replace_timetable(id, task, counts, given, is_delay)
  local seen = given.seen
  if not seen or seen.mark ~= task.mark or seen.behind ~= task.behind or seen.since ~= task.since
    or seen.timetable ~= counts or seen.runs ~= task.runs or tonumber(seen.at) > now then
    return false
  end
  if given.owed then record(id, task, given.owed) end
  local its_rules = rules_of(id)
  its_rules.since, its_rules.is_delay = seen.at, is_delay or nil
  task.behind = tonumber(task.mark) > tonumber(seen.at) and seen.at or nil
  changed(id)
  return true
end

local function change_group(id, task, given)
  if task.group ~= given then
    list_under(id, task, nil)
    if task.group then
      group_of(task.group).held = group_of(task.group).held - task.held
      groups_touched[task.group] = true
    end
    if given then group_of(given).held = group_of(given).held + task.held end
    rules_of(id).group = given
  end
end

-- Takes over the rules of a task as they are declared.
local function declare(id, task, given)
  change_group(id, task, given.group)
  if given.group then
    group_of(given.group).max = given.group_max
    groups_touched[given.group] = true
  end
  local its_rules = rules_of(id)
  if (its_rules.disabled or false) ~= given.disabled then
    its_rules.declared_at = present
    if its_rules.resumed then
      its_rules.resumed = nil
    elseif not its_rules.paused and its_rules.disabled then
      -- The end of a pause, like an operator's: what fell due in it is not caught up.
      its_rules.resumed_at = present
    end
  end
  its_rules.alive_max, its_rules.overlap, its_rules.at_most_once = given.alive_max, given.overlap, given.at_most_once or nil
  its_rules.priority, its_rules.max_runs, its_rules.pause_after = given.priority, given.max_runs, given.pause_after
  its_rules.disabled = given.disabled or nil
  its_rules.keep_runs, its_rules.keep_failures = given.keep_runs, given.keep_failures
  its_rules.keep_failures_ms = given.keep_failures_ms
  touched[id] = true
  changed(id)
end

local function new_task(id, given)
  local mark = given.only and earlier(given.only, present) or present
  return new_row(id, { mark = mark }, {
    name = given.name, declared_at = present, anchor = present, is_delay = given.is_delay or nil,
    disabled = given.rules.disabled or nil,
  })
end

-- Whether another live node knows the task as one that is to run at a start.
local function runs_elsewhere(id, nodes)
  for name, node in pairs(nodes) do
    if name ~= input.holder.node and lives(node) then
      local since = redis.call('HGET', key('knows:' .. name), id)
      if since and string.sub(since, -1) == 's' then return true end
    end
  end
  return false
end

function calls.register()
  greet(input.holder)
  local names, ids, known, texts, knows, answers = {}, {}, {}, {}, {}, {}
  for at, given in ipairs(input.tasks) do names[at] = given.name end
  for at, id in ipairs(get_all('names', names)) do
    ids[at] = id
    if id then known[#known + 1] = id end
  end
  load_tasks(known)
  local declared, counts, nodes = {}, timetables_of(known), all_nodes()
  for at, row in ipairs(get_all('timetables', known)) do declared[known[at]] = row end
  names = {}
  local replaced = {}
  for at, given in ipairs(input.tasks) do
    local id, task = ids[at], ids[at] and task_of(ids[at])
    local is_new = not task
    if is_new then
      tasks_made = tasks_made + 1
      meta_changes.tasks = text(tasks_made)
      id = text(tasks_made)
      ids[at], task = id, new_task(id, given)
      names[#names + 1] = given.name
      names[#names + 1] = id
    end
    local is_other = declared[id] ~= given.timetable
    if is_other and not is_new and not replace_timetable(id, task, counts[id], given, given.is_delay) then
      answers[at] = { again = view(id, task, counts[id]) }
    else
      if is_other then
        texts[#texts + 1] = id
        texts[#texts + 1] = given.timetable
        counts[id] = given.timetable
        replaced[#replaced + 1] = id
      end
      local at_start = given.at_start and not runs_elsewhere(id, nodes)
      declare(id, task, given.rules)
      if not is_new then say({ kind = 'task', task = id }) end
      knows[#knows + 1] = id
      knows[#knows + 1] = text(version) .. (given.at_start and 's' or '')
      answers[at] = { at_start = at_start, id = id }
    end
  end
  call_all('HSET', 'names', names)
  call_all('HSET', 'timetables', texts)
  call_all('HDEL', 'rescheduled', replaced)
  call_all('HSET', 'knows:' .. input.holder.node, knows)
  for _, answer in ipairs(answers) do
    if answer.id then
      answer.seen, answer.id = view(answer.id, task_of(answer.id), counts[answer.id]), nil
    end
  end
  return { answers = answers }
end

-- A node gives up tasks, but for those that it has registered again since.
function calls.unregister()
  local name, given_up, ids = 'knows:' .. input.node, {}, {}
  for at, given in ipairs(input.tasks) do ids[at] = given.task end
  for at, since in ipairs(get_all(name, ids)) do
    since = since and tonumber(string.match(since, '^%d+'))
    if since and since <= input.tasks[at].version then given_up[#given_up + 1] = ids[at] end
  end
  call_all('HDEL', name, given_up)
  return {}
end

function calls.look()
  local seen = views(input.tasks)
  if not seen and #input.tasks > 0 then return nil end
  return { tasks = seen }
end

local function pause_all(pause)
  pause_of_all = pause
  meta_changes.paused = pause and cjson.encode(pause) or ''
end

-- All tasks of which something waits might have something to claim.
local function touch_all()
  local from = '-'
  while true do
    local member = redis.call('ZRANGEBYLEX', key('waiting'), from, '+', 'LIMIT', 0, 1)[1]
    if not member then return end
    local id = string.match(member, '^[^:]*')
    touched[id] = true
    from = '(' .. id .. ';'
  end
end

local commands = {}

function commands.pause(id, task)
  local pause = { by = input.by, reason = input.reason, since = present }
  if not input.task then return pause_all(pause) end
  if task then rules_of(id).paused = pause end
end

function commands.resume(id, task)
  if not input.task then
    if pause_of_all then
      pause_all(nil)
      all_resumed_at = present
      meta_changes.resumed_at = present
    end
    touch_all()
  elseif task and own_pause(task) then
    local its_rules = rules_of(id)
    its_rules.paused, its_rules.resumed, its_rules.resumed_at = nil, true, present
    touched[id] = true
  end
  say_runnable()
end

function commands.reschedule(id, task)
  if not task then return end
  local counts = timetables_of({ id })[id]
  if not replace_timetable(id, task, counts, input, input.is_delay) then return { again = view(id, task, counts) } end
  redis.call('HSET', key('rescheduled'), id, input.timetable)
end

function commands.reset_mark(id, task)
  if not task then return end
  if tonumber(task.mark) > now then
    rules_of(id).reset_upto = later(task.mark, task.reset_upto)
    task.mark = present
  end
  if task.behind and tonumber(task.behind) >= tonumber(task.mark) then task.behind = nil end
  task.step_id, task.step = nil, nil
end

function calls.control()
  local id = input.task
  local task = id and task_of(id)
  local again = commands[input.command](id, task)
  if again then return again end
  if not id then
    say({ kind = 'all_tasks' })
  elseif task then
    changed(id)
    say({ kind = 'task', task = id })
  end
  return { version = version, tasks = id and task and views({ id }) or nil }
end
