-- Who gets which run: those that wait, those whose next attempt is due, and those of dead nodes.

-- A heap of what might be claimed next: runs, and places in the lists of tasks that are still to be looked at.
local heap = {}

local function is_before(one, other)
  if one.rank ~= other.rank then return one.rank < other.rank end
  return one.place < other.place
end

local function push(entry)
  local at = #heap + 1
  heap[at] = entry
  while at > 1 do
    local above = math.floor(at / 2)
    if not is_before(heap[at], heap[above]) then return end
    heap[at], heap[above] = heap[above], heap[at]
    at = above
  end
end

local function pop()
  local first, last = heap[1], table.remove(heap)
  if #heap == 0 then return first end
  heap[1] = last
  local at = 1
  while true do
    local least, left = at, 2 * at
    if heap[left] and is_before(heap[left], heap[least]) then least = left end
    if heap[left + 1] and is_before(heap[left + 1], heap[least]) then least = left + 1 end
    if least == at then return first end
    heap[at], heap[least] = heap[least], heap[at]
    at = least
  end
end

-- Has the next task of a list looked at when its turn has come.
local function push_next(list)
  if not list.page or list.at > #list.page then
    list.page = redis.call('ZRANGE', key(list.name), list.from, list.from + 63, 'WITHSCORES')
    list.from, list.at = list.from + 64, 1
    if #list.page == 0 then return end
  end
  push({ rank = tonumber(list.page[list.at + 1]), place = '', list = list, member = list.page[list.at] })
  list.at = list.at + 2
end

local function may_begin(task, lane)
  local letter = lane_letter(lane)
  if (letter == 's' or letter == 'S' or letter == 'B') and pause_of(task) then return false end
  if (letter == 's' or letter == 't' or letter == 'f') and not has_room(task) then return false end
  if letter == 'f' and task.following and task.following[string.sub(lane, 2)] then return false end
  return group_has_room(task.group)
end

