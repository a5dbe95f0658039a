-- One step of the store: what it reads, what it changes in memory, and how that is written at its end.
--
-- KEYS[1] is the store's `meta`, whose hash tag all other keys share. ARGV[1] names the call, ARGV[2] is what it is about;
-- ARGV[3] is the store that its caller knows, if any, and ARGV[4] how many steps that had made when it last answered.
-- Instants are decimal texts, which are compared as they are; only their order is asked of numbers.
-- A step decides first and writes last. If memory is full, its first write is refused, and with it the whole step.

-- Whether this step has written: each that has is counted.
local has_written = false
local READS = {
  TIME = true, INFO = true, HGET = true, HMGET = true, HGETALL = true, HEXISTS = true, HSCAN = true, SMEMBERS = true, SCARD = true,
  LLEN = true, LRANGE = true, ZCARD = true, ZSCORE = true, ZRANGE = true, ZRANGEBYLEX = true, ZREVRANGEBYLEX = true,
  ZRANGEBYSCORE = true, ZREVRANGEBYSCORE = true,
}
local server = redis
local redis = { pcall = server.pcall }
function redis.call(command, ...)
  if not READS[command] then has_written = true end
  return server.call(command, ...)
end

local prefix = string.sub(KEYS[1], 1, -5)
local input = cjson.decode(ARGV[2])

-- How many arguments one command gets: Lua's stack holds some thousands.
local ARGUMENTS_MAX = 4000
-- How many changes are kept: a node that is further behind looks at everything.
local CHANGES_MAX = 1024
local BUFFERED_MAX = 1000
local TRIGGERS_WAITING_MAX = 10000
local NODE_DEATHS_MAX = 3
local RECORDS_MAX = 32
-- A task is pruned when it has got this many rows of history since the last time, and so many rows at once.
local PRUNE_EVERY, PRUNE_MAX = 50, 1000
local NODES_KEPT_MS = 24 * 60 * 60 * 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(number)
  return string.format('%.0f', number)
end

local present = text(now)

local function key(name)
  return prefix .. name
end

-- A number as a part of a name that sorts like it.
local function pad(number)
  number = tonumber(number)
  if number < 0 then number = 0 end
  return string.format('%015.0f', number)
end

local function later(one, other)
  if not one then return other end
  if not other then return one end
  return tonumber(one) >= tonumber(other) and one or other
end

local function earlier(one, other)
  return tonumber(one) <= tonumber(other) and one or other
end

