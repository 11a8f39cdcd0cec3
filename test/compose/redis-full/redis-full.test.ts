// A Redis that is full answers PING, and refuses every job (twentyhq/twenty#26219,
// sidekiq/sidekiq#5558): smoke names it, with what fills it.
import { execFileSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { redisChecks } from '../../../scripts/lib/smoke/redis.ts'
import { beforeAll } from '../../hooks.ts'
import { waitUntil } from '../../until.ts'

const test = suite('redis-full')
const name = 'kgc-test-redis-full'
const docker = (...argv: string[]) =>
  execFileSync('docker', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const inside = (script: string) => docker('exec', name, 'sh', '-c', script)
const remove = () => void docker('rm', '-f', '-v', name)
const cli = 'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli'

const [check] = redisChecks('shop-redis')
const context = {
  exec: async (_: string, argv: string[]) => docker('exec', name, ...argv),
} as unknown as SmokeContext
const ask = async () =>
  Promise.resolve(check!.run(context)).then(
    detail => `passed: ${detail}`,
    (error: Error) => error.message,
  )

beforeAll(test, async () => {
  const server =
    'exec redis-server --requirepass $REDIS_PASSWORD --maxmemory 16mb --maxmemory-policy noeviction'
  try {
    remove()
  } catch {
    // it was not there
  }
  docker(
    'run',
    '-d',
    '--name',
    name,
    '-e',
    'REDIS_PASSWORD=x',
    'kgc-demo/redis:8',
    'sh',
    '-c',
    server,
  )
  await waitUntil('Redis answers', 30, () => inside(`${cli} ping || true`).includes('PONG'))
})
test.after(remove)

test('twentyhq/twenty#26219, sidekiq/sidekiq#5558: a Redis that refuses jobs fails smoke, which says what fills it', async () => {
  assert.match(await ask(), /^passed: \d+ % used$/)
  inside(
    `${cli} EVAL "for i = 1, 20 do redis.call('SET', 'bull:bulk:' .. i, string.rep('x', 900000)) end" 0`,
  )
  assert.match(inside(`${cli} SET a 1`), 'OOM command not allowed')
  assert.match(inside(`${cli} ping`), 'PONG')
  assert.match(
    await ask(),
    /shop-redis: it is full .*refuses all writes.*bull:bulk \d+ MB.*maxmemory/,
  )
  inside(`${cli} FLUSHALL`)
  assert.match(await ask(), /^passed/)
})

test.run()
