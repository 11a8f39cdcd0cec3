// Up from the states that people bring: a second clone, other passwords, env files written anew, a
// clone that was moved.
import { renameSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullProject, neighbour, type ComposeProject } from '../project.ts'

const test = suite('start state')
const a = fullProject('start-state', 18090)
const b = neighbour(a)
const file = (box: ComposeProject) => join(box.docker, 'twenty-crm/.env.demo')
const up = (box: ComposeProject) => box.run(['up', 'demo', 'twenty-db'])
const ids = () =>
  a
    .engine('ps', '-aq', '--no-trunc', '--filter', `label=com.docker.compose.project=${a.project}`)
    .split('\n')
    .sort()
const password = (text: string) => /^TWENTY_DB_PASSWORD=(.*)/m.exec(text)![1]!
const change = (text: string, to: string) =>
  text.replace(/^TWENTY_DB_PASSWORD=.*/m, `TWENTY_DB_PASSWORD=${to}`)
const other = `${'5'.repeat(7)}f0e1d2c3b4a59687a1b2c3d4`
const volume = `${a.project}_twenty-db-data`
const record = () =>
  a.engine('exec', a.container('twenty-db'), 'cat', '/var/lib/postgresql/data/kgc-secrets.json')
const written = () => {
  const { code, stderr } = up(a)
  assert.is(code, 0, stderr)
  return readFileSync(file(a), 'utf8')
}
const refuses = (box: ComposeProject, why: RegExp) => {
  const before = ids()
  const { code, stderr } = up(box)
  assert.is(code, 3, stderr)
  assert.match(stderr, why)
  for (const secret of [other, password(readFileSync(file(box), 'utf8'))])
    assert.not.match(stderr, secret)
  assert.equal(ids(), before, 'nothing was touched')
}
let text = ''

test('docker/compose#2120: a second clone is refused by up and by purge, and told whose the stack is', () => {
  text = written()
  assert.is(b.run(['env', 'demo']).code, 0)
  refuses(b, new RegExp(`was started from ${a.root}`))
  assert.is(b.run(['down', 'demo', '--purge', '--yes']).code, 3)
  assert.ok(a.container('twenty-db'))
})

test('what the volume knows is in it as a salted hash; a volume of a time before that is asked through its database, and gets its record', () => {
  assert.match(record(), /"POSTGRES_PASSWORD":"scrypt\$/)
  assert.not.match(record(), password(text))
  a.engine('exec', a.container('twenty-db'), 'rm', '/var/lib/postgresql/data/kgc-secrets.json')
  writeFileSync(file(a), change(text, other))
  refuses(a, /TWENTY_DB_PASSWORD/)
  writeFileSync(file(a), text)
  written()
  assert.match(record(), a.root)
})

test('a password that was changed in the database, too, is taken, and the record follows', () => {
  a.engine(
    'exec',
    a.container('twenty-db'),
    'psql',
    '-qU',
    'postgres',
    '-c',
    `ALTER ROLE twenty_a PASSWORD '${other}'`,
  )
  writeFileSync(file(a), change(text, other))
  written()
  writeFileSync(file(a), text)
  refuses(a, /TWENTY_DB_PASSWORD/)
  a.engine(
    'exec',
    a.container('twenty-db'),
    'psql',
    '-qU',
    'postgres',
    '-c',
    `ALTER ROLE twenty_a PASSWORD '${password(text)}'`,
  )
  written()
})

test('stopped, the volume still refuses another password and another clone; env files that were deleted and written anew, too', () => {
  assert.is(a.run(['down', 'demo']).code, 0)
  refuses(b, new RegExp(`${volume}, last started from ${a.root}`))
  rmSync(file(a))
  assert.is(a.run(['env', 'demo']).code, 0)
  refuses(a, /TWENTY_DB_PASSWORD, TWENTY_ENCRYPTION_KEY: another value in the volume/)
  const rotated = text.replace(
    /^TWENTY_ENCRYPTION_KEY=.*/m,
    'TWENTY_ENCRYPTION_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
  )
  writeFileSync(file(a), rotated)
  refuses(a, /EVIDENCE\s+TWENTY_ENCRYPTION_KEY: another value/)
  writeFileSync(file(a), text)
})

test('a stopped volume of before records tells nothing: what its database refuses once it runs is not recorded, and the old password is taken', () => {
  a.engine(
    'run',
    '--rm',
    '-v',
    `${volume}:/data`,
    'kgc-demo/base:trixie',
    'rm',
    '/data/kgc-secrets.json',
  )
  writeFileSync(file(a), change(text, other))
  const { code, stderr } = up(a)
  assert.is(code, 0, stderr)
  assert.match(stderr, /twenty-db rejects the password in TWENTY_DB_PASSWORD/)
  assert.throws(record)
  writeFileSync(file(a), text)
})

test('moved, with the passwords that fit, and with the containers that a restart left stopped, it starts and heals', () => {
  written()
  const sql = (query: string) =>
    a.engine('exec', a.container('twenty-db'), 'psql', '-qtAU', 'postgres', '-c', query)
  sql('CREATE TABLE kept AS SELECT 42 AS n')
  a.engine('kill', ...ids())
  renameSync(a.docker, `${a.docker}-away`)
  writeFileSync(file(b), text)
  const { code, stderr } = up(b)
  assert.is(code, 0, stderr)
  assert.match(record(), b.root)
  // its first start's script is mounted from the repository, so its container is another one, on
  // the same volume
  assert.is(sql('SELECT n FROM kept'), '42')
})

test.run()
