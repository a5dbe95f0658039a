-- How attempts end, are followed by another, are given back, and are cancelled.

function step.put_off(ending, run)
  run.put_off_by = run.holder
  step.asked_changed[ending.id] = true
  step.release(ending.id, run)
  run.state, run.due_at, run.failure = 'retrying', ending.at, ending.failure
  step.add('retrying', step.retrying_member(ending.id, run), ending.at)
  step.runs_changed[ending.id] = true
end

function step.hand_back(ending, run)
  local id = ending.id
  step.release(id, run)
  if ending.started_at then
    run.abandoned = run.abandoned + 1
  else
    run.attempt = run.attempt - 1
    -- A token is never used twice, although no attempt has begun under it.
    run.token = step.next_token(run)
  end
  if not ending.started_at and run.attempt > 0 and run.failure then
    -- Between two attempts it keeps its room: queued, it would let others begin before it goes on.
    run.state = 'retrying'
    step.add('retrying', step.retrying_member(id, run), run.due_at)
  else
    step.wait_again(id, run)
  end
  step.say_runnable()
  step.runs_changed[id] = true
end

function step.finish(ending)
  local run = step.run_of(ending.id)
  if not run or not run.holder or run.token ~= ending.token then return nil end
  local id = run.task
  run.started_at = ending.started_at or run.started_at
  if ending.log then step.keep_log(ending.id, run, ending.log) end
  local how = ending.how or 'succeeded'
  if how ~= 'retry' and how ~= 'hand_back' then
    step.end_run(ending.id, run, how, { failure = ending.failure }, ending.started_at, ending.finished_at)
  elseif run.cancelling then
    -- Whoever was asked to cancel it did not come to know in time. The holder takes it for one that goes on.
    step.say({ kind = 'cancelled', task = id, run = ending.id, cause = run.cancelling, was = how == 'retry' and 'retrying' or 'queued' })
    step.end_run(ending.id, run, 'cancelled', { cause = run.cancelling }, ending.started_at, step.present)
  elseif how == 'retry' then
    step.put_off(ending, run)
  else
    step.hand_back(ending, run)
  end
  if step.task_of(id).waiting then step.touched[id] = true end
  return id, run.version
end

