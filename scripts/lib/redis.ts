// Whether a Redis still takes writes, read from its own `INFO`. With `noeviction` one that is full
// refuses them while it answers PING (sidekiq/sidekiq#5558). Pure.

/** From this share of its memory on it is said; then there is still time. */
const fullShare = 0.9

/** What to ask it: its state, and what fills it, from at most 2000 of its keys. */
export const redisQuestion = `
export REDISCLI_AUTH=$REDIS_PASSWORD
redis-cli INFO memory; redis-cli INFO persistence
redis-cli EVAL_RO "
  local sizes, cursor, seen = {}, '0', 0
  repeat
    local found = redis.call('SCAN', cursor, 'COUNT', 200)
    cursor = found[1]
    for _, key in ipairs(found[2]) do
      local name = string.gsub(string.match(key, '^[^:]*:?[^:]*'), '%d+', 'N')
      sizes[name] = (sizes[name] or 0) + (redis.call('MEMORY', 'USAGE', key) or 0)
      seen = seen + 1
    end
  until cursor == '0' or seen >= 2000
  local list = {}
  for name, size in pairs(sizes) do table.insert(list, { name, size }) end
  table.sort(list, function(a, b) return a[2] > b[2] end)
  local top = {}
  for i = 1, math.min(3, #list) do top[i] = 'key_group:' .. list[i][1] .. '=' .. list[i][2] end
  return top" 0`

interface RedisState {
  /** Bytes that count against the limit. */
  used: number
  /** Bytes; 0: no limit. */
  limit: number
  /** The largest groups of keys with their bytes. */
  groups: string[]
  /** Why writes are refused for another reason. */
  broken: string
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MB`

/** Reads the answer to `redisQuestion`. Throws when it is none. */
export function parseRedisState(text: string): RedisState {
  const field = (name: string) => new RegExp(`^${name}:(\\S*)`, 'm').exec(text)?.[1]
  if (field('used_memory') === undefined)
    throw new Error(`Redis says: ${text.trim().split('\n').at(-1) || 'nothing'}`)
  const number = (name: string) => Number(field(name) ?? 0)
  const failed = ['aof_last_write_status', 'rdb_last_bgsave_status', 'aof_last_bgrewrite_status']
  return {
    used: number('used_memory') - number('mem_not_counted_for_evict'),
    limit: number('maxmemory'),
    groups: [...text.matchAll(/key_group:(.*)=(\d+)/g)].map(
      ([, name, size]) => `${name} ${megabytes(Number(size))}`,
    ),
    broken: failed.filter(name => field(name) === 'err').join(', '),
  }
}

/** What is wrong with it, in words; undefined when it takes writes and has room. */
export function judgeRedis({ used, limit, groups, broken }: RedisState): string | undefined {
  if (broken) return `it cannot write to its disk (${broken}), and may refuse writes`
  if (!limit || used < limit * fullShare) return undefined
  const share = `${megabytes(used)} of ${megabytes(limit)}`
  const most = groups.length ? `; most of it: ${groups.join(', ')}` : ''
  return used >= limit
    ? `it is full (${share}) and refuses all writes: no job is taken, no session is kept${most}`
    : `it is almost full (${share}): it refuses large writes already, and soon all${most}`
}

/** What makes room, in a sentence. */
export const redisRemedy =
  'remove finished jobs in the application, or raise maxmemory and mem_limit of its Redis (infra/docker/common.yml)'