-- Runs a command as often as its arguments need.
local function call_all(command, of, arguments)
  for first = 1, #arguments, ARGUMENTS_MAX do
    redis.call(command, key(of), unpack(arguments, first, math.min(first + ARGUMENTS_MAX - 1, #arguments)))
  end
end

local function get_all(of, fields)
  if #fields == 0 then return {} end
  if #fields <= ARGUMENTS_MAX then return redis.call('HMGET', key(of), unpack(fields)) end
  local all = {}
  for first = 1, #fields, ARGUMENTS_MAX do
    local some = redis.call('HMGET', key(of), unpack(fields, first, math.min(first + ARGUMENTS_MAX - 1, #fields)))
    for _, value in ipairs(some) do all[#all + 1] = value end
  end
  return all
end

-- What holds for the whole store.
local meta = redis.call('HMGET', KEYS[1], 'version', 'tasks', 'ended', 'paused', 'resumed_at', 'schema_version', 'store', 'steps')
local version, tasks_made, ended_made = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0, tonumber(meta[3]) or 0
local pause_of_all = meta[4] and meta[4] ~= '' and cjson.decode(meta[4]) or nil
local all_resumed_at = meta[5] or nil
local store, steps = meta[7] or '', tonumber(meta[8]) or 0
local meta_changes = {}

local tasks, tasks_changed = {}, {}
local rules, rules_changed = {}, {}
local runs, runs_changed, runs_gone = {}, {}, {}
local groups, groups_touched = {}, {}
local ended_rows, past_added, records_added, logs_kept = {}, {}, {}, {}
-- Entries of the indexes that are to be written: their score, or false where they go.
local index = { waiting = {}, begun = {}, retrying = {}, history = {} }
local unsettled = {}
local holdings, held_changed, given_to = {}, {}, {}
-- Runs that were asked to cancel, or were put off: who is far behind is told of them.
local asked_changed = {}
local ended_before = {}
-- Tasks of which something has changed that decides whether they have something to claim; those that turned out to have nothing.
local touched, vain = {}, {}
local changes, runnable_said = {}, false

-- A task: its row, which changes with its runs, and, to be read as if they stood in it, its rules, which change seldom and
-- are written apart. What is usual is not written: each step reads both, and a row of half the length in half the time.
local USUAL = {
  -- The row.
  runs = 0, recorded = 0, failures = 0, made = 0, begun = 0, held = 0, kept = 0, failed_past = 0,
  -- The rules; a timetable counts since ever.
  since = '-8334601228800000', overlap = 'skip', priority = 0, keep_runs = 100, keep_failures = 1000,
  keep_failures_ms = 30 * 24 * 60 * 60 * 1000,
}
local OF_RULES = { __index = USUAL }

-- A row without what is usual, as it is written.
local function unusual(row)
  for field, value in pairs(USUAL) do
    if rawget(row, field) == value then row[field] = nil end
  end
  return cjson.encode(row)
end

local function new_row(id, row, its_rules)
  rules[id] = setmetatable(its_rules, OF_RULES)
  tasks[id] = setmetatable(row, { __index = its_rules })
  return row
end

local function load_tasks(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if tasks[id] == nil then
      tasks[id] = false
      missing[#missing + 1] = id
    end
  end
  local its_rules = get_all('rules', missing)
  for at, row in ipairs(get_all('tasks', missing)) do
    if row then new_row(missing[at], cjson.decode(row), cjson.decode(its_rules[at])) end
  end
end

-- The rules of a task that is there, which are about to be changed.
local function rules_of(id)
  rules_changed[id] = true
  return rules[id]
end

local function task_of(id)
  if tasks[id] == nil then load_tasks({ id }) end
  return tasks[id] or nil
end

local function load_runs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if runs[id] == nil then
      runs[id] = false
      missing[#missing + 1] = id
    end
  end
  for at, row in ipairs(get_all('runs', missing)) do
    runs[missing[at]] = row and cjson.decode(row)
  end
end

local function run_of(id)
  if runs[id] == nil then load_runs({ id }) end
  return runs[id] or nil
end

local function changed(id)
  tasks_changed[id] = true
end

local function save_run(id)
  runs_changed[id] = true
end

local function add(name, member, score)
  index[name][member] = score
  unsettled[name] = true
end

local function remove(name, member)
  index[name][member] = false
  unsettled[name] = true
end

-- Writes the entries of an index, so that what is asked of it next is true.
local function settle(name)
  if not unsettled[name] then return end
  local added, removed = {}, {}
  for member, score in pairs(index[name]) do
    if score then
      added[#added + 1] = score
      added[#added + 1] = member
    else
      removed[#removed + 1] = member
    end
  end
  call_all('ZREM', name, removed)
  call_all('ZADD', name, added)
  index[name], unsettled[name] = {}, nil
end

-- The members of an index that begin so, the first or the last of them.
local function first_of(name, begin, count)
  settle(name)
  return redis.call('ZRANGEBYLEX', key(name), '[' .. begin .. ':', '(' .. begin .. ';', 'LIMIT', 0, count)
end

local function last_of(name, begin)
  settle(name)
  return redis.call('ZREVRANGEBYLEX', key(name), '(' .. begin .. ';', '[' .. begin .. ':', 'LIMIT', 0, 1)[1]
end

-- Says something that nodes should know.
local function say(change)
  version = version + 1
  changes[#changes + 1] = cjson.encode(change)
end

local function say_runnable()
  if not runnable_said then
    runnable_said = true
    say({ kind = 'runnable' })
  end
end

-- A group of tasks, of whose runs only so many may be held.
local function group_of(name)
  if not name then return nil end
  if groups[name] == nil then
    local row = redis.call('HGET', key('groups'), name)
    groups[name] = row and cjson.decode(row) or { max = 0, held = 0 }
  end
  return groups[name]
end

local function group_has_room(name)
  local group = group_of(name)
  return not group or group.held < group.max
end

-- Puts a group where its first task belongs, or nowhere while it has no room.
local function list_groups()
  for name in pairs(groups_touched) do
    local group, listed = groups[name], nil
    if group.held < group.max then
      local first = redis.call('ZRANGE', key('ready:' .. name), 0, 0, 'WITHSCORES')
      listed = first[2] and text(tonumber(first[2]))
    end
    if listed ~= group.listed then
      if listed then
        redis.call('ZADD', key('ready'), listed, 'g:' .. name)
      else
        redis.call('ZREM', key('ready'), 'g:' .. name)
      end
      group.listed = listed
    end
  end
end

local function save_groups()
  list_groups()
  local rows = {}
  for name in pairs(groups_touched) do
    rows[#rows + 1] = name
    rows[#rows + 1] = cjson.encode(groups[name])
  end
  call_all('HSET', 'groups', rows)
end

-- Counts occurrences of a task in a record.
local function record(id, task, what)
  task.recorded = task.recorded + what.count
  changed(id)
  local added = records_added[id]
  if not added then
    added = {}
    records_added[id] = added
  end
  added[#added + 1] = what
end

local function same_note(one, other)
  if one.note ~= other.note or one.run ~= other.run then return false end
  if not one.pause or not other.pause then return not one.pause and not other.pause end
  for _, field in ipairs({ 'by', 'reason', 'since', 'failures' }) do
    if one.pause[field] ~= other.pause[field] then return false end
  end
  return true
end

local function add_record(spans, what)
  local last = spans[#spans]
  if last and last.reason == what.reason then
    if not same_note(last, what) then
      last.note, last.run, last.pause = what.note, what.run, what.pause
      last.noted_from = what.noted_from or what.first
    end
    last.noted_from = last.noted_from or last.first
    last.first = earlier(last.first, what.first)
    last.last = later(last.last, what.last)
    last.count = last.count + what.count
    return
  end
  what.noted_from = what.noted_from or what.first
  spans[#spans + 1] = what
  if #spans <= RECORDS_MAX then return end
  -- The two oldest with one reason become one; there are fewer reasons than spans.
  for older = 1, #spans do
    for newer = older + 1, #spans do
      if spans[newer].reason == spans[older].reason then
        local joined, kept = table.remove(spans, older), nil
        kept = spans[newer - 1]
        if same_note(kept, joined) then kept.noted_from = earlier(kept.noted_from, joined.noted_from) end
        kept.first = earlier(kept.first, joined.first)
        kept.count = kept.count + joined.count
        return
      end
    end
  end
end

local function save_records()
  local ids = {}
  for id in pairs(records_added) do ids[#ids + 1] = id end
  if #ids == 0 then return end
  local rows = {}
  for at, kept in ipairs(get_all('records', ids)) do
    local spans = kept and cjson.decode(kept) or {}
    for _, what in ipairs(records_added[ids[at]]) do add_record(spans, what) end
    rows[#rows + 1] = ids[at]
    rows[#rows + 1] = cjson.encode(spans)
  end
  call_all('HSET', 'records', rows)
end
