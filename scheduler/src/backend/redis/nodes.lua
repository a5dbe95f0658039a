-- Who holds runs, and since when each is in contact. `leases` has an entry for each node that may hold something: the end of
-- its lease, or 0 once it has left.

local calls = {}

local function save_node(name, node)
  redis.call('HSET', key('nodes'), name, cjson.encode(node))
end

local function all_nodes()
  local rows, nodes = redis.call('HGETALL', key('nodes')), {}
  for at = 1, #rows, 2 do nodes[rows[at]] = cjson.decode(rows[at + 1]) end
  return nodes
end

-- Forgets nodes that were not heard of for a day. Each start of a scheduler is another node, so there are no more of them to
-- forget than come.
local function forget_nodes()
  for name, node in pairs(all_nodes()) do
    local is_over = node.seen_at < now - NODES_KEPT_MS and node.lease_until < now
    if is_over and redis.call('SCARD', key('held:' .. name)) == 0 then
      redis.call('HDEL', key('nodes'), name)
      redis.call('ZREM', key('leases'), name)
      redis.call('UNLINK', key('knows:' .. name))
    end
  end
end

-- The node that calls; one that is new begins with a full lease. What it is changed by is saved by who changes it.
local function greet(holder)
  local row = redis.call('HGET', key('nodes'), holder.node)
  if row then return cjson.decode(row) end
  local node = {
    lease_ms = holder.lease_ms, silence_ms = holder.silence_ms, tzdb = holder.tzdb, seen_at = now, contact_since = now,
    lease_until = now + holder.lease_ms,
  }
  save_node(holder.node, node)
  redis.call('ZADD', key('leases'), text(node.lease_until), holder.node)
  forget_nodes()
  return node
end

-- Has a node that was given runs be looked at when its lease has run out.
local function list_lease(name, node)
  if given_to[name] then redis.call('ZADD', key('leases'), 'NX', node.left and '0' or text(node.lease_until), name) end
end

local function lives(node)
  return not node.left and node.lease_until >= now
end

-- Whether `heir` may take over the runs of `node`: it has left, or its lease has run out before the eyes of `heir`, who was in
-- contact all along.
local function leaves_to(node, heir)
  if node.left then return true end
  return not lives(node) and heir.seen_at >= now - heir.silence_ms and heir.contact_since + node.lease_ms <= now
end

function calls.heartbeat()
  local node = greet(input)
  if node.seen_at < now - node.silence_ms or node.seen_at > now then node.contact_since = now end
  node.seen_at, node.lease_ms, node.silence_ms = now, input.lease_ms, input.silence_ms
  if not node.left then
    node.lease_until = now + input.lease_ms
    redis.call('ZADD', key('leases'), text(node.lease_until), input.node)
  end
  save_node(input.node, node)
  return {}
end

function calls.leave()
  local node = greet(input)
  node.left, node.lease_until = true, now
  save_node(input.node, node)
  redis.call('ZADD', key('leases'), '0', input.node)
  redis.call('UNLINK', key('knows:' .. input.node))
  if redis.call('SCARD', key('held:' .. input.node)) > 0 then say_runnable() end
  return {}
end

function calls.nodes()
  local rows = {}
  for name, node in pairs(all_nodes()) do
    rows[#rows + 1] = {
      node = name, lease_ms = node.lease_ms, seen_at = node.seen_at, left = node.left, lives = lives(node),
      held = redis.call('SCARD', key('held:' .. name)), tzdb = node.tzdb,
    }
  end
  return { rows = #rows > 0 and rows or nil }
end
