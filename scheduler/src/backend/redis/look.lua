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
    -- One that was set aside for somebody who can read it is a job that waits.
    local set_aside = not run and jobs.find(id)
    if run and run.holder and run.put_off_by or set_aside and set_aside.put_off_by then
      asked[#asked + 1] = { kind = 'resumed', run = id }
    end
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

-- A run, wherever it stands; of one that has ended with the number of its end.
function calls.find()
  for _, of in ipairs({ 'runs', 'jobs', 'ended' }) do
    local row = redis.call('HGET', step.key(of), step.input.run)
    if row then
      local number = of == 'ended' and step.text(step.number_of_end(step.input.run)) or nil
      return { of = of, row = row, number = number }
    end
  end
  return {}
end

-- The runs of a task that are alive; jobs that wait are none.
function calls.alive()
  local id, task, seen = step.input.task, step.task_of(step.input.task), {}
  local ids = task and step.all_begun(id, task) or {}
  for _, run in ipairs(ids) do seen[run] = true end
  for from, upto in pairs({ [':'] = ':j', [':k'] = ';' }) do
    for _, member in ipairs(redis.call('ZRANGEBYLEX', step.key('waiting'), '[' .. id .. from, '(' .. id .. upto)) do
      -- A next attempt that waits has begun.
      local run = step.run_in(member)
      if not seen[run] then ids[#ids + 1] = run end
    end
  end
  return { runs = #ids > 0 and ids or nil }
end

-- A page of an index that is read from its highest score on. What its caller has seen, he names by the score at which that
-- ended, and by how many of that score there were.
function step.page_down(name, least)
  local upto, skip = step.input.upto or '+inf', step.input.skip or 0
  local page = redis.call('ZREVRANGEBYSCORE', step.key(name), upto, least or '-inf', 'WITHSCORES', 'LIMIT', skip, step.input.max)
  local members, scores = {}, {}
  for at = 1, #page, 2 do
    members[#members + 1], scores[#scores + 1] = page[at], page[at + 1]
  end
  return members, scores
end

-- Where the page after the first so many of its entries begins.
function step.rest_of(scores, count)
  local last = scores[count]
  if not last then return nil, nil end
  local same = 0
  while same < count and scores[count - same] == last do same = same + 1 end
  local is_begun = step.input.upto and tonumber(step.input.upto) == tonumber(last)
  return step.text(tonumber(last)), same + (is_begun and step.input.skip or 0)
end

-- How many entries of an index are before one that has this score and would be this member, whether it is there or not.
function step.count_before(name, score, member)
  local low = redis.call('ZCOUNT', name, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', name, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', name, middle, middle)[1] < member then low = middle + 1 else high = middle end
  end
  return low
end

-- Jobs that wait, those of the latest instant first, and of one instant those of the greatest id: a page of them behind a place,
-- and where the next begins.
function calls.planned()
  local name, from = step.key(step.input.task and 'planned:' .. step.input.task or 'planned'), 0
  local upto = step.input.upto and redis.call('ZCOUNT', name, '-inf', step.input.upto) or redis.call('ZCARD', name)
  if step.input.least then from = redis.call('ZCOUNT', name, '-inf', '(' .. step.input.least) end
  if step.input.behind then
    upto = math.min(upto, step.count_before(name, step.input.behind[1], step.input.behind[2]))
  end
  local first = math.max(from, upto - step.input.max)
  if first >= upto then return {} end
  local page, ids = redis.call('ZRANGE', name, first, upto - 1, 'WITHSCORES'), {}
  for at = #page - 1, 1, -2 do ids[#ids + 1] = page[at] end
  local rows = {}
  for at, row in ipairs(step.get_all('jobs', ids)) do
    if row then rows[#rows + 1] = { ids[at], row } end
  end
  local behind = first > from and { step.text(tonumber(page[2])), page[1] } or nil
  return { rows = #rows > 0 and rows or nil, behind = behind }
end

-- Dead letters, the last to die first: as many as go together with what they were called with, and where the next begin.
function calls.letters()
  local least = step.text(step.now - jobs.LETTERS_KEPT_MS)
  local ids, scores, rows, bytes, count = nil, {}, {}, 0, 0
  if step.input.id then
    ids = { step.input.id }
  else
    ids, scores = step.page_down(step.input.task and 'dead:' .. step.input.task or 'dead', least)
  end
  local found = step.get_all('letters', ids)
  for at, id in ipairs(ids) do
    local arguments = found[at] and redis.call('HGET', step.key('arguments'), id) or ''
    if count > 0 and bytes + #arguments > step.input.bytes_max then break end
    count, bytes = at, bytes + #arguments
    if found[at] then
      rows[#rows + 1] = { id, found[at] }
      step.texts[#step.texts + 1] = arguments
    end
  end
  local upto, skip = nil, nil
  if not step.input.id and (count < #ids or #ids == step.input.max) then upto, skip = step.rest_of(scores, count) end
  return { rows = #rows > 0 and rows or nil, upto = upto, skip = skip }
end

-- The number of the last end.
function calls.last_end()
  return { last = step.text(step.ended_made) }
end

function step.number_of_end(run)
  return tonumber(redis.call('ZSCORE', step.key('history'), run)) or 0
end

-- Of the ended runs of a task those whose ends have numbers between two: so many of them, the last first, with the numbers. The
-- failures before its last runs, and these, are one list in the order of their ends.
function step.ended_between(task, above, below, max)
  local lists = { step.key('failed:' .. task), step.key('past:' .. task) }
  local failures, ids, ends = redis.call('LLEN', lists[1]), {}, {}
  local low, high = 0, failures + redis.call('LLEN', lists[2])
  if not below then low = high end
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member
    if middle < failures then
      member = redis.call('LINDEX', lists[1], middle)
    else
      member = redis.call('LINDEX', lists[2], middle - failures)
    end
    if step.number_of_end(step.run_in(member)) < below then low = middle + 1 else high = middle end
  end
  local first = math.max(low - max, 0)
  local page = first < failures and redis.call('LRANGE', lists[1], first, math.min(low, failures) - 1) or {}
  if low > failures then
    for _, member in ipairs(redis.call('LRANGE', lists[2], math.max(first - failures, 0), low - failures - 1)) do
      page[#page + 1] = member
    end
  end
  for at = #page, 1, -1 do
    local run = step.run_in(page[at])
    local number = step.number_of_end(run)
    if above and number <= above then return ids, ends, false end
    ids[#ids + 1], ends[#ends + 1] = run, number
  end
  return ids, ends, first > 0
end

-- Runs whose ends have numbers between two, the last first: a page of them, and whether there may be more.
function calls.past()
  local above, below, ids, ends, has_more = step.input.above, step.input.below, {}, {}, nil
  if step.input.task then
    ids, ends, has_more =
      step.ended_between(step.input.task, above and tonumber(above), below and tonumber(below), step.input.max)
  else
    below, above = below and '(' .. below or '+inf', above and '(' .. above or '-inf'
    local page = redis.call('ZREVRANGEBYSCORE', step.key('history'), below, above, 'WITHSCORES', 'LIMIT', 0, step.input.max)
    for at = 1, #page, 2 do ids[#ids + 1], ends[#ends + 1] = page[at], tonumber(page[at + 1]) end
    has_more = #ids == step.input.max
  end
  local rows = {}
  for at, row in ipairs(step.get_all('ended', ids)) do
    if row then rows[#rows + 1] = { ids[at], row, step.text(ends[at]) } end
  end
  return { rows = #rows > 0 and rows or nil, below = has_more and step.text(ends[#ends]) or nil }
end

-- Of each of some tasks the run that was the last to end.
function calls.last_ended()
  local ids, rows = {}, {}
  for _, task in ipairs(step.input.tasks) do
    ids[#ids + 1] = step.ended_between(task, nil, nil, 1)[1]
  end
  for at, row in ipairs(step.get_all('ended', ids)) do
    if row then rows[#rows + 1] = { ids[at], row } end
  end
  return { rows = #rows > 0 and rows or nil }
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
