-- Who holds runs, and since when each is in contact. `leases` has an entry for each node that may hold something: the end of
-- its lease, or 0 once it has left.

local calls = {}

function step.save_node(name, node)
  redis.call('HSET', step.key('nodes'), name, cjson.encode(node))
end

function step.all_nodes()
  local rows, nodes = redis.call('HGETALL', step.key('nodes')), {}
  for at = 1, #rows, 2 do nodes[rows[at]] = cjson.decode(rows[at + 1]) end
  return nodes
end

-- Forgets nodes that were not heard of for a day. Each start of a scheduler is another node, so there are no more of them to
-- forget than come.
function step.forget_nodes()
  for name, node in pairs(step.all_nodes()) do
    local is_over = node.seen_at < step.now - step.NODES_KEPT_MS and node.lease_until < step.now
    if is_over and redis.call('SCARD', step.key('held:' .. name)) == 0 then
      redis.call('HDEL', step.key('nodes'), name)
      redis.call('ZREM', step.key('leases'), name)
      redis.call('UNLINK', step.key('knows:' .. name), step.key('named:' .. name), step.key('reads:' .. name))
    end
  end
end

-- The node that calls; one that is new begins with a full lease. What it is changed by is saved by who changes it.
function step.greet(holder)
  local row = redis.call('HGET', step.key('nodes'), holder.node)
  if row then return cjson.decode(row) end
  local node = {
    lease_ms = holder.lease_ms, silence_ms = holder.silence_ms, tzdb = holder.tzdb, seen_at = step.now, contact_since = step.now,
    lease_until = step.now + holder.lease_ms,
  }
  step.save_node(holder.node, node)
  redis.call('ZADD', step.key('leases'), step.text(node.lease_until), holder.node)
  step.forget_nodes()
  return node
end

-- Has a node that was given runs be looked at when its lease has run out.
function step.list_lease(name, node)
  if step.given_to[name] then redis.call('ZADD', step.key('leases'), 'NX', node.left and '0' or step.text(node.lease_until), name) end
end

function step.lives(node)
  return not node.left and node.lease_until >= step.now
end

-- Whether `heir` may take over the runs of `node`: it has left, or its lease has run out before the eyes of `heir`, who was in
-- contact all along.
function step.leaves_to(node, heir)
  if node.left then return true end
  return not step.lives(node) and heir.seen_at >= step.now - heir.silence_ms and heir.contact_since + node.lease_ms <= step.now
end

function calls.heartbeat()
  local node = step.greet(step.input)
  if node.seen_at < step.now - node.silence_ms or node.seen_at > step.now then node.contact_since = step.now end
  node.seen_at, node.lease_ms, node.silence_ms = step.now, step.input.lease_ms, step.input.silence_ms
  if not node.left then
    node.lease_until = step.now + step.input.lease_ms
    redis.call('ZADD', step.key('leases'), step.text(node.lease_until), step.input.node)
  end
  step.save_node(step.input.node, node)
  return {}
end

function calls.leave()
  local node = step.greet(step.input)
  node.left, node.lease_until = true, step.now
  step.save_node(step.input.node, node)
  redis.call('ZADD', step.key('leases'), '0', step.input.node)
  local name = step.input.node
  redis.call('UNLINK', step.key('knows:' .. name), step.key('named:' .. name), step.key('reads:' .. name))
  if redis.call('SCARD', step.key('held:' .. step.input.node)) > 0 then step.say_runnable() end
  return {}
end

function calls.nodes()
  local rows = {}
  for name, node in pairs(step.all_nodes()) do
    rows[#rows + 1] = {
      node = name, lease_ms = node.lease_ms, seen_at = node.seen_at, left = node.left, lives = step.lives(node),
      held = redis.call('SCARD', step.key('held:' .. name)), tzdb = node.tzdb,
    }
  end
  return { rows = #rows > 0 and rows or nil }
end
