// The exporters' logins in PostgreSQL and Redis, on volumes that were made without monitoring, and
// the queues that the Lua scripts count.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../../hooks.ts'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('stores')
const box = fullProject('stores', 28_340)
const services = ['twenty-db', 'twenty-redis', 'chatwoot-redis']
const exporters = services.map(name =>
  name.replace(/-(db|redis)$/, (_, kind) => `-${kind === 'db' ? 'postgres' : kind}-exporter`),
)

/** Runs a command in a service's container; what it said, on both streams. */
const inside = (service: string, ...argv: string[]): string =>
  box.engine('exec', box.container(service), ...argv)
/** Redis' answer to a script of commands, as the application asks it. */
const redis = (service: string, ...words: string[]): string =>
  inside(service, 'sh', '-c', 'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli "$@"', 'sh', ...words)
/** As the exporter asks it. */
const monitor = (service: string, ...words: string[]): string =>
  inside(
    service,
    ...[
      'sh',
      '-c',
      'REDISCLI_AUTH=$REDIS_MONITOR_PASSWORD exec redis-cli --user monitor "$@"',
      'sh',
    ],
    ...words,
  )
/** What an exporter serves: values by series. */
function metricsOf(exporter: string, port: number): Map<string, number> {
  const text = inside(exporter, 'wget', '-qO-', `http://127.0.0.1:${port}/metrics`)
  return new Map(
    [...text.matchAll(/^([^#\s]\S*(?:\{.*\})?) (\S+)$/gm)].map(([, name, value]) => [
      name!.replace(/filename="[^"]*",/, ''),
      Number(value),
    ]),
  )
}

beforeAll(test, () => {
  const first = box.run(['up', 'demo', ...services], { env: { MONITORING: '0' } })
  assert.is(first.code, 0, first.stderr)
  inside('twenty-db', 'psql', '-U', 'postgres', 'twenty', '-c', 'CREATE TABLE kept ()')
  const second = box.run(['up', 'demo', ...services, ...exporters], { env: { MONITORING: '1' } })
  assert.is(second.code, 0, second.stderr)
  assert.match(
    second.stderr,
    /monitoring: \d+ services, which reserve [\d.]+ MB of memory and may take [\d.]+ MB/,
  )
})

test('a database that was made without monitoring lets the exporter in, with its data, and logs no password', async () => {
  await waitUntil(
    'the login',
    30,
    () => metricsOf('twenty-postgres-exporter', 9187).get('pg_up') === 1,
  )
  const names = [...metricsOf('twenty-postgres-exporter', 9187).keys()]
  for (const name of ['pg_stat_activity_count', 'pg_settings_max_connections'])
    assert.ok(
      names.some(one => one.startsWith(name)),
      name,
    )
  assert.match(inside('twenty-db', 'psql', '-U', 'postgres', 'twenty', '-c', '\\dt'), 'kept')
  const password = inside('twenty-db', 'printenv', 'DATABASE_MONITOR_PASSWORD')
  assert.not.match(box.engine('logs', box.container('twenty-db')), password)
})

test('of Redis the exporter reads counts, and can neither write, nor by a script, nor read settings', () => {
  for (const service of ['twenty-redis', 'chatwoot-redis']) {
    assert.match(monitor(service, 'INFO', 'memory'), 'maxmemory:')
    const refused = [
      ['SET', 'a', 'b'],
      ['CONFIG', 'GET', 'requirepass'],
      ['ACL', 'LIST'],
      ['GET', 'a'],
      ['EVAL', "return redis.call('SET', 'a', 'b')", '0'],
    ]
    for (const words of refused)
      assert.match(
        monitor(service, ...words),
        /NOPERM|no permissions to run|can't run this command/,
        words.join(' '),
      )
  }
})

test('the oldest job of Sidekiq is as old as it is, in seconds and in milliseconds; failed and dead ones are counted', () => {
  const now = Number(redis('chatwoot-redis', 'TIME').split('\n')[0])
  const job = (queue: string, enqueued_at: number) => JSON.stringify({ queue, enqueued_at })
  redis('chatwoot-redis', 'SADD', 'queues', 'default', 'mailers')
  redis('chatwoot-redis', 'RPUSH', 'queue:default', job('default', now), job('default', now - 600))
  redis('chatwoot-redis', 'RPUSH', 'queue:mailers', job('mailers', (now - 60) * 1000))
  redis('chatwoot-redis', 'ZADD', 'retry', '1', job('mailers', now))
  redis('chatwoot-redis', 'ZADD', 'dead', '1', job('default', now))
  const metrics = metricsOf('chatwoot-redis-exporter', 9121)
  const value = (key: string) => metrics.get(`redis_script_values{key="${key}"}`) ?? Number.NaN
  const near = (key: string, age: number) =>
    assert.ok(Math.abs(value(key) - age) < 30, `${key}: ${value(key)}`)
  near('oldest:jobs:default', 600)
  near('oldest:mail:mailers', 60)
  assert.equal(
    [
      'waiting:jobs:default',
      'failing:mail:mailers',
      'failing:jobs:default',
      'dead:jobs:default',
    ].map(value),
    [2, 1, 0, 1],
  )
})

test('the oldest job of BullMQ is found with a priority and without', () => {
  const ms = Number(redis('twenty-redis', 'TIME').split('\n')[0]) * 1000
  const add = (queue: string, id: string, age: number, ...to: string[]) => {
    redis('twenty-redis', 'HSET', `bull:${queue}:meta`, 'opts.maxLenEvents', '10000')
    redis('twenty-redis', 'HSET', `bull:${queue}:${id}`, 'timestamp', `${ms - age * 1000}`)
    redis('twenty-redis', ...to)
  }
  add('cron-queue', '1', 300, 'LPUSH', 'bull:cron-queue:wait', '1')
  add('cron-queue', '2', 900, 'ZADD', 'bull:cron-queue:prioritized', '1', '2')
  add('email-queue', '1', 5, 'ZADD', 'bull:email-queue:failed', '1', '1')
  const metrics = metricsOf('twenty-redis-exporter', 9121)
  const value = (key: string) => metrics.get(`redis_script_values{key="${key}"}`) ?? Number.NaN
  assert.ok(
    Math.abs(value('oldest:jobs:cron-queue') - 900) < 30,
    `${value('oldest:jobs:cron-queue')}`,
  )
  assert.equal(
    ['waiting:jobs:cron-queue', 'oldest:mail:email-queue', 'dead:mail:email-queue'].map(value),
    [2, 0, 1],
  )
})

test('the next start changes nothing', () => {
  const before = [...services, ...exporters].map(box.container)
  const again = box.run(['up', 'demo', ...services, ...exporters], { env: { MONITORING: '1' } })
  assert.is(again.code, 0, again.stderr)
  assert.equal([...services, ...exporters].map(box.container), before)
})

test('of a store that is away its exporter says so before Prometheus gives up on it', () => {
  box.engine('stop', '-t', '1', box.container('twenty-db'), box.container('twenty-redis'))
  for (const [exporter, port, series] of [
    ['twenty-postgres-exporter', 9187, 'pg_up'],
    ['twenty-redis-exporter', 9121, 'redis_up'],
  ] as const) {
    const start = Date.now()
    assert.is(metricsOf(exporter, port).get(series), 0, series)
    assert.ok(Date.now() - start < 9_000, `${exporter}: ${Date.now() - start} ms`)
  }
})

test.run()
