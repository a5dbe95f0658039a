-- The runs of a task that might be claimed, in lanes of which each run but the first need not be looked at: what keeps the
-- first from beginning keeps the others too. And which tasks have such runs.
--
-- s: occurrences, and runs at a start · t: triggers · f and the id of a backfill: its runs · b, B: runs beside all others, of
-- triggers and of starts · S, A: next attempts that are due, of occurrences and of what was asked for. A pause holds back s, S
-- and B; s, t and f need room; the runs of a backfill go one after another.

local function is_scheduled(run)
  return run.origin == 'schedule' or run.origin == 'start'
end

local function lane_of(run)
  if run.state == 'retrying' then return is_scheduled(run) and 'S' or 'A' end
  if run.beside then return is_scheduled(run) and 'B' or 'b' end
  if run.origin == 'backfill' then return 'f' .. run.origin_id end
  return run.origin == 'trigger' and 't' or 's'
end

local function lane_letter(lane)
  return string.sub(lane, 1, 1)
end

local function waits_in(task, letter)
  return task.waiting and task.waiting[letter] or 0
end

local function count_waiting(task, lane, more)
  local letter = lane_letter(lane)
  local count = waits_in(task, letter) + more
  task.waiting = task.waiting or {}
  task.waiting[letter] = count > 0 and count or nil
  if not next(task.waiting) then task.waiting = nil end
end

-- How many have not begun.
local function queued(task)
  if not task.waiting then return 0 end
  local w = task.waiting
  return (w.s or 0) + (w.t or 0) + (w.b or 0) + (w.B or 0) + (w.f or 0)
end

-- How many were asked for by somebody.
local function submitted(task)
  if not task.waiting then return 0 end
  local w = task.waiting
  return (w.t or 0) + (w.b or 0) + (w.B or 0) + (w.f or 0)
end

local function waiting_member(id, run)
  return run.task .. ':' .. lane_of(run) .. ':' .. pad(run.due_at) .. ':' .. pad(run.scheduled_at) .. ':' .. pad(run.made) .. ':' .. id
end

local function run_in(member)
  return string.match(member, '([^:]*)$')
end

-- What orders runs of different lanes.
local function place_in(member)
  return string.match(member, '^[^:]*:[^:]*:(.*)$')
end

local function due_in(member)
  return tonumber(string.match(member, '^[^:]*:[^:]*:(%d*)'))
end

local function enter_waiting(id, run)
  local task = task_of(run.task)
  add('waiting', waiting_member(id, run), 0)
  count_waiting(task, lane_of(run), 1)
  changed(run.task)
  touched[run.task] = true
end

local function leave_waiting(id, run)
  local task = task_of(run.task)
  remove('waiting', waiting_member(id, run))
  count_waiting(task, lane_of(run), -1)
  changed(run.task)
  touched[run.task] = true
end

local function retrying_member(id, run)
  return run.task .. ':' .. id
end

-- Takes a run that is between two attempts from where it waits for the next, or for that to be claimed.
local function leave_retrying(id, run)
  local member = retrying_member(id, run)
  local score = index.retrying[member]
  if score == nil then score = redis.call('ZSCORE', key('retrying'), member) end
  if score then
    remove('retrying', member)
  else
    leave_waiting(id, run)
  end
end

-- Lets those wait to be claimed whose next attempt is due.
local function retries_come_due(max)
  local due = redis.call('ZRANGEBYSCORE', key('retrying'), '-inf', present, 'LIMIT', 0, max)
  if #due == 0 then return end
  local ids, of = {}, {}
  for at, member in ipairs(due) do
    of[at], ids[at] = string.match(member, '^([^:]*):(.*)$')
  end
  load_tasks(of)
  load_runs(ids)
  for at, member in ipairs(due) do
    remove('retrying', member)
    if run_of(ids[at]) then enter_waiting(ids[at], run_of(ids[at])) end
  end
end

-- The backfills of a task that have waiting runs: the first member of each.
local function firsts_of_backfills(id)
  local firsts, from = {}, '[' .. id .. ':f'
  settle('waiting')
  while true do
    local member = redis.call('ZRANGEBYLEX', key('waiting'), from, '(' .. id .. ':g', 'LIMIT', 0, 1)[1]
    if not member then return firsts end
    firsts[#firsts + 1] = member
    from = '(' .. id .. ':' .. string.match(member, '^[^:]*:([^:]*)') .. ';'
  end
end

local function first_due(id, task)
  local first = nil
  for letter in pairs(task.waiting) do
    local members = letter == 'f' and firsts_of_backfills(id) or first_of('waiting', id .. ':' .. letter, 1)
    for _, member in ipairs(members) do
      local due = due_in(member)
      if not first or due < first then first = due end
    end
  end
  return first
end

-- The order in which runs are claimed, as one number: by priority, then by the instant at which they were due.
local function rank(task, due)
  return (100 - task.priority) * 8796093022208 + math.max(0, math.min(due, 8796093022207))
end

local function list_under(id, task, listed)
  if task.listed == listed then return end
  local ready = task.group and 'ready:' .. task.group or 'ready'
  if listed then
    redis.call('ZADD', key(ready), listed, id)
  else
    redis.call('ZREM', key(ready), id)
  end
  task.listed = listed
  changed(id)
  if task.group then
    group_of(task.group)
    groups_touched[task.group] = true
  end
end

-- Lists those tasks that might have something to claim by now, and not those that have turned out to have nothing.
local function list_tasks()
  for id in pairs(touched) do
    local task = task_of(id)
    local due = task.waiting and first_due(id, task)
    list_under(id, task, due and text(rank(task, due)) or nil)
  end
  for id in pairs(vain) do
    if not touched[id] then list_under(id, task_of(id), nil) end
  end
end

-- The run that waits first of those that have not begun.
local function first_queued(id, task)
  for _, letter in ipairs({ 's', 't', 'f', 'b', 'B' }) do
    if waits_in(task, letter) > 0 then
      local member = letter == 'f' and firsts_of_backfills(id)[1] or first_of('waiting', id .. ':' .. letter, 1)[1]
      if member then return run_in(member) end
    end
  end
end

-- The last of those that one of `origin` is buffered behind. A backfill waits beside all others, and a trigger beside
-- occurrences: they stand for nothing but themselves.
local function newest_buffered(id, task, origin)
  local newest, place = nil, nil
  local letters = (origin == 'schedule' or origin == 'start') and { 's' } or { 's', 't', 'b', 'B' }
  for _, letter in ipairs(letters) do
    if waits_in(task, letter) > 0 then
      local member = last_of('waiting', id .. ':' .. letter)
      if member and (not place or place_in(member) > place) then newest, place = run_in(member), place_in(member) end
    end
  end
  return newest
end

local function buffered(task, origin)
  local count = waits_in(task, 's')
  if origin == 'schedule' or origin == 'start' then return count end
  return count + waits_in(task, 't') + waits_in(task, 'b') + waits_in(task, 'B')
end

-- Runs that have begun and not ended, held or between two attempts, in the order in which they began: occurrences, and others.
local function begun_member(id, run)
  return run.task .. ':' .. (run.origin == 'schedule' and 's' or 'x') .. ':' .. pad(run.began) .. ':' .. id
end

local function oldest_begun(id, task)
  if task.begun == 0 then return nil end
  local one, other = first_of('begun', id .. ':s', 1)[1], first_of('begun', id .. ':x', 1)[1]
  if one and other then return run_in(place_in(one) < place_in(other) and one or other) end
  return (one or other) and run_in(one or other)
end
