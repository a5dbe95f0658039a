-- One step of the store: what it reads, what it changes in memory, and how that is written at its end.
--
-- KEYS[1] is the store's `meta`, whose hash tag all other keys share. KEYS[2] never is: a Cluster that is moving the store refuses
-- a script of which one key is there and one is not, on either side, and would otherwise refuse it in the middle. ARGV[1] names the call, ARGV[2] is what it is about;
-- ARGV[3] is the store that its caller knows, if any, ARGV[4] names the caller, and ARGV[5] is the highest number of an answer
-- that it has got. What follows are arguments of jobs.
-- Instants are decimal texts, which are compared as they are; only their order is asked of numbers.
-- A step decides first and writes last. If memory is full, its first write is refused, and with it the whole step.

local step = {}

-- Whether this step has written: each that has is counted.
step.has_written = false
step.READS = {
  TIME = true, INFO = true, HGET = true, HMGET = true, HGETALL = true, HEXISTS = true, HLEN = true, HSCAN = true, HSTRLEN = true,
  SMEMBERS = true, SISMEMBER = true, SCARD = true, LLEN = true, LRANGE = true, LINDEX = true, ZCARD = true, ZSCORE = true,
  ZRANGE = true, ZRANGEBYLEX = true, ZREVRANGEBYLEX = true, ZRANGEBYSCORE = true, ZREVRANGEBYSCORE = true,
}
local server = redis
local redis = { pcall = server.pcall }
function redis.call(command, ...)
  if not step.READS[command] then step.has_written = true end
  return server.call(command, ...)
end

step.prefix = string.sub(KEYS[1], 1, -5)
step.input = cjson.decode(ARGV[2])

-- How many arguments one command gets: Lua's stack holds some thousands.
step.ARGUMENTS_MAX = 4000
-- How many changes are kept: a node that is further behind looks at everything.
step.CHANGES_MAX = 1024
step.BUFFERED_MAX = 1000
step.TRIGGERS_WAITING_MAX = 10000
step.NODE_DEATHS_MAX = 3
step.RECORDS_MAX = 32
-- A task is pruned when it has got this many rows of history since the last time, and so many rows at once.
step.PRUNE_EVERY, step.PRUNE_MAX = 50, 1000
step.NODES_KEPT_MS = 24 * 60 * 60 * 1000

step.time = redis.call('TIME')
step.now = step.time[1] * 1000 + math.floor(step.time[2] / 1000)

-- `%d` is many times as quick as the digits of a floating number.
function step.text(number)
  return string.format('%d', number)
end

step.present = step.text(step.now)

function step.key(name)
  return step.prefix .. name
end

-- A number as a part of a name that sorts like it.
function step.pad(number)
  number = tonumber(number)
  if number < 0 then number = 0 end
  return string.format('%015d', number)
end

function step.later(one, other)
  if not one then return other end
  if not other then return one end
  return tonumber(one) >= tonumber(other) and one or other
end

function step.earlier(one, other)
  return tonumber(one) <= tonumber(other) and one or other
end

