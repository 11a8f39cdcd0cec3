// Jobs that wait or are being put in while Redis restarts: none is lost, and nothing has to be
// restarted by hand.
import { spawn } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('redis restart')
const stack = fullProject('redis-restart', 18110)
const redis = (...argv: string[]) =>
  stack.engine(
    'exec',
    stack.container('chatwoot-redis'),
    'sh',
    '-c',
    'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli "$@"',
    'sh',
    ...argv,
  )
const processed = () => Number(redis('get', 'stat:processed') || 0)

test('200 jobs under way, Redis restarted twice in the middle: all are done', async () => {
  const { code, stderr } = stack.run(['up', 'demo', 'chatwoot'])
  assert.is(code, 0, stderr)
  const workers = stack.engine(
    'inspect',
    '--format',
    '{{.State.StartedAt}} {{.RestartCount}}',
    stack.container('chatwoot-sidekiq'),
    stack.container('chatwoot-web'),
  )
  const before = processed()
  // as the application puts them in: a list and a set, confirmed one by one
  const script = `i=0; while [ $i -lt 200 ]; do
    job='{"class":"EventDispatcherJob","jid":"test'$i'","queue":"default","args":[],"retry":true,"created_at":0,"enqueued_at":0}'
    if [ "$(REDISCLI_AUTH=$REDIS_PASSWORD redis-cli lpush queue:default "$job" 2>/dev/null)" -gt 0 ] 2>/dev/null; then i=$((i + 1)); else sleep 0.2; fi
  done`
  // from a container of its own: the one of Redis is what restarts
  const image = 'kgc-demo/redis:8'
  const network = `${stack.project}_chatwoot-internal`
  const password = stack.engine(
    'exec',
    stack.container('chatwoot-redis'),
    'printenv',
    'REDIS_PASSWORD',
  )
  const load = spawn(
    'docker',
    [
      'run',
      '--rm',
      '--network',
      network,
      '--env',
      'REDIS_PASSWORD',
      '--entrypoint',
      'sh',
      image,
      '-c',
      script.replaceAll('redis-cli', 'redis-cli -h chatwoot-redis'),
    ],
    {
      env: { ...process.env, REDIS_PASSWORD: password },
      stdio: 'ignore',
    },
  )
  const done = new Promise<number | null>(resolve => load.on('close', resolve))
  for (const share of [40, 100]) {
    await waitUntil(`${share} jobs`, 60, () => processed() - before >= share, 100)
    stack.engine('restart', '--time', '5', stack.container('chatwoot-redis'))
  }
  assert.is(await done, 0)
  await waitUntil('all jobs are done', 60, () => processed() - before >= 200)
  assert.is(redis('llen', 'queue:default'), '0')
  assert.is(
    stack.engine(
      'inspect',
      '--format',
      '{{.State.StartedAt}} {{.RestartCount}}',
      stack.container('chatwoot-sidekiq'),
      stack.container('chatwoot-web'),
    ),
    workers,
  )
})

test.run()
