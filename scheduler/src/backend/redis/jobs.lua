-- Jobs, which are enqueued with arguments. One that waits is no run yet: its row stands in `jobs`, and moves to `runs` when it
-- begins. What it is called with stands in `arguments` until it has ended, so that nothing reads it but the claim that brings it.
--
-- j and the version of arguments: the lane of jobs that wait, and are due · J and the same: that of next attempts. In both
-- the first is by priority, then by the instant at which it was due. `later` has those that are not due yet, `planned` all
-- that wait, by their instants, over all and of each task.
--
-- Redis makes all functions of a script anew for each call. Those about jobs are made by the first that is called: steps that
-- are about none are spared that.

local jobs, makers = {}, {}

setmetatable(jobs, {
  __index = function(_, name)
    setmetatable(jobs, nil)
    for _, make in ipairs(makers) do make() end
    step.has_jobs = true
    return jobs[name]
  end,
})

-- What travels beside the answer: arguments.
step.texts = {}

makers[1] = function()
  jobs.LETTERS_KEPT_MS = 30 * 24 * 60 * 60 * 1000
  jobs.LETTERS_MAX = 10000

  jobs.USUAL = { origin = 'job', state = 'queued', attempt = 0, abandoned = 0, deaths = 0 }
  jobs.OF_USUAL = { __index = jobs.USUAL }

  -- Rows and arguments that go, and those that come; dead letters of tasks.
  jobs.gone, jobs.arguments_gone, jobs.arguments_added = {}, {}, {}
  jobs.letters_added, jobs.letters_gone, jobs.buried_of = {}, {}, {}
  -- Who has a key: its run, and if that has ended the instant up to which it is held all the same.
  jobs.keys, jobs.keys_changed = {}, {}
  jobs.seen = {}

  function jobs.version_in(lane)
    return tonumber(string.sub(lane, 2))
  end

  -- The first of each version of arguments of which jobs of the task wait.
  function jobs.firsts(id, letter)
    local firsts, from = {}, '[' .. id .. ':' .. letter
    while true do
      local member = redis.call('ZRANGEBYLEX', step.key('waiting'), from, '(' .. id .. ':' .. letter .. ';', 'LIMIT', 0, 1)[1]
      if not member then return firsts end
      firsts[#firsts + 1] = member
      from = '(' .. id .. ':' .. step.lane_in(member) .. ';'
    end
  end

  -- Whether the first job of a task that could begin but for want of room is one that a reader of `version` cannot read.
  function jobs.has_newer(id, task, version)
    local first, rank = nil, nil
    for _, letter in ipairs({ 'j', 'J' }) do
      if step.waits_in(task, letter) > 0 then
        for _, member in ipairs(jobs.firsts(id, letter)) do
          local its_rank = step.rank_in(task, member)
          if not rank or its_rank < rank then first, rank = member, its_rank end
        end
      end
    end
    return first ~= nil and jobs.version_in(step.lane_in(first)) > version
  end

  function jobs.load(ids)
    local missing = {}
    for _, id in ipairs(ids) do
      if not step.runs[id] and not jobs.seen[id] then missing[#missing + 1] = id end
      jobs.seen[id] = true
    end
    for at, row in ipairs(step.get_all('jobs', missing)) do
      if row then
        local run = setmetatable(cjson.decode(row), jobs.OF_USUAL)
        run.origin, run.origin_id, run.due_at = 'job', missing[at], run.due_at or run.scheduled_at
        step.runs[missing[at]] = run
      end
    end
  end

  -- A job that waits.
  function jobs.find(id)
    jobs.load({ id })
    return step.runs[id] or nil
  end

  -- A row of `jobs`, as it is written. What was usual of a run that has begun is not usual of a job.
  function jobs.unusual(run)
    local row = {}
    for field, value in pairs(run) do row[field] = value end
    for field, usual in pairs(jobs.USUAL) do
      row[field] = run[field] ~= usual and run[field] or nil
    end
    row.token, row.origin_id, row.was, row.claim = run.token, nil, nil, nil
    if row.due_at == row.scheduled_at then row.due_at = nil end
    return cjson.encode(row)
  end

  -- How many jobs of a task wait.
  function jobs.waiting(task)
    return step.waits_in(task, 'j') + (task.later or 0)
  end

  function jobs.count_later(id, task, more)
    local count = (task.later or 0) + more
    task.later = count > 0 and count or nil
    step.tasks_changed[id] = true
  end

  function jobs.plan(id, run)
    step.add('planned', id, run.scheduled_at)
    step.add('planned:' .. run.task, id, run.scheduled_at)
  end

  function jobs.unplan(id, run)
    step.remove('planned', id)
    step.remove('planned:' .. run.task, id)
  end

  -- Has a job wait that has not begun: for its instant, or to be claimed.
  function jobs.enqueue(id, run)
    if tonumber(run.scheduled_at) <= step.now then return step.enter_waiting(id, run) end
    run.made = step.number()
    jobs.plan(id, run)
    step.add('later', step.waiting_member(id, run), run.scheduled_at)
    jobs.count_later(run.task, step.tasks[run.task], 1)
  end

  -- Takes a job from where it waits for its instant, or to be claimed.
  function jobs.leave(id, run)
    local member = step.waiting_member(id, run)
    local score = redis.call('ZSCORE', step.key('later'), member)
    if not score then return step.leave_waiting(id, run) end
    step.remove('later', member)
    jobs.unplan(id, run)
    jobs.count_later(run.task, step.tasks[run.task], -1)
  end

  -- Lets those wait to be claimed that are due; all that is to be known of them stands in their members.
  function jobs.come_due(max)
    local of, counts = {}, {}
    local due = redis.call('ZRANGEBYSCORE', step.key('later'), '-inf', step.present, 'LIMIT', 0, max)
    for at, member in ipairs(due) do
      of[at] = string.match(member, '^[^:]*')
      counts[of[at]] = (counts[of[at]] or 0) + 1
      step.remove('later', member)
      step.add('waiting', member, 0)
    end
    step.load_tasks(of)
    for id, count in pairs(counts) do
      local task = step.task_of(id)
      step.only_rank[id] = nil
      step.count_waiting(task, 'j', count)
      jobs.count_later(id, task, -count)
      step.touched[id] = true
    end
    -- Who looks for one finds it in the one place and not in the other.
    step.settle('later')
    step.settle('waiting')
  end

  function jobs.key_field(task, key)
    return task .. ':' .. key
  end

  -- The job that has a key, if one has it by now.
  function jobs.holder_of_key(field)
    if jobs.keys[field] == nil then jobs.keys[field] = redis.call('HGET', step.key('keys'), field) end
    local id, till = string.match(jobs.keys[field] or '', '^(%S+) ?(%S*)$')
    if not id or till ~= '' and tonumber(till) <= step.now then return nil end
    return id
  end

  function jobs.change_key(field, holder)
    jobs.keys[field], jobs.keys_changed[field] = holder, true
  end

  -- What is left of a job whose run has ended: a dead letter, a key, or nothing.
  function jobs.end_one(id, run, state, at, why)
    if run.key then
      local field = jobs.key_field(run.task, run.key)
      local is_held = run.unique_until and tonumber(run.unique_until) > step.now
      jobs.change_key(field, is_held and id .. ' ' .. run.unique_until or false)
      if is_held then step.add('freed', field, run.unique_until) end
    end
    if not step.FAILURES[state] and why.cause ~= 'unclaimed' then
      jobs.arguments_gone[#jobs.arguments_gone + 1] = id
      return
    end
    jobs.letters_added[#jobs.letters_added + 1] = id
    jobs.letters_added[#jobs.letters_added + 1] = cjson.encode({
      task = run.task, scheduled_at = run.scheduled_at, finished_at = at, state = state, attempt = run.attempt,
      failure = why.failure, cause = why.cause, deaths = why.deaths, version = run.version, priority = run.priority, key = run.key,
      unique_until = run.unique_until,
    })
    jobs.buried_of[run.task] = true
    step.add('dead', id, at)
    step.add('dead:' .. run.task, id, at)
  end

  -- Gives up a letter. Its key is held for as long as was asked.
  function jobs.give_up_letter(id, task)
    jobs.letters_gone[#jobs.letters_gone + 1] = id
    jobs.arguments_gone[#jobs.arguments_gone + 1] = id
    step.remove('dead', id)
    step.remove('dead:' .. task, id)
  end

  -- Gives up the letters of a task that are too many or too old, some at a time.
  function jobs.prune_letters(id)
    local dead = step.key('dead:' .. id)
    local many = math.min(redis.call('ZCARD', dead) - jobs.LETTERS_MAX, step.PRUNE_MAX)
    local gone = many > 0 and redis.call('ZRANGE', dead, 0, many - 1)
      or redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. step.text(step.now - jobs.LETTERS_KEPT_MS), 'LIMIT', 0, step.PRUNE_EVERY)
    for _, letter in ipairs(gone) do jobs.give_up_letter(letter, id) end
  end

  -- What goes of jobs, before all that is written.
  function jobs.save_gone()
    step.call_all('HDEL', 'jobs', jobs.gone)
    step.call_all('HDEL', 'arguments', jobs.arguments_gone)
    step.call_all('HDEL', 'letters', jobs.letters_gone)
    jobs.gone, jobs.arguments_gone, jobs.letters_gone = {}, {}, {}
  end

  function jobs.save()
    step.call_all('HSET', 'arguments', jobs.arguments_added)
    step.call_all('HSET', 'letters', jobs.letters_added)
    local taken, freed = {}, {}
    for field in pairs(jobs.keys_changed) do
      if jobs.keys[field] then
        taken[#taken + 1] = field
        taken[#taken + 1] = jobs.keys[field]
      else
        freed[#freed + 1] = field
      end
    end
    step.call_all('HDEL', 'keys', freed)
    step.call_all('HSET', 'keys', taken)
    for id in pairs(jobs.buried_of) do
      step.settle('dead:' .. id)
      jobs.prune_letters(id)
    end
    jobs.save_gone()
  end
end
