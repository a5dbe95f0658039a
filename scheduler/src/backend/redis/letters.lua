-- How jobs come into the store, and what becomes of dead letters.

jobs.WAITING_MAX = 100000
-- How many letters and keys are given up at once whose time is over.
jobs.GIVEN_UP_MAX = 500

-- Those of the ids under which a run has come before, whatever became of it.
function jobs.load_come_before(ids)
  for _, of in ipairs({ 'jobs', 'runs', 'ended', 'letters' }) do
    for at, row in ipairs(step.get_all(of, ids)) do step.ended_before[ids[at]] = step.ended_before[ids[at]] or row and true end
  end
end

-- What keeps a job from being enqueued.
function jobs.keeps_out(id, of, key)
  if step.ended_before[id] then return { a = 'queued' } end
  local task = step.task_of(of)
  if not task then return { a = 'unknown' } end
  local holder = key and jobs.holder_of_key(jobs.key_field(of, key))
  if holder then return { a = 'known', run = holder } end
  if jobs.waiting(task) >= jobs.WAITING_MAX then return { a = 'too_many' } end
end

function jobs.admit(id, job, arguments)
  local priority = math.max(-100, math.min(job.priority or step.task_of(job.task).priority, 100))
  local run = setmetatable({
    task = job.task, origin = 'job', origin_id = id, scheduled_at = job.scheduled_at, due_at = job.scheduled_at,
    version = job.version, priority = priority, key = job.key,
    unique_until = job.unique_until,
  }, jobs.OF_USUAL)
  step.ended_before[id] = true
  step.runs[id], step.runs_changed[id] = run, true
  jobs.arguments_added[#jobs.arguments_added + 1] = id
  jobs.arguments_added[#jobs.arguments_added + 1] = arguments
  if job.key then jobs.change_key(jobs.key_field(job.task, job.key), id) end
  jobs.enqueue(id, run)
  step.say_runnable()
  return { a = 'queued' }
end

-- Those whose arguments follow what each call is told.
function calls.enqueue_jobs()
  local ids, of, answers = {}, {}, {}
  for at, job in ipairs(step.input.jobs) do
    ids[at], of[at] = job.id, job.task
  end
  step.load_tasks(of)
  jobs.load_come_before(ids)
  for at, job in ipairs(step.input.jobs) do
    local answer = jobs.keeps_out(job.id, job.task, job.key)
    if not answer then
      job.scheduled_at = job.at or step.text(step.now + (job.delay_ms or 0))
      job.unique_until = job.unique_ms and step.text(step.now + job.unique_ms) or nil
      answer = jobs.admit(job.id, job, ARGV[5 + at])
    end
    answers[at] = answer
  end
  return { answers = answers }
end

function jobs.letter_of(id)
  local row = redis.call('HGET', step.key('letters'), id)
  return row and cjson.decode(row) or nil
end

-- Enqueues the job of a letter anew, if nothing keeps it out but its own key.
function calls.run_again()
  local id, again = step.input.letter, step.input.again
  jobs.load_come_before({ again })
  if step.ended_before[again] then return { a = 'queued' } end
  local letter = jobs.letter_of(id)
  if not letter then return {} end
  local field = letter.key and jobs.key_field(letter.task, letter.key)
  if field and jobs.holder_of_key(field) == id then jobs.keys[field] = false end
  local answer = jobs.keeps_out(again, letter.task, letter.key)
  if answer then return answer end
  local arguments = redis.call('HGET', step.key('arguments'), id) or 'null'
  jobs.give_up_letter(id, letter.task)
  letter.scheduled_at = step.present
  return jobs.admit(again, letter, arguments)
end

function calls.drop_letter()
  local letter = jobs.letter_of(step.input.letter)
  if letter then jobs.give_up_letter(step.input.letter, letter.task) end
  return { was_there = letter ~= nil }
end

-- Gives up letters that are too old, and keys whose time is over, some at a time; tells whether there may be more.
function calls.prune()
  local before = step.text(step.now - jobs.LETTERS_KEPT_MS)
  local old = redis.call('ZRANGEBYSCORE', step.key('dead'), '-inf', '(' .. before, 'LIMIT', 0, jobs.GIVEN_UP_MAX)
  for at, row in ipairs(step.get_all('letters', old)) do
    if row then jobs.give_up_letter(old[at], cjson.decode(row).task) else step.remove('dead', old[at]) end
  end
  local over = redis.call('ZRANGEBYSCORE', step.key('freed'), '-inf', step.present, 'LIMIT', 0, jobs.GIVEN_UP_MAX)
  for _, field in ipairs(over) do
    step.remove('freed', field)
    -- Another job may have it by now.
    if not jobs.holder_of_key(field) then jobs.change_key(field, false) end
  end
  return { is_cut = #old == jobs.GIVEN_UP_MAX or #over == jobs.GIVEN_UP_MAX }
end
