#!lua flags=no-writes
-- BullMQ's queues, for the alerts of prometheus/rules/queues.yml: `<measure>:<purpose>:<queue>` and its value, one after the other.
local now = redis.call('TIME')
now = now[1] * 1000 + now[2] / 1000
local answer = {}

-- the oldest of those that wait with a priority and without
local function age(base)
  local most = 0
  for _, id in ipairs({ redis.call('LINDEX', base .. 'wait', -1), redis.call('ZRANGE', base .. 'prioritized', 0, 0)[1] or false }) do
    local made = id and tonumber(redis.call('HGET', base .. id, 'timestamp') or nil)
    if made then most = math.max(most, (now - made) / 1000) end
  end
  return most
end

-- what was tried and is tried again: of those that are due later the first hundred
local function failing(base)
  local count = 0
  for _, id in ipairs(redis.call('ZRANGE', base .. 'delayed', 0, 99)) do
    -- `atm` since BullMQ 5
    local tried = redis.call('HMGET', base .. id, 'atm', 'attemptsMade')
    if tonumber(tried[1] or tried[2] or 0) > 0 then count = count + 1 end
  end
  return count
end

for _, key in ipairs(redis.call('KEYS', 'bull:*:meta')) do
  local base, queue = string.match(key, '^(bull:(.+):)meta$')
  local tail = (queue == 'email-queue' and 'mail' or 'jobs') .. ':' .. queue
  local function add(measure, value)
    table.insert(answer, measure .. ':' .. tail)
    table.insert(answer, tostring(value))
  end
  add('oldest', age(base))
  add('waiting', redis.call('LLEN', base .. 'wait') + redis.call('ZCARD', base .. 'prioritized'))
  add('failing', failing(base))
  add('dead', redis.call('ZCARD', base .. 'failed'))
end
return answer
