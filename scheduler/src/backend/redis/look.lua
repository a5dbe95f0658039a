-- What is there, for those who only look, and what has changed.

function calls.version()
  return { version = step.version }
end

function calls.changes()
  local behind = step.version - step.input.since
  if behind <= 0 then return { version = step.version } end
  if behind <= redis.call('LLEN', step.key('changes')) then
    local rows = {}
    for at, row in ipairs(redis.call('LRANGE', step.key('changes'), -behind, -1)) do rows[at] = cjson.decode(row) end
    return { version = step.version, changes = rows }
  end
  local asked = {}
  local ids = redis.call('SMEMBERS', step.key('asked'))
  step.load_runs(ids)
  for _, id in ipairs(ids) do
    local run = step.run_of(id)
    if run and run.cancelling then
      asked[#asked + 1] = { kind = 'cancelled', task = run.task, run = id, cause = run.cancelling, was = run.state }
    end
    if run and run.holder and run.put_off_by then asked[#asked + 1] = { kind = 'resumed', run = id } end
  end
  asked[#asked + 1] = { kind = 'runnable' }
  asked[#asked + 1] = { kind = 'all_tasks' }
  return { version = step.version, changes = asked }
end

-- Fields of a hash, each with its value, or false.
function calls.get()
  return { rows = step.get_all(step.input.of, step.input.fields) }
end

-- A page of a hash, a field and its value by turns.
function calls.scan()
  local page = redis.call('HSCAN', step.key(step.input.of), step.input.cursor, 'COUNT', step.input.max)
  return { cursor = page[1], rows = #page[2] > 0 and page[2] or nil }
end

-- The runs of a task that are alive.
function calls.alive()
  local id, task, seen = step.input.task, step.task_of(step.input.task), {}
  local ids = task and step.all_begun(id, task) or {}
  for _, run in ipairs(ids) do seen[run] = true end
  for _, member in ipairs(redis.call('ZRANGEBYLEX', step.key('waiting'), '[' .. id .. ':', '(' .. id .. ';')) do
    -- A next attempt that waits has begun.
    local run = step.run_in(member)
    if not seen[run] then ids[#ids + 1] = run end
  end
  return { runs = #ids > 0 and ids or nil }
end

-- Runs that have ended, the last first: a page of them, and where the next begins.
function calls.past()
  local ids, cursor = {}, nil
  if not step.input.task then
    local page = redis.call('ZREVRANGEBYSCORE', step.key('history'), step.input.before or '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, step.input.max)
    for at = 1, #page, 2 do ids[#ids + 1] = page[at] end
    if #ids == step.input.max then cursor = '(' .. page[#page] end
  else
    -- Its last runs, then the failures before them; each list is read from its end.
    local name, from = 'past', 0
    if step.input.before then
      name, from = string.match(step.input.before, '^(%a+) (%d+)$')
    end
    local page = redis.call('LRANGE', step.key(name .. ':' .. step.input.task), -from - step.input.max, -from - 1)
    for at = #page, 1, -1 do ids[#ids + 1] = step.run_in(page[at]) end
    if #page == step.input.max then
      cursor = name .. ' ' .. step.text(from + step.input.max)
    elseif name == 'past' then
      cursor = 'failed 0'
    end
  end
  local rows = {}
  for at, row in ipairs(step.get_all('ended', ids)) do
    if row then rows[#rows + 1] = { ids[at], row } end
  end
  return { rows = #rows > 0 and rows or nil, before = cursor }
end

-- What keeps Redis from being a store, as it says itself; and the version of what is kept.
function calls.open()
  local told = redis.pcall('INFO', 'memory')
  local policy = type(told) == 'string' and string.match(told, 'maxmemory_policy:([%w-]+)') or nil
  local reached, admits = step.store ~= '' and tonumber(step.meta[6]) or 0, tonumber(redis.call('HGET', KEYS[1], 'admits')) or 0
  if step.input.make and admits <= step.input.known and reached < step.input.known then
    step.meta_changes.schema_version, step.meta_changes.admits = step.text(step.input.known), step.text(step.input.admits)
    if step.store == '' then
      step.store = step.input.make
      step.meta_changes.store = step.store
    end
  end
  return { policy = policy, reached = reached, admits = admits }
end