-- Runs a command as often as its arguments need; the last answer.
function step.call_all(command, of, arguments)
  local answer = nil
  for first = 1, #arguments, step.ARGUMENTS_MAX do
    answer = redis.call(command, step.key(of), unpack(arguments, first, math.min(first + step.ARGUMENTS_MAX - 1, #arguments)))
  end
  return answer
end

-- Redis keeps a hash of few and short texts as a list, in which each look goes through all that stands before: one of rules is
-- read as a whole by each step. A text that is longer than those of a list makes it a hash for good.
step.APART = string.rep('no list ', 16)

function step.save_apart(of)
  if redis.call('HEXISTS', step.key(of), '') == 0 then redis.call('HSET', step.key(of), '', step.APART) end
end

function step.get_all(of, fields)
  if #fields == 0 then return {} end
  if #fields <= step.ARGUMENTS_MAX then return redis.call('HMGET', step.key(of), unpack(fields)) end
  local all = {}
  for first = 1, #fields, step.ARGUMENTS_MAX do
    local some = redis.call('HMGET', step.key(of), unpack(fields, first, math.min(first + step.ARGUMENTS_MAX - 1, #fields)))
    for _, value in ipairs(some) do all[#all + 1] = value end
  end
  return all
end

-- What holds for the whole store.
step.meta = redis.call('HMGET', KEYS[1], 'version', 'tasks', 'ended', 'paused', 'resumed_at', 'schema_version', 'numbers',
  'store', 'steps')
step.version, step.tasks_made = tonumber(step.meta[1]) or 0, tonumber(step.meta[2]) or 0
step.ended_made, step.numbers = tonumber(step.meta[3]) or 0, tonumber(step.meta[7]) or 0
step.pause_of_all = step.meta[4] and step.meta[4] ~= '' and cjson.decode(step.meta[4]) or nil
step.all_resumed_at = step.meta[5] or nil
step.store, step.steps = step.meta[8] or '', tonumber(step.meta[9]) or 0
step.meta_changes = {}

step.tasks, step.tasks_changed = {}, {}
step.rules, step.rules_changed = {}, {}
step.runs, step.runs_changed, step.runs_gone = {}, {}, {}
step.groups, step.groups_touched = {}, {}
step.ended_rows, step.past_added, step.records_added, step.logs_kept = {}, {}, {}, {}
-- Entries of the indexes that are to be written: their score, or false where they go.
step.index = { waiting = {}, begun = {}, retrying = {}, history = {} }
step.unsettled = {}
step.holdings, step.held_changed, step.given_to = {}, {}, {}
-- Runs that were asked to cancel, or were put off: who is far behind is told of them.
step.asked_changed = {}
step.ended_before = {}
-- Tasks of which something has changed that decides whether they have something to claim; those that turned out to have nothing.
step.touched, step.vain, step.only_rank = {}, {}, {}
step.changes, step.runnable_said = {}, false

-- A task is its row, which changes with its runs, and, to be read as if they stood in it, its rules, which change seldom and are
-- written apart. What is usual is not written: each step reads both, and a text of half the length in half the time. Most
-- tasks have the same rules, and of one text there is one table.
step.USUAL_ROW = { runs = 0, recorded = 0, failures = 0, begun = 0, failed_past = 0 }
step.USUAL_RULES = {
  -- A timetable counts since ever.
  since = '-8334601228800000', overlap = 'skip', priority = 0, keep_runs = 100, keep_failures = 1000,
  keep_failures_ms = 30 * 24 * 60 * 60 * 1000,
  -- What is usual of a row is found behind the rules.
  runs = 0, recorded = 0, failures = 0, begun = 0, failed_past = 0,
}
step.known_rules = {}

-- The same of a run; that it was due at its own instant is usual too.
step.USUAL_RUN = { origin = 'schedule', state = 'running', attempt = 1, token = 1, abandoned = 0, deaths = 0 }
step.OF_RUN = { __index = step.USUAL_RUN }

-- The fields of which something is usual, as a list: each row goes through it.
step.fields_of = {}
for _, usual in ipairs({ step.USUAL_ROW, step.USUAL_RULES, step.USUAL_RUN }) do
  local fields = {}
  for field in pairs(usual) do fields[#fields + 1] = field end
  step.fields_of[usual] = fields
end

-- A row without what is usual, as it is written: the last that is done with it.
function step.unusual(row, usual)
  setmetatable(row, nil)
  local fields = step.fields_of[usual]
  for at = 1, #fields do
    local field = fields[at]
    if row[field] == usual[field] then row[field] = nil end
  end
  return cjson.encode(row)
end

function step.unusual_run(run)
  if run.due_at == run.scheduled_at then run.due_at = nil end
  return step.unusual(run, step.USUAL_RUN)
end

function step.new_row(id, row, its_rules)
  step.rules[id] = its_rules
  step.tasks[id] = setmetatable(row, its_rules.is_before)
  return row
end

-- Rules, and that a row is to be read before them.
function step.read_rules(row)
  local its_rules = row and cjson.decode(row) or {}
  for field, value in pairs(step.USUAL_RULES) do
    if its_rules[field] == nil then its_rules[field] = value end
  end
  its_rules.is_before = { __index = its_rules }
  return its_rules
end

function step.load_tasks(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if step.tasks[id] == nil then
      step.tasks[id] = false
      missing[#missing + 1] = id
    end
  end
  local all_rules, known = step.get_all('rules', missing), step.known_rules
  for at, row in ipairs(step.get_all('tasks', missing)) do
    if row then
      local its_rules = known[all_rules[at]]
      if not its_rules then
        its_rules = step.read_rules(all_rules[at])
        known[all_rules[at]] = its_rules
      end
      step.new_row(missing[at], cjson.decode(row), its_rules)
    end
  end
end

-- The rules of a task that is there, which are about to be changed.
function step.rules_of(id)
  if not step.rules_changed[id] then
    -- Others may have the same.
    local its_rules = step.read_rules()
    for field, value in pairs(step.rules[id]) do
      if field ~= 'is_before' then its_rules[field] = value end
    end
    step.new_row(id, step.tasks[id], its_rules)
    step.rules_changed[id] = true
  end
  return step.rules[id]
end

function step.task_of(id)
  local task = step.tasks[id]
  if task ~= nil then return task or nil end
  step.load_tasks({ id })
  return step.tasks[id] or nil
end

function step.load_runs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if step.runs[id] == nil then
      step.runs[id] = false
      missing[#missing + 1] = id
    end
  end
  for at, row in ipairs(step.get_all('runs', missing)) do
    if row then
      local run = setmetatable(cjson.decode(row), step.OF_RUN)
      run.due_at = run.due_at or run.scheduled_at
      step.runs[missing[at]] = run
    end
  end
end

function step.run_of(id)
  local run = step.runs[id]
  if run ~= nil then return run or nil end
  step.load_runs({ id })
  return step.runs[id] or nil
end

function step.add(name, member, score)
  step.index[name] = step.index[name] or {}
  step.index[name][member] = score
  step.unsettled[name] = true
end

function step.remove(name, member)
  step.index[name] = step.index[name] or {}
  step.index[name][member] = false
  step.unsettled[name] = true
end

-- Writes the entries of an index, so that what is asked of it next is true.
function step.settle(name)
  if not step.unsettled[name] then return end
  local added, removed = {}, {}
  for member, score in pairs(step.index[name]) do
    if score then
      added[#added + 1] = score
      added[#added + 1] = member
    else
      removed[#removed + 1] = member
    end
  end
  step.call_all('ZREM', name, removed)
  step.call_all('ZADD', name, added)
  step.index[name], step.unsettled[name] = {}, nil
end

-- The members of an index that begin so, the first of them: as they were written, and with what this step has changed.
function step.first_written(name, begin, count)
  return redis.call('ZRANGEBYLEX', step.key(name), '[' .. begin .. ':', '(' .. begin .. ';', 'LIMIT', 0, count)
end

-- The same of those behind one.
function step.written_after(name, member, begin, count)
  return redis.call('ZRANGEBYLEX', step.key(name), '(' .. member, '(' .. begin .. ';', 'LIMIT', 0, count)
end

function step.first_of(name, begin, count)
  step.settle(name)
  return step.first_written(name, begin, count)
end

function step.last_of(name, begin)
  step.settle(name)
  return redis.call('ZREVRANGEBYLEX', step.key(name), '(' .. begin .. ';', '[' .. begin .. ':', 'LIMIT', 0, 1)[1]
end

-- The next number: each run has another, and a later one a higher one.
function step.number()
  step.numbers = step.numbers + 1
  step.meta_changes.numbers = true
  return step.numbers
end

-- Says something that nodes should know.
function step.say(change)
  step.version = step.version + 1
  step.changes[#step.changes + 1] = cjson.encode(change)
end

function step.say_runnable()
  if not step.runnable_said then
    step.runnable_said = true
    step.say({ kind = 'runnable' })
  end
end

-- A group of tasks, of whose runs only so many may be held.
function step.group_of(name)
  if not name then return nil end
  if step.groups[name] == nil then
    local row = redis.call('HGET', step.key('groups'), name)
    step.groups[name] = row and cjson.decode(row) or { max = 0, held = 0 }
  end
  return step.groups[name]
end

function step.group_has_room(name)
  local group = step.group_of(name)
  return not group or group.held < group.max
end

-- Puts a group where its first task belongs, or nowhere while it has no room.
function step.list_groups()
  for name in pairs(step.groups_touched) do
    local group, listed = step.groups[name], nil
    if group.held < group.max then
      local first = redis.call('ZRANGE', step.key('ready:' .. name), 0, 0, 'WITHSCORES')
      listed = first[2] and step.text(tonumber(first[2]))
    end
    if listed ~= group.listed then
      if listed then
        redis.call('ZADD', step.key('ready'), listed, 'g:' .. name)
      else
        redis.call('ZREM', step.key('ready'), 'g:' .. name)
      end
      group.listed = listed
    end
  end
end

function step.save_groups()
  step.list_groups()
  local rows = {}
  for name in pairs(step.groups_touched) do
    rows[#rows + 1] = name
    rows[#rows + 1] = cjson.encode(step.groups[name])
  end
  step.call_all('HSET', 'groups', rows)
end

-- Counts occurrences of a task in a record.
function step.record(id, task, what)
  task.recorded = task.recorded + what.count
  step.tasks_changed[id] = true
  local added = step.records_added[id]
  if not added then
    added = {}
    step.records_added[id] = added
  end
  added[#added + 1] = what
end

function step.same_note(one, other)
  if one.note ~= other.note or one.run ~= other.run then return false end
  if not one.pause or not other.pause then return not one.pause and not other.pause end
  for _, field in ipairs({ 'by', 'reason', 'since', 'failures' }) do
    if one.pause[field] ~= other.pause[field] then return false end
  end
  return true
end

function step.add_record(spans, what)
  local last = spans[#spans]
  if last and last.reason == what.reason then
    if not step.same_note(last, what) then
      last.note, last.run, last.pause = what.note, what.run, what.pause
      last.noted_from = what.noted_from or what.first
    end
    last.noted_from = last.noted_from or last.first
    last.first = step.earlier(last.first, what.first)
    last.last = step.later(last.last, what.last)
    last.count = last.count + what.count
    return
  end
  what.noted_from = what.noted_from or what.first
  spans[#spans + 1] = what
  if #spans <= step.RECORDS_MAX then return end
  -- The two oldest with one reason become one; there are fewer reasons than spans.
  for older = 1, #spans do
    for newer = older + 1, #spans do
      if spans[newer].reason == spans[older].reason then
        local joined, kept = table.remove(spans, older), nil
        kept = spans[newer - 1]
        if step.same_note(kept, joined) then kept.noted_from = step.earlier(kept.noted_from, joined.noted_from) end
        kept.first = step.earlier(kept.first, joined.first)
        kept.count = kept.count + joined.count
        return
      end
    end
  end
end

function step.save_records()
  local ids = {}
  for id in pairs(step.records_added) do ids[#ids + 1] = id end
  if #ids == 0 then return end
  local rows = {}
  for at, kept in ipairs(step.get_all('records', ids)) do
    local spans = kept and cjson.decode(kept) or {}
    for _, what in ipairs(step.records_added[ids[at]]) do step.add_record(spans, what) end
    rows[#rows + 1] = ids[at]
    rows[#rows + 1] = cjson.encode(spans)
  end
  step.call_all('HSET', 'records', rows)
end
