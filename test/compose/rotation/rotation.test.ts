// A secret gets another value while the stack serves: nobody is refused for a password, what fails is
// undone, what is interrupted is ended by the next start, and the old value is refused afterwards.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository, type Options } from '../../sandbox.ts'
import { fullProject } from '../project.ts'

const test = suite('rotation')
const stack = fullProject('rotation', 18160, { hurried: true })
const file = join(stack.docker, 'chatwoot/.env.demo')
const values = () => parse(readFileSync(file, 'utf8'))
const rotate = (key: string, options?: Options) =>
  stack.run(['up', 'demo', 'chatwoot', '--rotate-secret', key], options)

const psql = (...words: string[]) => ['psql', '-qtAXw', '-d', 'chatwoot', ...words]
const sql = (query: string) =>
  stack.engine('exec', stack.container('chatwoot-db'), ...psql('-U', 'postgres', '-c', query))
/** What the database says to a role's password over the network. */
const logsIn = (login: string, password: string) =>
  spawnSync(
    'docker',
    [
      ...['exec', '-e', 'PGPASSWORD', stack.container('chatwoot-db'), 'sh', '-c'],
      ...['exec "$@" -h "$HOSTNAME"', '-', ...psql('-U', login, '-c', 'SELECT 1')],
    ],
    { env: { ...process.env, PGPASSWORD: password } },
  ).status === 0
const redisAccepts = (password: string) =>
  spawnSync(
    'docker',
    ['exec', '-e', 'REDISCLI_AUTH', stack.container('chatwoot-redis'), 'redis-cli', 'ping'],
    { env: { ...process.env, REDISCLI_AUTH: password }, encoding: 'utf8' },
  ).stdout.includes('PONG')

/** All that the containers of the project say from now on, those of the old configuration, too. */
function listen(): { stop: () => string } {
  const said: string[] = []
  const follow = (service: string) => {
    const child = spawn('docker', ['logs', '--follow', '--since', '1s', stack.container(service)])
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', data => said.push(`${service}: ${data}`))
    return child
  }
  const services = ['chatwoot-db', 'chatwoot-redis', 'chatwoot-web', 'chatwoot-sidekiq']
  const children = services.map(follow)
  process.once('exit', () => children.forEach(child => child.kill()))
  return {
    stop: () => {
      for (const child of children) child.kill()
      return said.concat(services.map(name => stack.engine('logs', stack.container(name)))).join('')
    },
  }
}

test('a password of the database: two logins are right meanwhile, then the old one is refused', async () => {
  const { code, stderr } = stack.run(['up', 'demo', 'chatwoot'])
  assert.is(code, 0, stderr)
  sql('CREATE TABLE kept AS SELECT 1 AS word')
  const old = values()
  const logs = listen()
  const rotated = stack.start(
    ['up', 'demo', 'chatwoot', '--rotate-secret', 'CHATWOOT_DB_PASSWORD'],
    { KGC_PROJECT: stack.project },
  )
  assert.is(await rotated.code, 0, rotated.said())
  assert.not.match(logs.stop(), /authentication failed|WRONGPASS|NOAUTH/)
  const now = values()
  assert.is(now.CHATWOOT_DB_LOGIN, 'chatwoot_b')
  assert.is.not(now.CHATWOOT_DB_PASSWORD, old.CHATWOOT_DB_PASSWORD)
  for (const secret of [old, now])
    assert.not.match(rotated.said(), secret.CHATWOOT_DB_PASSWORD!, 'a secret is printed')
  assert.ok(logsIn('chatwoot_b', now.CHATWOOT_DB_PASSWORD!))
  assert.not.ok(logsIn('chatwoot_a', old.CHATWOOT_DB_PASSWORD!))
  assert.is(sql('SELECT word FROM kept'), '1')
  assert.match(rotated.said(), /chatwoot-web +\d+\.\d s/)
  console.log(rotated.output.stdout)

  const containers = stack.container('chatwoot-web')
  assert.is(stack.run(['up', 'demo', 'chatwoot']).code, 0)
  assert.is(stack.container('chatwoot-web'), containers, 'the next start changes something')
})

test('one that fails is undone: the old value serves, the new login is closed', () => {
  const before = readFileSync(file, 'utf8')
  const shim = join(stack.root, 'shim')
  mkdirSync(shim)
  const real = spawnSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).stdout.trim()
  const mark = join(shim, 'fails')
  writeFileSync(mark, '')
  writeFileSync(
    join(shim, 'docker'),
    `#!/bin/sh\ncase "$*" in *kgc-rotation*" up "*) [ ! -s ${mark} ] && { [ -e ${mark}1 ] && echo done >${mark}; : >${mark}1; echo 'no space left on device' >&2; exit 1; } ;; esac\nexec ${real} "$@"\n`,
    { mode: 0o755 },
  )
  const { code, stderr } = rotate('CHATWOOT_DB_PASSWORD', {
    env: { PATH: `${shim}:${process.env.PATH}` },
  })
  assert.is(code, 5, stderr)
  assert.match(stderr, 'no space left on device')
  assert.is(readFileSync(file, 'utf8'), before)
  assert.ok(logsIn('chatwoot_b', values().CHATWOOT_DB_PASSWORD!))
  assert.is(
    sql("SELECT rolname FROM pg_authid WHERE rolname LIKE 'chatwoot\\__' AND rolpassword <> ''"),
    'chatwoot_b',
  )
})

test('one that is killed is ended by the next start', () => {
  const old = values()
  const killed = rotate('CHATWOOT_DB_PASSWORD', {
    env: {
      ...{ END_AT: '▶ Restart chatwoot', END_BY: 'SIGKILL' },
      NODE_OPTIONS: `--import=${join(repository, 'test/cluster/deploy/end-at.mjs')}`,
    },
  })
  assert.is(killed.code, -1, killed.stderr)
  assert.is(values().CHATWOOT_DB_LOGIN, 'chatwoot_a')
  const { code, stderr } = stack.run(['up', 'demo', 'chatwoot'])
  assert.is(code, 0, stderr)
  assert.ok(logsIn('chatwoot_a', values().CHATWOOT_DB_PASSWORD!))
  assert.not.ok(logsIn('chatwoot_b', old.CHATWOOT_DB_PASSWORD!))
})

test('a password of Redis: it knows two meanwhile, and its queues stay', () => {
  const old = values().CHATWOOT_REDIS_PASSWORD!
  const inRedis = (...words: string[]) =>
    stack.engine(
      'exec',
      stack.container('chatwoot-redis'),
      ...['sh', '-c', 'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli "$@"', '-', ...words],
    )
  inRedis('set', 'kept', 'here')
  const logs = listen()
  const { code, stderr } = rotate('CHATWOOT_REDIS_PASSWORD')
  assert.is(code, 0, stderr)
  assert.not.match(logs.stop(), /authentication failed|WRONGPASS|NOAUTH/)
  assert.ok(redisAccepts(values().CHATWOOT_REDIS_PASSWORD!))
  assert.not.ok(redisAccepts(old))
  assert.is(inRedis('get', 'kept'), 'here')
})

test.run()
