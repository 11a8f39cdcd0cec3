// Faults of PostgreSQL, Redis and the queues in it.
import { seconds, type Fault } from './fault.ts'

export const stores: Fault[] = [
  {
    alerts: {
      OldestJobTooOld: { labels: { queue: 'stuck' }, shows: /chatwoot-sidekiq/ },
      MailNotGoingOut: { shows: /chatwoot/ },
      JobsDead: { labels: { queue: 'stuck' }, shows: /chatwoot/ },
    },
    make: demo => {
      const job = `{"queue":"stuck","enqueued_at":${seconds(Date.now()) - 2000}}`
      demo.redis('chatwoot-redis', 'SADD queues stuck', `RPUSH queue:stuck '${job}'`)
      demo.redis('chatwoot-redis', `ZADD retry 9999999999 '{"queue":"mailers"}'`)
    },
    // not before the queue was seen without any
    again: async (demo, round) => {
      if (round === 4) demo.redis('chatwoot-redis', `ZADD dead 1 '{"queue":"stuck"}'`)
    },
    mend: demo =>
      void demo.redis('chatwoot-redis', 'DEL queue:stuck retry dead', 'SREM queues stuck'),
  },
  {
    alerts: { QueueMetricsFailing: { labels: { app: 'twenty' }, shows: /twenty-redis-exporter/ } },
    make: demo =>
      void demo.redis('twenty-redis', 'HSET bull:broken:meta a 1', 'SET bull:broken:wait x'),
    mend: demo => void demo.redis('twenty-redis', 'DEL bull:broken:meta bull:broken:wait'),
  },
  {
    alerts: {
      RedisMemoryNearLimit: { labels: { app: 'kgc' }, shows: /maxmemory:1\b/ },
      RedisEvicting: { labels: { app: 'kgc' }, shows: /allkeys-random/ },
      RedisWritesRefused: { labels: { app: 'kgc' }, shows: /rdb_|aof_/ },
    },
    again: async demo =>
      void demo.redis(
        'kgc-redis',
        'CONFIG SET maxmemory-policy allkeys-random',
        'CONFIG SET maxmemory 201326592',
        'SET thrown away',
        'CONFIG SET maxmemory 1',
        'SET refused 1',
      ),
    mend: demo =>
      void demo.redis(
        'kgc-redis',
        'CONFIG SET maxmemory 201326592',
        'CONFIG SET maxmemory-policy noeviction',
      ),
  },
  {
    alerts: {
      DatabaseConnectionsExhausted: { labels: { app: 'horilla' }, shows: /postgres +\| +active/ },
    },
    make: demo => {
      const sessions = Math.ceil(
        (demo.value('pg_settings_max_connections{app="horilla"}') ?? 100) * 0.87,
      )
      const script = `for i in $(seq ${sessions}); do psql -U postgres -c 'SELECT pg_sleep(900)' & done; wait`
      demo.engine('exec', '--detach', demo.container('horilla-db'), 'sh', '-c', script)
    },
    mend: demo =>
      void demo.inside(
        'horilla-db',
        `psql -U postgres -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(900)'"`,
      ),
  },
]
