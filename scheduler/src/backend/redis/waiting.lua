-- The runs of a task that might be claimed, in lanes of which each run but the first need not be looked at: what keeps the
-- first from beginning keeps the others too. And which tasks have such runs.
--
-- s: occurrences, and runs at a start · t: triggers · f and the id of a backfill: its runs · b, B: runs beside all others, of
-- triggers and of starts · S, A: next attempts that are due, of occurrences and of what was asked for · j, J: jobs, see
-- `jobs.lua`. A pause holds back s, S, B, j and J; s, t, f and j need room; the runs of a backfill go one after another.

function step.is_scheduled(run)
  return run.origin == 'schedule' or run.origin == 'start'
end

step.OF_JOBS = { j = true, J = true }

-- Whether it is a job that waits, whose row is one of `jobs`.
function step.waits_as_job(run)
  return run.origin == 'job' and run.state == 'queued'
end

function step.lane_of(run)
  if run.origin == 'job' then return string.format('%s%010d', run.state == 'retrying' and 'J' or 'j', run.version) end
  if run.state == 'retrying' then return step.is_scheduled(run) and 'S' or 'A' end
  if run.beside then return step.is_scheduled(run) and 'B' or 'b' end
  if run.origin == 'backfill' then return 'f' .. run.origin_id end
  return run.origin == 'trigger' and 't' or 's'
end

function step.lane_letter(lane)
  return string.sub(lane, 1, 1)
end

function step.waits_in(task, letter)
  return task.waiting and task.waiting[letter] or 0
end

function step.count_waiting(task, lane, more)
  local letter = step.lane_letter(lane)
  local count = step.waits_in(task, letter) + more
  task.waiting = task.waiting or {}
  task.waiting[letter] = count > 0 and count or nil
  if not next(task.waiting) then task.waiting = nil end
end

-- How many have not begun.
function step.queued(task)
  if not task.waiting then return 0 end
  local w = task.waiting
  return (w.s or 0) + (w.t or 0) + (w.b or 0) + (w.B or 0) + (w.f or 0)
end

-- How many were asked for by somebody.
function step.submitted(task)
  if not task.waiting then return 0 end
  local w = task.waiting
  return (w.t or 0) + (w.b or 0) + (w.B or 0) + (w.f or 0)
end

function step.waiting_member(id, run)
  local lane = step.lane_of(run)
  if run.origin == 'job' then lane = lane .. string.format(':%03d', 100 - run.priority) end
  return run.task .. ':' .. lane .. ':' .. step.pad(run.due_at) .. ':' .. step.pad(run.scheduled_at) .. ':' .. step.pad(run.made or run.began) .. ':' .. id
end

function step.run_in(member)
  return string.match(member, '([^:]*)$')
end

function step.lane_in(member)
  return string.match(member, '^[^:]*:([^:]*)')
end

-- What orders runs of different lanes and of one rank.
function step.place_in(member)
  local lane, place = string.match(member, '^[^:]*:([^:]*):(.*)$')
  return step.OF_JOBS[step.lane_letter(lane)] and string.sub(place, 5) or place
end

-- The order in which runs are claimed, as one number: by priority, then by the instant at which they were due.
function step.rank_by(priority, due)
  return (100 - priority) * 8796093022208 + math.max(0, math.min(due, 8796093022207))
end

-- The same of a run.
function step.rank_of_run(task, run)
  return step.rank_by(run.priority or task.priority, tonumber(run.due_at))
end

-- What orders runs of one rank that have begun.
function step.place_of(run)
  return step.pad(run.scheduled_at) .. ':' .. step.pad(run.made or run.began or 0)
end

-- The rank of one that waits.
function step.rank_in(task, member)
  local lane, first, second = string.match(member, '^[^:]*:([^:]*):(%d*):(%d*)')
  if not step.OF_JOBS[step.lane_letter(lane)] then return step.rank_by(task.priority, tonumber(first)) end
  return step.rank_by(100 - tonumber(first), tonumber(second))
end

function step.enter_waiting(id, run)
  local task = step.tasks[run.task]
  if not run.began then run.made = run.made or step.number() end
  if step.waits_as_job(run) then jobs.plan(id, run) end
  -- What is the only one to wait is the first.
  step.only_rank[run.task] = not task.waiting and step.rank_of_run(task, run) or nil
  step.add('waiting', step.waiting_member(id, run), 0)
  step.count_waiting(task, step.lane_of(run), 1)
  step.tasks_changed[run.task] = true
  step.touched[run.task] = true
