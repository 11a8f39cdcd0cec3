#!lua flags=no-writes
-- Sidekiq's queues, for the alerts of prometheus/rules/queues.yml: `<measure>:<purpose>:<queue>` and its value, one after the other.
local now = redis.call('TIME')
now = now[1] + now[2] / 1e6
local function purpose(queue) return queue == 'mailers' and 'mail' or 'jobs' end

local measures = {}
local function set(measure, queue, value) measures[measure .. ':' .. purpose(queue) .. ':' .. queue] = value end
local function add(measure, queue)
  local key = measure .. ':' .. purpose(queue) .. ':' .. queue
  measures[key] = (measures[key] or 0) + 1
end

for _, queue in ipairs(redis.call('SMEMBERS', 'queues')) do
  local age = 0
  local oldest = redis.call('LINDEX', 'queue:' .. queue, -1)
  if oldest then
    local since = cjson.decode(oldest).enqueued_at or now
    -- from Sidekiq 8 on in milliseconds
    if since > 1e12 then since = since / 1000 end
    age = math.max(0, now - since)
  end
  set('oldest', queue, age)
  set('waiting', queue, redis.call('LLEN', 'queue:' .. queue))
  set('failing', queue, 0)
  set('dead', queue, 0)
end

-- the newest thousand: more would keep Redis busy, and the rest still counts
local most = 1000
for _, job in ipairs(redis.call('ZRANGE', 'retry', -most, -1)) do add('failing', cjson.decode(job).queue) end
for _, job in ipairs(redis.call('ZRANGE', 'dead', -most, -1)) do add('dead', cjson.decode(job).queue) end
set('dead', 'older', math.max(0, redis.call('ZCARD', 'dead') - most))

local answer = {}
for key, value in pairs(measures) do
  table.insert(answer, key)
  table.insert(answer, tostring(value))
end
return answer
