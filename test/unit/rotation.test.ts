// What a rotation is planned from, and what is read of the engine afterwards.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Failure } from '../../scripts/lib/errors.ts'
import { gapOf } from '../../scripts/lib/compose/rotation/gaps.ts'
import { planRotation } from '../../scripts/lib/compose/rotation/plan.ts'
import { findReaders } from '../../scripts/lib/compose/rotation/rotate.ts'
import { sandbox } from '../sandbox.ts'

const test = suite('rotation')
const box = sandbox(['infra/docker', 'infra/monitoring', 'scripts', '.env.example', 'package.json'])
const written = box.script(['env', 'demo'])
assert.is(written.code, 0, written.stderr)

const refusal = (key: string) => {
  try {
    planRotation(box.root, 'demo', key)
    return { code: 0, why: '', next: '' }
  } catch (error) {
    const { code, why, next = '' } = error as Failure
    return { code, why, next }
  }
}

test('what cannot be rotated is refused with the reason, and nothing is written', () => {
  const cases: [string, number, RegExp, RegExp][] = [
    ['KGC_NOTHING', 2, /no .env.example has/, /^one of: .*KGC_DB_PASSWORD/],
    ['KGC_API_DOCS', 2, /is no secret/, /^one of: /],
    ['TWENTY_ENCRYPTION_KEY', 3, /encrypted with it/, /twenty-crm\/README.md says how/],
    ['CHATWOOT_ENCRYPTION_PRIMARY_KEY', 3, /cannot be read or verified/, /leave it/],
    [
      'KGC_CHATWOOT_API_KEY',
      3,
      /comes from outside/,
      /infra\/docker\/kgc\/.env.demo, then make up/,
    ],
    ['GRAFANA_ADMIN_PASSWORD', 3, /at a first start alone/, /change it there/],
  ]
  for (const [key, code, why, next] of cases) {
    const found = refusal(key)
    assert.is(found.code, code, `${key}: ${found.why}`)
    assert.match(found.why, why, key)
    assert.match(found.next, next, key)
  }
})

test('a plan changes the key and its login alone, and has a way back', () => {
  const file = join(box.docker, 'kgc/.env.demo')
  // as `make env` of an older release has left it
  const text = readFileSync(file, 'utf8').replace(/^KGC_DB_LOGIN=.*\n/m, '')
  writeFileSync(file, text)
  const { change, back, logins, ...rest } = planRotation(box.root, 'demo', 'KGC_DB_PASSWORD')
  assert.equal(logins, { old: 'kgc_a', new: 'kgc_b' })
  assert.equal(parse(change.after), {
    ...parse(text),
    KGC_DB_PASSWORD: rest.new,
    KGC_DB_LOGIN: 'kgc_b',
  })
  assert.is(rest.new.length, rest.old.length)
  assert.is(back.after, text)
  assert.is(readFileSync(file, 'utf8'), text)
})

test('the server of a secret is told from what reads it', () => {
  const service = (image: string, environment: Record<string, string>) => ({ image, environment })
  const services = {
    db: service('postgres:17', { POSTGRES_PASSWORD: 'old' }),
    web: service('chatwoot', { POSTGRES_PASSWORD: 'old' }),
    worker: service('kgc', { DATABASE_URL: 'postgres://a:old@db' }),
    other: service('kgc', {}),
  }
  assert.equal(findReaders({ name: 'kgc', services }, { kind: 'login', old: 'old' }), {
    readers: ['web', 'worker'],
    server: 'db',
  })
})

test('a gap goes from the end of the old container to the first good check of the new one', () => {
  const at = (seconds: number, Action: string, service = 'web') => ({
    ...{ Action, timeNano: seconds * 1e9 },
    Actor: { Attributes: { 'com.docker.compose.service': service } },
  })
  const events = [at(1, 'die'), at(2, 'start'), at(2, 'die', 'db'), at(6, 'health_status: healthy')]
  assert.is(gapOf(events, 'web'), 5000)
  assert.is(gapOf([at(1, 'die'), at(2, 'start')], 'web'), 1000)
  assert.is(gapOf(events, 'redis'), 0)
})

test.run()