end

function step.leave_waiting(id, run)
  local task = step.tasks[run.task]
  if step.waits_as_job(run) then jobs.unplan(id, run) end
  step.only_rank[run.task] = nil
  step.remove('waiting', step.waiting_member(id, run))
  step.count_waiting(task, step.lane_of(run), -1)
  step.tasks_changed[run.task] = true
  step.touched[run.task] = true
end

-- Has a run that had begun wait anew. A job is none any more meanwhile.
function step.wait_again(id, run)
  step.unbegin(id, run)
  run.state = 'queued'
  if run.origin == 'job' then step.runs_gone[#step.runs_gone + 1] = id end
  step.runs_changed[id] = true
  step.enter_waiting(id, run)
end

function step.retrying_member(id, run)
  return run.task .. ':' .. id
end

-- Takes a run that is between two attempts from where it waits for the next, or for that to be claimed.
function step.leave_retrying(id, run)
  local member = step.retrying_member(id, run)
  local score = step.index.retrying[member]
  if score == nil then score = redis.call('ZSCORE', step.key('retrying'), member) end
  if score then
    step.remove('retrying', member)
  else
    step.leave_waiting(id, run)
  end
end

-- Lets those wait to be claimed whose next attempt is due.
function step.retries_come_due(max)
  local due = redis.call('ZRANGEBYSCORE', step.key('retrying'), '-inf', step.present, 'LIMIT', 0, max)
  if #due == 0 then return end
  local ids, of = {}, {}
  for at, member in ipairs(due) do
    of[at], ids[at] = string.match(member, '^([^:]*):(.*)$')
  end
  step.load_tasks(of)
  step.load_runs(ids)
  for at, member in ipairs(due) do
    step.remove('retrying', member)
    if step.run_of(ids[at]) then step.enter_waiting(ids[at], step.run_of(ids[at])) end
  end
end

-- Lets jobs wait to be claimed that are due; tells whether there are any that were to begin later.
function step.jobs_come_due(max)
  local first = redis.call('ZRANGE', step.key('later'), 0, 0, 'WITHSCORES')
  if not first[1] then return false end
  if tonumber(first[2]) <= step.now then jobs.come_due(max) end
  return true
end

-- The backfills of a task that have waiting runs: the first member of each.
function step.firsts_of_backfills(id)
  local firsts, from = {}, '[' .. id .. ':f'
  while true do
    local member = redis.call('ZRANGEBYLEX', step.key('waiting'), from, '(' .. id .. ':g', 'LIMIT', 0, 1)[1]
    if not member then return firsts end
    firsts[#firsts + 1] = member
    from = '(' .. id .. ':' .. step.lane_in(member) .. ';'
  end
end

function step.first_rank(id, task)
  step.settle('waiting')
  local first = nil
  for letter in pairs(task.waiting) do
    local members = nil
    if letter == 'f' then
      members = step.firsts_of_backfills(id)
    elseif step.OF_JOBS[letter] then
      members = jobs.firsts(id, letter)
    else
      members = step.first_of('waiting', id .. ':' .. letter, 1)
    end
    for _, member in ipairs(members) do
      local rank = step.rank_in(task, member)
      if not first or rank < first then first = rank end
    end
  end
  return first
end

function step.list_under(id, task, listed)
  if task.listed == listed then return end
  local ready = task.group and 'ready:' .. task.group or 'ready'
  if listed then
    redis.call('ZADD', step.key(ready), listed, id)
  else
    redis.call('ZREM', step.key(ready), id)
  end
  task.listed = listed
  step.tasks_changed[id] = true
  if task.group then
    step.group_of(task.group)
    step.groups_touched[task.group] = true
  end
end

-- Lists those tasks that might have something to claim by now, and not those that have turned out to have nothing.
function step.list_tasks()
  for id in pairs(step.touched) do
    local task = step.task_of(id)
    local rank = task.waiting and (step.only_rank[id] or step.first_rank(id, task))
    step.list_under(id, task, rank and step.text(rank) or nil)
  end
  for id in pairs(step.vain) do
    if not step.touched[id] then step.list_under(id, step.task_of(id), nil) end
  end
end

-- The run that waits first of those that have not begun.
function step.first_queued(id, task)
  for _, letter in ipairs({ 's', 't', 'f', 'b', 'B' }) do
    if step.waits_in(task, letter) > 0 then
      step.settle('waiting')
      local member = letter == 'f' and step.firsts_of_backfills(id)[1] or step.first_of('waiting', id .. ':' .. letter, 1)[1]
      if member then return step.run_in(member) end
    end
  end
end

-- The last of those that one of `origin` is buffered behind. A backfill waits beside all others, and a trigger beside
-- occurrences: they stand for nothing but themselves.
function step.newest_buffered(id, task, origin)
  local newest, place = nil, nil
  local letters = (origin == 'schedule' or origin == 'start') and { 's' } or { 's', 't', 'b', 'B' }
  for _, letter in ipairs(letters) do
    if step.waits_in(task, letter) > 0 then
      local member = step.last_of('waiting', id .. ':' .. letter)
      if member and (not place or step.place_in(member) > place) then newest, place = step.run_in(member), step.place_in(member) end
    end
  end
  return newest
end

function step.buffered(task, origin)
  local count = step.waits_in(task, 's')
  if origin == 'schedule' or origin == 'start' then return count end
  return count + step.waits_in(task, 't') + step.waits_in(task, 'b') + step.waits_in(task, 'B')
end

-- Runs that have begun and not ended, held or between two attempts, in the order in which they began: occurrences (s), and
-- others (x). The first few of a task are in its row, since most have no more, and what is beyond them in an index.
step.GOING_MAX = 4

function step.begun_kind(run)
  return run.origin == 'schedule' and 's' or 'x'
end

function step.begin(id, run)
  local task, kind = step.tasks[run.task], step.begun_kind(run)
  run.began = step.number()
  task.begun = task.begun + 1
  local going, entry = rawget(task, 'going'), string.format('%s:%015d:%s', kind, run.began, id)
  if not going then
    task.going = { entry }
  elseif #going < step.GOING_MAX then
    going[#going + 1] = entry
  else
    step.add('begun', run.task .. ':' .. entry, 0)
  end
  if run.origin == 'backfill' then
    task.following = task.following or {}
    task.following[run.origin_id] = (task.following[run.origin_id] or 0) + 1
  end
  step.tasks_changed[run.task] = true
end

function step.unbegin(id, run)
  local task, place = step.tasks[run.task], nil
  local going = rawget(task, 'going')
  for at = 1, going and #going or 0 do
    -- Behind the kind and the number.
    if string.sub(going[at], 19) == id then place = at end
  end
  if place and #going == 1 then
    task.going = nil
  elseif place then
    table.remove(going, place)
  else
    step.remove('begun', run.task .. ':' .. step.begun_kind(run) .. ':' .. step.pad(run.began) .. ':' .. id)
  end
  run.made = run.made or run.began
  run.began = nil
  task.begun = task.begun - 1
  if run.origin == 'backfill' and task.following then
    local count = (task.following[run.origin_id] or 0) - 1
    task.following[run.origin_id] = count > 0 and count or nil
    if not next(task.following) then task.following = nil end
  end
  step.tasks_changed[run.task] = true
end

-- The run that began first, of one kind or of both.
function step.oldest_begun(id, task, kind)
  local oldest = nil
  local function see(entry)
    if entry and (not oldest or string.sub(entry, 3) < string.sub(oldest, 3)) then oldest = entry end
  end
  for _, entry in ipairs(task.going or {}) do
    if not kind or string.sub(entry, 1, 1) == kind then see(entry) end
  end
  if task.begun > #(task.going or {}) then
    for _, one in ipairs(kind and { kind } or { 's', 'x' }) do
      local member = step.first_of('begun', id .. ':' .. one, 1)[1]
      see(member and string.sub(member, #id + 2))
    end
  end
  return oldest and step.run_in(oldest)
end

-- All of them, in any order.
function step.all_begun(id, task)
  local ids = {}
  for _, entry in ipairs(task.going or {}) do ids[#ids + 1] = step.run_in(entry) end
  if task.begun > #ids then
    for _, kind in ipairs({ 's', 'x' }) do
      for _, member in ipairs(step.first_of('begun', id .. ':' .. kind, -1)) do ids[#ids + 1] = step.run_in(member) end
    end
  end
  return ids
end
