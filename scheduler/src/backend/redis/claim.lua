-- Who gets which run: those that wait, those whose next attempt is due, and those of dead nodes.

-- A heap of what might be claimed next: runs, and places in the lists of tasks that are still to be looked at.
step.heap = {}

function step.is_before(one, other)
  if one.rank ~= other.rank then return one.rank < other.rank end
  return one.place < other.place
end

function step.push(entry)
  local at = #step.heap + 1
  step.heap[at] = entry
  while at > 1 do
    local above = math.floor(at / 2)
    if not step.is_before(step.heap[at], step.heap[above]) then return end
    step.heap[at], step.heap[above] = step.heap[above], step.heap[at]
    at = above
  end
end

function step.pop()
  local first, last = step.heap[1], table.remove(step.heap)
  if #step.heap == 0 then return first end
  step.heap[1] = last
  local at = 1
  while true do
    local least, left = at, 2 * at
    if step.heap[left] and step.is_before(step.heap[left], step.heap[least]) then least = left end
    if step.heap[left + 1] and step.is_before(step.heap[left + 1], step.heap[least]) then least = left + 1 end
    if least == at then return first end
    step.heap[at], step.heap[least] = step.heap[least], step.heap[at]
    at = least
  end
end

-- Has the next task of a list looked at when its turn has come. Of a page the tasks that are wanted are read together.
function step.push_next(list)
  if not list.page or list.at > #list.page then
    local wanted, few = list.wanted, math.min(64, math.max(list.most, 8))
    list.page = redis.call('ZRANGE', step.key(list.name), list.from, list.from + few - 1, 'WITHSCORES')
    list.from, list.at = list.from + few, 1
    if #list.page == 0 then return end
    local ids = {}
    for at = 1, #list.page, 2 do
      if wanted[list.page[at]] then ids[#ids + 1] = list.page[at] end
    end
    step.load_tasks(ids)
  end
  step.push({ rank = tonumber(list.page[list.at + 1]), place = '', list = list, member = list.page[list.at] })
  list.at = list.at + 2
end

function step.may_begin(task, lane)
  local letter = step.lane_letter(lane)
  if (letter == 's' or letter == 'S' or letter == 'B' or step.OF_JOBS[letter]) and step.pause_of(task) then return false end
  if (letter == 's' or letter == 't' or letter == 'f' or letter == 'j') and not step.has_room(task) then return false end
  if letter == 'f' and task.following and task.following[string.sub(lane, 2)] then return false end
  return step.group_has_room(task.group)
end

-- How many runs of a lane are read at first; what is used up is followed by twice as many. Of each of many tasks a claim takes
-- a few: to read all that it might take would be to read a whole backlog.
step.READ_AT_FIRST = 4

function step.lane(id, lane, most)
  local few = math.min(most, step.READ_AT_FIRST)
  local begin = id .. ':' .. lane
  local members = step.first_written('waiting', begin, few)
  return { lane = lane, begin = begin, members = members, at = 1, few = few, left = most - few }
end

-- Reads on where all that was read of a lane is taken.
function step.read_on(lane)
  if lane.at <= #lane.members or (lane.left or 0) <= 0 then return end
  lane.few = math.min(2 * lane.few, lane.left)
  lane.left = lane.left - lane.few
  lane.members, lane.at = step.written_after('waiting', lane.members[#lane.members], lane.begin, lane.few), 1
end

-- How many runs of a lane could be taken.
function step.few_of(task, letter, count, most)
  local few = math.min(count, most)
  if (letter == 's' or letter == 't' or letter == 'j') and task.alive_max then
    few = math.min(few, math.max(task.alive_max - task.begun, 1))
  end
  return few
end

-- The lanes of a task, each with its first runs; and whether something is left to those who can read it. A claim looks at each
-- task once, before it changes what waits of it.
function step.lanes_of(id, task, most, reads)
  local lanes, is_left = {}, false
  -- What is set aside leaves its room to the others.
  if step.waits_in(task, 'J') > 0 then
    is_left = jobs.add_lanes(id, task, 'J', most, reads[id] or 0, lanes)
  end
  for letter, count in pairs(task.waiting or {}) do
    if letter == 'f' then
      for _, member in ipairs(step.firsts_of_backfills(id)) do
        lanes[#lanes + 1] = { lane = step.lane_in(member), members = { member }, at = 1 }
      end
    elseif letter == 'j' then
      local few = step.few_of(task, letter, count, most)
      is_left = jobs.add_lanes(id, task, letter, few, reads[id] or 0, lanes) or is_left
    elseif letter ~= 'J' then
      local few = step.few_of(task, letter, count, most)
      lanes[#lanes + 1] = step.lane(id, letter, few)
    end
  end
  return lanes, is_left
end

-- Has the first run of a task that may begin be claimed when its turn has come. Tells whether there is one.
function step.push_first(id, task, lanes)
  local best, rank, place = nil, nil, nil
  for _, lane in ipairs(lanes) do
    local member = lane.members[lane.at]
    if member and step.may_begin(task, lane.lane) then
      local its_rank, its_place = step.rank_in(task, member), step.place_in(member)
      if not best or its_rank < rank or its_rank == rank and its_place < place then
        best, rank, place = lane, its_rank, its_place
      end
    end
  end
  if not best then return false end
  step.push({ rank = rank, place = place, task = id, lanes = lanes, lane = best })
  return true
end

function step.look_at(member, wanted, reads, most)
  if string.sub(member, 1, 2) == 'g:' then
    local name = string.sub(member, 3)
    if step.group_has_room(name) then step.push_next({ name = 'ready:' .. name, from = 0, wanted = wanted, most = most }) end
    return
  end
  local task = wanted[member] and step.task_of(member)
  if not task then return end
  local lanes, is_left = step.lanes_of(member, task, most, reads)
  -- What this node cannot read another can: the task stays listed.
  if not step.push_first(member, task, lanes) and not is_left and step.group_has_room(task.group) then step.vain[member] = true end
end

-- Ends a run whose node is dead, if it may not be executed again.
function step.ends_with_its_node(id, run)
  local task, deaths = step.task_of(run.task), run.deaths + 1
  local died = { kind = 'died', task = run.task, run = id, node = run.holder, attempt = run.attempt, deaths = deaths, at = step.present }
  if run.cancelling then
    step.say({ kind = 'cancelled', task = run.task, run = id, cause = run.cancelling, was = 'queued' })
    step.end_run(id, run, 'cancelled', { cause = run.cancelling }, nil, step.present)
  elseif task.at_most_once then
    died.state = 'abandoned'
    step.say(died)
    step.end_run(id, run, 'abandoned', {}, nil, step.present)
  elseif deaths >= step.NODE_DEATHS_MAX then
    died.state = 'failed'
    step.say(died)
    step.end_run(id, run, 'failed', { deaths = deaths }, nil, step.present)
  else
    return false
  end
  return true
end

-- The runs of other holders that are free for the claimant and may be executed again; the others end. Under a pause they stay
-- where they are.
function step.push_orphans(name, node, wanted, reads)
  local left = redis.call('ZRANGEBYSCORE', step.key('leases'), '-inf', '(' .. step.present)
  for _, other in ipairs(left) do
    local row = other ~= name and redis.call('HGET', step.key('nodes'), other)
    if row and step.leaves_to(cjson.decode(row), node) then
      local members = redis.call('SMEMBERS', step.key('held:' .. other))
      if #members == 0 then redis.call('ZREM', step.key('leases'), other) end
      local ids, of = {}, {}
      for _, member in ipairs(members) do
        local task, id = string.match(member, '^([^:]*):(.*)$')
        if wanted[task] then
          ids[#ids + 1], of[#of + 1] = id, task
        end
      end
      step.load_tasks(of)
      step.load_runs(ids)
      for _, id in ipairs(ids) do
        local run = step.run_of(id)
        if run and not step.ends_with_its_node(id, run) then
          local task = step.task_of(run.task)
          if run.origin == 'job' and run.version > (reads[run.task] or 0) then
            jobs.set_aside(id, run)
          elseif not ((step.is_scheduled(run) or run.origin == 'job') and step.pause_of(task)) then
            step.push({ rank = step.rank_of_run(task, run), place = step.place_of(run), orphan = id })
          end
        end
      end
    end
  end
end

function step.claimed(id, run, was)
  return {
    task = run.task, id = id, token = run.token, success = step.task_of(run.task).last_success, origin = run.origin,
    origin_id = run.origin_id, scheduled_at = run.scheduled_at, due_at = run.due_at, missed = run.missed,
    missed_first = run.missed_first, attempt = run.attempt, abandoned = run.abandoned, was = was, version = run.version,
  }
end

function step.take(id, name, taken)
  local run = step.run_of(id)
  local was = run.state
  if was == 'queued' then
    if step.waits_as_job(run) then jobs.gone[#jobs.gone + 1] = id end
    step.leave_waiting(id, run)
    -- Under its first one it may have been held before, by a claim that was lost.
    if run.attempt == 0 then run.token = step.next_token(run) end
  elseif was == 'retrying' then
    step.leave_retrying(id, run)
  else
    step.release(id, run)
    run.abandoned, run.deaths = run.abandoned + 1, run.deaths + 1
  end
  step.give(id, run, name)
  if was == 'retrying' and run.put_off_by ~= name then step.say({ kind = 'resumed', run = id }) end
  run.claim, run.was = step.input.number, was
  taken[#taken + 1] = step.claimed(id, run, was)
end

-- What the same claim has got before.
function step.taken_before(name, wanted, taken)
  local ids, of = {}, {}
  for _, member in ipairs(redis.call('SMEMBERS', step.key('held:' .. name))) do
    local task, id = string.match(member, '^([^:]*):(.*)$')
    if wanted[task] then ids[#ids + 1], of[#of + 1] = id, task end
  end
  step.load_tasks(of)
  step.load_runs(ids)
  local got = {}
  for at, id in ipairs(ids) do
    local run = step.run_of(id)
    if run and run.claim == step.input.number then
      got[#got + 1] = { id = id, rank = step.rank_of_run(step.task_of(of[at]), run), place = step.place_of(run) }
    end
  end
  table.sort(got, step.is_before)
  for at = 1, math.min(#got, step.input.max) do
    local run = step.run_of(got[at].id)
    taken[at] = step.claimed(got[at].id, run, run.was)
  end
end

-- What jobs are called with travels with them.
function step.with_arguments(taken)
  for _, run in ipairs(taken) do
    if run.version then return jobs.with_arguments(taken) end
  end
end

makers[2] = function()
  -- How many bytes of arguments a claim brings, a single job apart: the server writes them while nobody else is served.
  jobs.TOGETHER_BYTES_MAX = 4 * 1024 * 1024
  -- How many jobs that the claimer cannot read a claim sets aside; the others it leaves to the next one.
  jobs.SET_ASIDE_MAX = 256
  jobs.set_aside_count = 0
  jobs.bytes_brought = 0

  -- The lanes of jobs, of which each version of arguments has one, up to the one that the claimer can read. Tells whether there
  -- are others: they are for other nodes, and what of them has begun waits for these without its room.
  function jobs.add_lanes(id, task, letter, few, reads, lanes)
    local is_left = false
    for _, member in ipairs(jobs.firsts(id, letter)) do
      local lane = step.lane_in(member)
      if jobs.version_in(lane) <= reads then
        lanes[#lanes + 1] = step.lane(id, lane, few)
      else
        is_left = true
        local most = jobs.SET_ASIDE_MAX - jobs.set_aside_count
        if letter == 'J' and most > 0 then jobs.set_aside_all(step.first_written('waiting', id .. ':' .. lane, most)) end
      end
    end
    return is_left
  end

  -- Has a job that the claimer cannot read, and that has begun, wait for somebody who can, without room: after a roll-back it
  -- would keep its task from all other work.
  function jobs.set_aside(id, run)
    if run.state == 'retrying' then
      step.leave_retrying(id, run)
      if run.put_off_by ~= step.input.holder.node then step.say({ kind = 'resumed', run = id }) end
    else
      step.release(id, run)
      run.abandoned, run.deaths = run.abandoned + 1, run.deaths + 1
    end
    step.wait_again(id, run)
    step.say_runnable()
  end

  function jobs.set_aside_all(members)
    local ids = {}
    for at, member in ipairs(members) do ids[at] = step.run_in(member) end
    step.load_runs(ids)
    for _, id in ipairs(ids) do jobs.set_aside(id, step.run_of(id)) end
    jobs.set_aside_count = jobs.set_aside_count + #ids
  end

  -- What a job is called with travels beside the answer, and is named by its place there.
  function jobs.with_arguments(claimed)
    local ids = {}
    for _, run in ipairs(claimed) do
      if run.version then ids[#ids + 1] = run.id end
    end
    for at, arguments in ipairs(step.get_all('arguments', ids)) do step.texts[at] = arguments or '' end
  end

  -- Whether the arguments of a run go with those that the claim brings already.
  function jobs.fits(id)
    local bytes = jobs.bytes_brought + redis.call('HSTRLEN', step.key('arguments'), id)
    if bytes > jobs.TOGETHER_BYTES_MAX and jobs.bytes_brought > 0 then return false end
    jobs.bytes_brought = bytes
    return true
  end
end

-- How many runs that are to go on, and jobs that are to begin later, are looked at for one of the claim's: there are few of the
-- former, and of the latter there may be a great many for tasks that only other nodes know.
step.RETRYING_LOOKED_AT, step.LATER_LOOKED_AT = 1024, 128

-- When the first run of an index is due that is one of the claim's; if there are many others before it, when one of those is,
-- and the claim that is made then goes on from there.
function step.next_in(index, most, is_wanted)
  step.settle(index)
  local from, upto = 0, nil
  while from < most do
    local page = redis.call('ZRANGE', step.key(index), from, from + 63, 'WITHSCORES')
    if #page == 0 then return nil end
    for at = 1, #page, 2 do
      if is_wanted(page[at]) then return step.text(tonumber(page[at + 1])) end
    end
    from, upto = from + 64, page[#page]
  end
  return step.text(tonumber(upto))
end

-- When there is something to claim again: the next attempt of a run, or, if there is any, a job that is to begin later.
function step.next_at(wanted, reads)
  local again = step.next_in('retrying', step.RETRYING_LOOKED_AT, function(member) return wanted[string.match(member, '^[^:]*')] end)
  local later = reads and step.next_in('later', step.LATER_LOOKED_AT, function(member)
    local of, lane = string.match(member, '^([^:]*):([^:]*)')
    return wanted[of] and jobs.version_in(lane) <= (reads[of] or 0)
  end)
  return again and later and step.earlier(again, later) or again or later or nil
end

function step.is_any_known(ids)
  for _, id in ipairs(ids) do
    if redis.call('HEXISTS', step.key('tasks'), id) == 1 then return true end
  end
  return false
end

-- Whether all tasks of a claim that names none have been named before.
function step.are_named(claim)
  local row = redis.call('HGET', step.key('nodes'), claim.holder.node)
  if not row or cjson.decode(row).named ~= claim.named then return false end
  if redis.call('SCARD', step.key('named:' .. claim.holder.node)) ~= claim.count then return false end
  return claim.count_of_jobs == 0 or redis.call('HLEN', step.key('reads:' .. claim.holder.node)) == claim.count_of_jobs
end

-- Which tasks a claim is for, by their ids.
function step.wanted_by(claim)
  local wanted = {}
  for _, id in ipairs(claim.tasks or {}) do wanted[id] = true end
  if not claim.named then return wanted end
  local named = step.key('named:' .. claim.holder.node)
  return setmetatable(wanted, {
    __index = function(_, id)
      wanted[id] = redis.call('SISMEMBER', named, id) == 1
      return wanted[id]
    end,
  })
end

-- Up to which version the claimer reads the arguments of a task's jobs.
function step.reads_of(claim)
  if not claim.named or claim.count_of_jobs == 0 then return claim.jobs or {} end
  local named = step.key('reads:' .. claim.holder.node)
  return setmetatable({}, {
    __index = function(reads, id)
      reads[id] = tonumber(redis.call('HGET', named, id)) or 0
      return reads[id]
    end,
  })
end

-- Whether a run is brought with those that the claim brings already.
function step.fits(id, run)
  return run.origin ~= 'job' or jobs.fits(id)
end

-- Takes what is first, if it may still begin; tells whether the claim goes on.
function step.take_entry(entry, name, taken)
  if entry.orphan then
    if not step.fits(entry.orphan, step.run_of(entry.orphan)) then return false end
    step.take(entry.orphan, name, taken)
    return true
  end
  local task, lane = step.task_of(entry.task), entry.lane
  if step.may_begin(task, lane.lane) then
    if lane.at == 1 then
      local ids = {}
      for at, member in ipairs(lane.members) do ids[at] = step.run_in(member) end
      if step.lane_letter(lane.lane) == 'j' then jobs.load(ids) else step.load_runs(ids) end
    end
    local id = step.run_in(lane.members[lane.at])
    if not step.fits(id, step.run_of(id)) then return false end
    step.take(id, name, taken)
    lane.at = lane.at + 1
    step.read_on(lane)
  end
  step.push_first(entry.task, task, entry.lanes)
  return true
end

function calls.claim()
  if step.input.tasks and not step.is_any_known(step.input.tasks) then return nil end
  if step.input.named and not step.are_named(step.input) then return { is_unnamed = true } end
  local name, taken, wanted, reads = step.input.holder.node, {}, step.wanted_by(step.input), step.reads_of(step.input)
  local node, is_cut = step.greet(step.input.holder), false
  if node.claim == step.input.number then
    -- No more than that: if this comes late, nobody waits for its answer.
    step.taken_before(name, wanted, taken)
    step.with_arguments(taken)
    return { runs = #taken > 0 and taken or nil, next_at = #taken < step.input.max and step.present or nil }
  elseif node.claim and tonumber(node.claim) > tonumber(step.input.number) then
    -- Its holder has claimed since, and waits for no answer to this: what it got nobody would execute.
    return {}
  end
  node.claim = step.input.number
  step.save_node(name, node)
  step.retries_come_due(1000)
  local has_later = step.jobs_come_due(256)
  step.list_tasks()
  step.list_groups()
  step.settle('waiting')
  local gone = #step.runs_gone
  step.push_orphans(name, node, wanted, reads)
  if #step.runs_gone > gone then
    -- What has ended with its node has made room.
    step.list_tasks()
    step.list_groups()
    step.settle('waiting')
  end
  step.push_next({ name = 'ready', from = 0, wanted = wanted, most = step.input.max })
  while #taken < step.input.max and #step.heap > 0 do
    local entry = step.pop()
    if entry.list then
      step.look_at(entry.member, wanted, reads, step.input.max - #taken)
      step.push_next(entry.list)
    elseif not step.take_entry(entry, name, taken) then
      is_cut = true
      break
    end
  end
  step.with_arguments(taken)
  step.list_lease(name, node)
  return { runs = #taken > 0 and taken or nil, next_at = is_cut and step.present or step.next_at(wanted, has_later and reads) }
end

-- A node tells which tasks it claims, some at a time: too many to be named by each claim. Those of another set are forgotten.
function calls.name()
  if not step.is_any_known(step.input.tasks) then return nil end
  local name, node = step.input.holder.node, step.greet(step.input.holder)
  if node.named ~= step.input.named then
    redis.call('UNLINK', step.key('named:' .. name), step.key('reads:' .. name))
    node.named = step.input.named
    step.save_node(name, node)
  end
  step.call_all('SADD', 'named:' .. name, step.input.tasks)
  local reads = {}
  for id, version in pairs(step.input.jobs or {}) do
    reads[#reads + 1] = id
    reads[#reads + 1] = version
  end
  step.call_all('HSET', 'reads:' .. name, reads)
  return {}
end
