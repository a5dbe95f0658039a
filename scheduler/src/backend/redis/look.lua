-- What is there, for those who only look, and what has changed.

function calls.version()
  return { version = version }
end

function calls.changes()
  local behind = version - input.since
  if behind <= 0 then return { version = version } end
  if behind <= redis.call('LLEN', key('changes')) then
    local rows = {}
    for at, row in ipairs(redis.call('LRANGE', key('changes'), -behind, -1)) do rows[at] = cjson.decode(row) end
    return { version = version, changes = rows }
  end
  local asked = {}
  local ids = redis.call('SMEMBERS', key('asked'))
  load_runs(ids)
  for _, id in ipairs(ids) do
    local run = run_of(id)
    if run and run.cancelling then
      asked[#asked + 1] = { kind = 'cancelled', task = run.task, run = id, cause = run.cancelling, was = run.state }
    end
    if run and run.holder and run.put_off_by then asked[#asked + 1] = { kind = 'resumed', run = id } end
  end
  asked[#asked + 1] = { kind = 'runnable' }
  asked[#asked + 1] = { kind = 'all_tasks' }
  return { version = version, changes = asked }
end

-- Fields of a hash, each with its value, or false.
function calls.get()
  return { rows = get_all(input.of, input.fields) }
end

-- A page of a hash, a field and its value by turns.
function calls.scan()
  local page = redis.call('HSCAN', key(input.of), input.cursor, 'COUNT', input.max)
  return { cursor = page[1], rows = #page[2] > 0 and page[2] or nil }
end

-- The runs of a task that are alive.
function calls.alive()
  local ids, seen = {}, {}
  for _, name in ipairs({ 'begun', 'waiting' }) do
    local of = input.task
    for _, member in ipairs(redis.call('ZRANGEBYLEX', key(name), '[' .. of .. ':', '(' .. of .. ';')) do
      local id = run_in(member)
      if not seen[id] then
        seen[id] = true
        ids[#ids + 1] = id
      end
    end
  end
  return { runs = #ids > 0 and ids or nil }
end

-- Runs that have ended, the last first: a page of them, and where the next begins.
function calls.past()
  local ids, cursor = {}, nil
  if not input.task then
    local page = redis.call('ZREVRANGEBYSCORE', key('history'), input.before or '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, input.max)
    for at = 1, #page, 2 do ids[#ids + 1] = page[at] end
    if #ids == input.max then cursor = '(' .. page[#page] end
  else
    -- Its last runs, then the failures before them; each list is read from its end.
    local name, from = 'past', 0
    if input.before then
      name, from = string.match(input.before, '^(%a+) (%d+)$')
    end
    local page = redis.call('LRANGE', key(name .. ':' .. input.task), -from - input.max, -from - 1)
    for at = #page, 1, -1 do ids[#ids + 1] = run_in(page[at]) end
    if #page == input.max then
      cursor = name .. ' ' .. text(from + input.max)
    elseif name == 'past' then
      cursor = 'failed 0'
    end
  end
  local rows = {}
  for _, row in ipairs(get_all('ended', ids)) do
    if row then rows[#rows + 1] = row end
  end
  return { rows = #rows > 0 and rows or nil, before = cursor }
end

-- What keeps Redis from being a store, as it says itself; and the version of what is kept.
function calls.open()
  local told = redis.pcall('INFO', 'memory')
  local policy = type(told) == 'string' and string.match(told, 'maxmemory_policy:([%w-]+)') or nil
  local reached, admits = store ~= '' and tonumber(meta[6]) or 0, tonumber(redis.call('HGET', KEYS[1], 'admits')) or 0
  if input.make and admits <= input.known and reached < input.known then
    meta_changes.schema_version, meta_changes.admits = text(input.known), text(input.admits)
    if store == '' then
      store = input.make
      meta_changes.store = store
    end
  end
  return { policy = policy, reached = reached, admits = admits }
end
