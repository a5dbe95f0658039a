
-- What people have asked for: the last of it, in a list.
function calls.note()
  local action = step.input.action
  action.at = step.present
  redis.call('RPUSH', step.key('actions'), cjson.encode(action))
  redis.call('LTRIM', step.key('actions'), -step.input.kept, -1)
  return {}
end

function calls.actions()
  local rows = redis.call('LRANGE', step.key('actions'), -step.input.limit, -1)
  return { rows = #rows > 0 and rows or nil }
end
