"""What the transport over Valkey or Redis does in one step of the server, in Lua."""

PUBLISH = """
local bindings = cjson.decode(redis.call('GET', KEYS[1]) or '{}')
local outcomes, failed = {}, {}
for i = 3, #ARGV, 5 do
  local id, type, key, body, mandatory = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4] == '1'
  local streams, full = {}, false
  for queue, patterns in pairs(bindings) do
    for _, pattern in ipairs(patterns) do
      if string.find(type, pattern) then
        streams[#streams + 1] = ARGV[1] .. queue
        full = full or redis.call('XLEN', ARGV[1] .. queue) >= tonumber(ARGV[2])
        break
      end
    end
  end
  local outcome = #streams
  if failed[key] then outcome = -2 elseif full then outcome = -1 end
  if outcome > 0 then
    for _, stream in ipairs(streams) do
      redis.call('XADD', stream, '*', 'id', id, 'type', type, 'key', key, 'body', body, 'attempt', 1)
    end
  elseif outcome < 0 or mandatory then
    failed[key] = true
  end
  outcomes[#outcomes + 1] = outcome
end
return outcomes
"""
BIND = """
local bindings = cjson.decode(redis.call('GET', KEYS[1]) or '{}')
bindings[ARGV[1]] = cjson.decode(ARGV[2])
redis.call('SET', KEYS[1], cjson.encode(bindings))
"""
DELAY = """
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
redis.call('XACK', KEYS[1], ARGV[4], ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
"""
KEEP = """
redis.call('SET', KEYS[3], 1, 'PX', ARGV[3])
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 100)
for _, packed in ipairs(due) do
  redis.call('XADD', KEYS[1], '*', unpack(cjson.decode(packed)))
  redis.call('ZREM', KEYS[2], packed)
end
for _, member in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[5])) do
  local name, pending = member[2], member[4]
  if name ~= ARGV[2] then
    if redis.call('EXISTS', ARGV[6] .. name) == 0 then
      return 1
    end
  elseif pending > 0 and #redis.call('XPENDING', KEYS[1], ARGV[5], 'IDLE', ARGV[4], '-', '+', 1, name) > 0 then
    return 1
  end
end
return 0
"""
"""What a consumer does twice a second: stay alive, promote what is due, tell whether there is anything to take over."""
FORGET = """
if redis.call('EXISTS', KEYS[2]) == 0 and #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""
"""Take the name of a dead consumer off the group, unless anything is pending under it."""
BURY = """
redis.call('XADD', KEYS[2], '*', 'id', ARGV[2], 'type', ARGV[3], 'key', ARGV[4], 'body', ARGV[5], 'reason', ARGV[6])
redis.call('XACK', KEYS[1], ARGV[7], ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
"""
REDRIVE = """
local dead = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1000)
for _, entry in ipairs(dead) do
  local fields = {}
  for i = 1, #entry[2], 2 do
    if entry[2][i] ~= 'reason' then
      fields[#fields + 1] = entry[2][i]
      fields[#fields + 1] = entry[2][i + 1]
    end
  end
  fields[#fields + 1] = 'attempt'
  fields[#fields + 1] = '1'
  redis.call('XADD', KEYS[1], '*', unpack(fields))
  redis.call('XDEL', KEYS[2], entry[1])
end
return #dead
"""