-- The lanes of a task, each with its first runs.
local function lanes_of(id, task, most)
  local lanes = {}
  for letter, count in pairs(task.waiting or {}) do
    if letter == 'f' then
      for _, member in ipairs(firsts_of_backfills(id)) do
        lanes[#lanes + 1] = { lane = string.match(member, '^[^:]*:([^:]*)'), members = { member }, at = 1 }
      end
    else
      local few = math.min(count, most)
      if (letter == 's' or letter == 't') and task.alive_max then
        few = math.min(few, math.max(task.alive_max - task.begun, 1))
      end
      lanes[#lanes + 1] = { lane = letter, members = first_of('waiting', id .. ':' .. letter, few), at = 1 }
    end
  end
  return lanes
end

-- Has the first run of a task that may begin be claimed when its turn has come. Tells whether there is one.
local function push_first(id, task, lanes)
  local best, place = nil, nil
  for _, lane in ipairs(lanes) do
    local member = lane.members[lane.at]
    if member and may_begin(task, lane.lane) and (not place or place_in(member) < place) then
      best, place = lane, place_in(member)
    end
  end
  if not best then return false end
  push({ rank = rank(task, due_in(best.members[best.at])), place = place, task = id, lanes = lanes, lane = best })
  return true
end

local function look_at(member, wanted, most)
  if string.sub(member, 1, 2) == 'g:' then
    local name = string.sub(member, 3)
    if group_has_room(name) then push_next({ name = 'ready:' .. name, from = 0 }) end
    return
  end
  local task = wanted[member] and task_of(member)
  if not task then return end
  if not push_first(member, task, lanes_of(member, task, most)) and group_has_room(task.group) then vain[member] = true end
end

-- Ends a run whose node is dead, if it may not be executed again.
local function ends_with_its_node(id, run)
  local task, deaths = task_of(run.task), (run.deaths or 0) + 1
  local died = { kind = 'died', task = run.task, run = id, node = run.holder, attempt = run.attempt, deaths = deaths, at = present }
  if run.cancelling then
    say({ kind = 'cancelled', task = run.task, run = id, cause = run.cancelling, was = 'queued' })
    end_run(id, run, 'cancelled', { cause = run.cancelling }, nil, present)
  elseif task.at_most_once then
    died.state = 'abandoned'
    say(died)
    end_run(id, run, 'abandoned', {}, nil, present)
  elseif deaths >= NODE_DEATHS_MAX then
    died.state = 'failed'
    say(died)
    end_run(id, run, 'failed', { deaths = deaths }, nil, present)
  else
    return false
  end
  return true
end

-- The runs of other holders that are free for the claimant and may be executed again; the others end. Under a pause they stay
-- where they are.
local function push_orphans(name, node, wanted)
  local left = redis.call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. present)
  for _, other in ipairs(left) do
    local row = other ~= name and redis.call('HGET', key('nodes'), other)
    if row and leaves_to(cjson.decode(row), node) then
      local members = redis.call('SMEMBERS', key('held:' .. other))
      if #members == 0 then redis.call('ZREM', key('leases'), other) end
      local ids, of = {}, {}
      for _, member in ipairs(members) do
        local task, id = string.match(member, '^([^:]*):(.*)$')
        if wanted[task] then
          ids[#ids + 1], of[#of + 1] = id, task
        end
      end
      load_tasks(of)
      load_runs(ids)
      for _, id in ipairs(ids) do
        local run = run_of(id)
        if run and not ends_with_its_node(id, run) then
          local task = task_of(run.task)
          if not (is_scheduled(run) and pause_of(task)) then
            push({ rank = rank(task, tonumber(run.due_at)), place = pad(run.scheduled_at), orphan = id })
          end
        end
      end
    end
  end
end

local function claimed(id, run, was)
  return {
    task = run.task, id = id, token = run.token, success = task_of(run.task).last_success, origin = run.origin,
    origin_id = run.origin_id, scheduled_at = run.scheduled_at, due_at = run.due_at, missed = run.missed,
    missed_first = run.missed_first, attempt = run.attempt, abandoned = run.abandoned or 0, was = was,
  }
end

local function take(id, name, taken)
  local run = run_of(id)
  local was = run.state
  if was == 'queued' then
    leave_waiting(id, run)
  elseif was == 'retrying' then
    leave_retrying(id, run)
  else
    release(id, run)
    run.abandoned, run.deaths = (run.abandoned or 0) + 1, (run.deaths or 0) + 1
  end
  give(id, run, name)
  if was == 'retrying' and run.put_off_by ~= name then say({ kind = 'resumed', run = id }) end
  run.claim, run.was = input.number, was
  taken[#taken + 1] = claimed(id, run, was)
end

-- What the same claim has got before.
local function taken_before(name, wanted, taken)
  local ids, of = {}, {}
  for _, member in ipairs(redis.call('SMEMBERS', key('held:' .. name))) do
    local task, id = string.match(member, '^([^:]*):(.*)$')
    if wanted[task] then ids[#ids + 1], of[#of + 1] = id, task end
  end
  load_tasks(of)
  load_runs(ids)
  local got = {}
  for at, id in ipairs(ids) do
    local run = run_of(id)
    if run and run.claim == input.number then
      got[#got + 1] = { id = id, rank = rank(task_of(of[at]), tonumber(run.due_at)), place = pad(run.scheduled_at) }
    end
  end
  table.sort(got, is_before)
  for at = 1, math.min(#got, input.max) do
    local run = run_of(got[at].id)
    taken[at] = claimed(got[at].id, run, run.was)
  end
end

-- When the next attempt of a run of the claim's tasks is due.
local function next_attempt(wanted)
  settle('retrying')
  local from = 0
  while true do
    local page = redis.call('ZRANGE', key('retrying'), from, from + 63, 'WITHSCORES')
    if #page == 0 then return nil end
    for at = 1, #page, 2 do
      if wanted[string.match(page[at], '^[^:]*')] then return text(tonumber(page[at + 1])) end
    end
    from = from + 64
  end
end

local function is_any_known(ids)
  for _, id in ipairs(ids) do
    if redis.call('HEXISTS', key('tasks'), id) == 1 then return true end
  end
  return false
end

function calls.claim()
  local name, taken, wanted = input.holder.node, {}, {}
  for _, id in ipairs(input.tasks or {}) do wanted[id] = true end
  if next(wanted) and not is_any_known(input.tasks) then return nil end
  local node = greet(input.holder)
  if node.claim == input.number then
    taken_before(name, wanted, taken)
  else
    node.claim = input.number
    save_node(name, node)
  end
  retries_come_due(1000)
  list_tasks()
  list_groups()
  push_orphans(name, node, wanted)
  push_next({ name = 'ready', from = 0 })
  while #taken < input.max and #heap > 0 do
    local entry = pop()
    if entry.list then
      look_at(entry.member, wanted, input.max - #taken)
      push_next(entry.list)
    elseif entry.orphan then
      take(entry.orphan, name, taken)
    else
      local task, lane = task_of(entry.task), entry.lane
      if may_begin(task, lane.lane) then
        if lane.at == 1 then
          local ids = {}
          for at, member in ipairs(lane.members) do ids[at] = run_in(member) end
          load_runs(ids)
        end
        take(run_in(lane.members[lane.at]), name, taken)
        lane.at = lane.at + 1
      end
      push_first(entry.task, task, entry.lanes)
    end
  end
  list_lease(name, node)
  return { runs = #taken > 0 and taken or nil, next_at = next_attempt(wanted) }
end

-- The first tasks in which something might be claimed: for a node that knows too many to name them all.
function calls.peek()
  local found, seen, is_cut = {}, {}, false
  local function see(id)
    if not seen[id] then
      seen[id] = true
      found[#found + 1] = id
    end
  end
  local function first(name)
    local members = redis.call('ZRANGE', key(name), 0, input.max - 1)
    is_cut = is_cut or #members == input.max
    return members
  end
  local function see_ready(name)
    for _, member in ipairs(first(name)) do
      if string.sub(member, 1, 2) == 'g:' then see_ready('ready:' .. string.sub(member, 3)) else see(member) end
    end
  end
  retries_come_due(1000)
  list_tasks()
  list_groups()
  see_ready('ready')
  settle('retrying')
  for _, member in ipairs(first('retrying')) do see(string.match(member, '^[^:]*')) end
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. present)) do
    for _, member in ipairs(redis.call('SMEMBERS', key('held:' .. other))) do see(string.match(member, '^[^:]*')) end
  end
  return { tasks = #found > 0 and found or nil, is_cut = is_cut }
end