function calls.finish()
  local ids, of, answers = {}, {}, {}
  for at, ending in ipairs(step.input.ended) do ids[at] = ending.id end
  step.load_runs(ids)
  for _, id in ipairs(ids) do
    local run = step.run_of(id)
    if run then of[#of + 1] = run.task end
  end
  step.load_tasks(of)
  step.retries_come_due(256)
  for _, id in ipairs(of) do
    if step.task_of(id).later then
      step.jobs_come_due(256)
      break
    end
  end
  local read = {}
  for at, ending in ipairs(step.input.ended) do
    local id, version = step.finish(ending)
    answers[at], read[at] = id or false, version or false
  end
  for at, id in ipairs(answers) do
    local more = false
    if id then
      local task = step.task_of(id)
      more = task.waiting ~= nil
      if task.group and step.group_has_room(task.group) then
        more = more or redis.call('ZCARD', step.key('ready:' .. task.group)) > 0
      end
      -- Whoever ended this run may not know the task that its room goes to, or not read what waits of it.
      if more and (task.group or read[at] and jobs.has_newer(id, task, read[at])) then step.say_runnable() end
    end
    answers[at] = id and (more and 2 or 1) or 0
  end
  return { answers = answers }
end

function calls.lost()
  local ids, lost = {}, {}
  for at, held in ipairs(step.input.held) do ids[at] = held.id end
  step.load_runs(ids)
  for _, held in ipairs(step.input.held) do
    local run = step.run_of(held.id)
    if not run or not run.holder or run.token ~= held.token then lost[#lost + 1] = held.id end
  end
  return { runs = #lost > 0 and lost or nil }
end

function calls.cancel()
  local run = step.run_of(step.input.run) or jobs.find(step.input.run)
  if not run then return {} end
  local cancelled = { task = run.task, was = run.state }
  step.load_tasks({ run.task })
  step.ask_to_cancel(step.input.run, run, 'requested')
  return cancelled
end

-- Up to which version of arguments the nodes that are left read a task's jobs, those whose lease has not been over for so long;
-- 0 if they know the task and have none, nothing if none knows it.
function step.read_by_nodes(id, nodes, since)
  local reads = nil
  for name, node in pairs(nodes) do
    local knows = not node.left and node.lease_until >= since and redis.call('HGET', step.key('knows:' .. name), id)
    if knows then reads = math.max(reads or 0, tonumber(string.match(knows, 'r(%d+)')) or 0) end
  end
  return reads
end

-- When a run was made, as its id says itself: in its first 48 bits.
function step.made_at(id)
  return tonumber((string.gsub(string.sub(id, 1, 13), '-', '')), 16)
end

-- How many runs one step looks at that no node could claim.
step.LOOKED_AT_MAX = 4096

-- Ends runs that have waited for so long and that no node could claim, since none knows their task, or reads their arguments:
-- of those after `after` in the index of what waits, some at a time.
function calls.unclaimed()
  step.retries_come_due(1000)
  step.jobs_come_due(256)
  step.settle('waiting')
  local since, nodes, ended, max = step.now - step.input.wait_ms, step.all_nodes(), 0, step.input.max
  local function end_old(id, is_theirs)
    -- Its id tells without being looked up.
    if ended >= max or step.made_at(id) >= since then return end
    local run = step.run_of(id) or jobs.find(id)
    if not run or tonumber(run.due_at) >= since then return end
    if run.holder and not is_theirs then return end
    step.load_tasks({ run.task })
    if run.holder then
      step.say({ kind = 'cancelled', task = run.task, run = id, cause = 'unclaimed', was = run.state })
      step.end_run(id, run, 'cancelled', { cause = 'unclaimed' }, nil, step.present)
    else
      step.ask_to_cancel(id, run, 'unclaimed')
    end
    ended = ended + 1
  end
  if not step.input.after then
    for name, node in pairs(nodes) do
      if node.lease_until < since then
        for _, member in ipairs(redis.call('SMEMBERS', step.key('held:' .. name))) do
          local of, id = string.match(member, '^([^:]*):(.*)$')
          if not step.read_by_nodes(of, nodes, since) then end_old(id, true) end
        end
      end
    end
  end
  local after, looked = step.input.after or '-', 0
  for _ = 1, 200 do
    if looked > step.LOOKED_AT_MAX then break end
    local first = redis.call('ZRANGEBYLEX', step.key('waiting'), after, '+', 'LIMIT', 0, 1)[1]
    if not first or ended >= max then return { ended = ended } end
    local of = string.match(first, '^[^:]*')
    local reads = step.read_by_nodes(of, nodes, since)
    local behind = '(' .. of .. ';'
    if not reads then
      local old = redis.call('ZRANGEBYLEX', step.key('waiting'), after, behind, 'LIMIT', 0, 2 * max)
      for at, one in ipairs(old) do
        end_old(step.run_in(one), false)
        if at == 2 * max then behind = '(' .. one end
      end
      looked = looked + #old
    else
      -- What has begun and cannot be read is set aside by who looks for it.
      for _, member in ipairs(jobs.firsts(of, 'j')) do
        local lane = step.lane_in(member)
        if jobs.version_in(lane) > reads then
          -- Where the last page ended, or where the lane begins. Its order is that of claims: an old one may be behind many.
          local from, till = '[' .. of .. ':' .. lane .. ':', '(' .. of .. ':' .. lane .. ';'
          if string.sub(after, 2) > string.sub(from, 2) then from = after end
          local old = redis.call('ZRANGEBYLEX', step.key('waiting'), from, till, 'LIMIT', 0, 2 * max)
          for _, one in ipairs(old) do end_old(step.run_in(one), false) end
          looked = looked + #old
          if #old == 2 * max then
            behind = '(' .. old[#old]
            break
          end
        end
      end
    end
    after = behind
  end
  return { ended = ended, after = after }
end
