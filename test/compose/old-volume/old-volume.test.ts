// A volume of before the applications had roles of their own: refused, dumped, restored, rows
// equal.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('old volume')
const stack = fullProject('old-volume', 18080)
const volume = `${stack.project}_twenty-db-data`
const up = () => stack.run(['up', 'demo', 'twenty-db'])
const ask = (id: string, user: string, query: string) =>
  stack.engine('exec', id, 'psql', '-qtAXU', user, '-d', 'twenty', '-c', query)
/** Every row of every table, in one line a table. */
const rows = (id: string, user: string) => {
  const tables = ask(
    id,
    user,
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('core', 'public') ORDER BY 1",
  ).split('\n')
  assert.ok(tables.length > 5, tables.join())
  return tables.map(
    table =>
      `${table} ${ask(id, user, `SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text)) FROM ${table} t`)}`,
  )
}
let before: string[]

test('it is made as the release before made it: the application is superuser, libc sorts', async () => {
  const { TWENTY_DB_PASSWORD: password } = parse(
    readFileSync(join(stack.docker, 'twenty-crm/.env.demo')),
  )
  const variables = [
    'POSTGRES_USER=twenty',
    'POSTGRES_DB=twenty',
    `POSTGRES_PASSWORD=${password}`,
    'POSTGRES_INITDB_ARGS=--data-checksums',
  ].flatMap(one => ['--env', one])
  const dump = `${join(import.meta.dirname, 'twenty.sql')}:/docker-entrypoint-initdb.d/twenty.sql:ro`
  const id = stack.engine(
    'run',
    '--detach',
    ...variables,
    '--volume',
    `${volume}:/var/lib/postgresql/data`,
    '--volume',
    dump,
    'kgc-demo/postgres:17',
  )
  await waitUntil(
    'the old database is there',
    120,
    () => spawnSync('docker', ['exec', id, 'pg_isready', '-qh', '127.0.0.1']).status === 0,
  )
  before = rows(id, 'twenty')
  stack.engine('stop', id)
  stack.engine('rm', id)
})

test('up refuses it and touches nothing; its command takes the rows over, and keeps the old volume', () => {
  const { code, stderr } = up()
  assert.is(code, 3, stderr)
  assert.match(stderr, `${volume}: has no role twenty_a`)
  assert.is(stack.container('twenty-db'), '')
  const doctor = stack.run(['bootstrap', '--doctor', '--environment', 'demo']).stdout
  assert.match(doctor, `${volume} is older than the applications' own database roles`)
  const [, command] = /(infra\/docker\/postgres\/take-over\.sh .*?)   \(/.exec(stderr) ?? []
  const done = spawnSync('sh', ['-c', command!], {
    cwd: stack.root,
    encoding: 'utf8',
    env: { ...process.env, KGC_PROJECT: stack.project },
  })
  assert.is(done.status, 0, done.stderr + done.stdout)
  const id = stack.container('twenty-db')
  assert.equal(rows(id, 'postgres'), before)
  assert.is(
    ask(id, 'postgres', "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'core'"),
    'twenty_owner',
  )
  assert.match(stack.engine('volume', 'ls', '-q'), `${volume}-old`)
  assert.is(up().code, 0)
})

test('sclorg/postgresql-container#309: a first start that was interrupted, in initdb or after it, is begun again', () => {
  const cut = join(stack.root, 'cut.sh')
  const text = readFileSync(join(stack.docker, 'postgres/init.sh'), 'utf8')
  writeFileSync(
    cut,
    text.replace('# What the volume was made with', words => `kill -9 $$\n${words}`),
  )
  const mounted = ['--volume', `${volume}:/var/lib/postgresql/data`]
  for (const argv of [
    ['--user', 'postgres', ...mounted, 'kgc-demo/postgres:17', 'sh', '-c', 'initdb -D "$PGDATA"'],
    [
      '--env',
      'POSTGRES_PASSWORD=x',
      '--env',
      'POSTGRES_DB=twenty',
      ...mounted,
      '--volume',
      `${cut}:/docker-entrypoint-initdb.d/cut.sh:ro`,
      'kgc-demo/postgres:17',
    ],
  ]) {
    stack.engine('rm', '--force', stack.container('twenty-db'))
    stack.engine('volume', 'rm', volume)
    spawnSync('docker', ['run', '--rm', '--init', ...argv], { stdio: 'ignore', timeout: 120_000 })
    const { code, stderr } = up()
    assert.is(code, 0, stderr)
    const id = stack.container('twenty-db')
    assert.match(
      spawnSync('docker', ['logs', id], { encoding: 'utf8' }).stderr,
      'it is begun again',
    )
    assert.is(ask(id, 'twenty_a', 'SELECT current_user'), 'twenty_owner')
  }
})

test.run()
