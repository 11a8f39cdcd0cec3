// A server from outside, whose administrator is no superuser: what managed.sql makes there, and
// what check.sql says is missing.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'

const test = suite('managed postgres')
const name = 'kgc-test-managed-postgres'
const docker = (...argv: string[]) => spawnSync('docker', argv, { encoding: 'utf8' })
const folder = join(repository, 'infra/docker/postgres')
/** `psql` in the server's container, over the network as applications come. */
const psql = (user: string, env: string[], ...argv: string[]) =>
  docker(
    'exec',
    ...env.flatMap(one => ['--env', one]),
    name,
    'sh',
    '-c',
    'exec psql -X -v ON_ERROR_STOP=1 -h "$HOSTNAME" -U "$0" "$@"',
    user,
    ...argv,
  )
const check = (user: string, ...variables: string[]) =>
  psql(
    user,
    ['PGPASSWORD=one'],
    '-d',
    'chatwoot',
    ...variables.flatMap(one => ['-v', one]),
    '-f',
    '/kgc/check.sql',
  )
const superuser = (sql: string) =>
  assert.is(
    docker('exec', name, 'psql', '-qU', 'postgres', '-d', 'chatwoot', '-c', sql).status,
    0,
    sql,
  )
const extensions = 'extensions=vector pg_trgm pgcrypto pg_stat_statements'
docker('rm', '--force', '--volumes', name)
process.once('exit', () => docker('rm', '--force', '--volumes', name))

test('an administrator with CREATEROLE and CREATEDB makes the roles and the database; what he may not give is said', async () => {
  docker(
    'run',
    '--detach',
    '--name',
    name,
    '--env',
    'POSTGRES_PASSWORD=root',
    '--volume',
    `${folder}:/kgc:ro`,
    'kgc-demo/postgres:17',
  )
  await waitUntil(
    'the server is there',
    120,
    () => docker('exec', name, 'pg_isready', '-qh', '127.0.0.1').status === 0,
  )
  assert.is(
    docker(
      'exec',
      name,
      'psql',
      '-qU',
      'postgres',
      '-c',
      "CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD 'two'",
    ).status,
    0,
  )
  const variables = [
    'PGPASSWORD=two',
    'DATABASE=chatwoot',
    'DATABASE_PASSWORD=one',
    'DATABASE_APP_PASSWORD=three',
    'DATABASE_EXTENSIONS=vector, pg_trgm, pgcrypto, pg_stat_statements',
  ]
  const { status, stderr } = psql(
    'administrator',
    variables,
    '-d',
    'postgres',
    '-f',
    '/kgc/managed.sql',
  )
  assert.is(status, 0, stderr)
  for (const words of [
    'grant role "pg_monitor"',
    'grant role "pg_read_all_data"',
    'BYPASSRLS',
    'create extension "pg_stat_statements"',
  ])
    assert.match(stderr, words)
})

test('the check names what is missing, role by role; with it the application has what it needs, and no more', () => {
  const first = check('chatwoot_a', extensions)
  assert.is(first.status, 3)
  assert.match(
    first.stderr,
    /missing: .*CREATE EXTENSION pg_stat_statements, in the database chatwoot/,
  )
  assert.match(
    first.stderr,
    'GRANT pg_monitor TO chatwoot_monitor; GRANT pg_read_all_data TO chatwoot_backup; ALTER ROLE chatwoot_backup BYPASSRLS',
  )
  superuser('CREATE EXTENSION IF NOT EXISTS vector; CREATE EXTENSION pg_stat_statements')
  assert.is(check('chatwoot_a', extensions, 'app=true').status, 0)
  superuser('ALTER ROLE chatwoot_a RESET role')
  assert.match(
    check('chatwoot_a', extensions).stderr,
    'missing: ALTER ROLE chatwoot_a SET role TO chatwoot_owner',
  )
  superuser('ALTER ROLE chatwoot_a SET role TO chatwoot_owner')
  const made = psql(
    'chatwoot_a',
    ['PGPASSWORD=one'],
    '-d',
    'chatwoot',
    '-qtAc',
    'CREATE SCHEMA own; CREATE TABLE mine (name text); CREATE EXTENSION IF NOT EXISTS vector; SELECT tableowner FROM pg_tables WHERE tablename = $$mine$$',
  )
  assert.is(made.stdout.trim(), 'chatwoot_owner', made.stderr)
  assert.is(
    psql(
      'chatwoot_app',
      ['PGPASSWORD=three'],
      '-d',
      'chatwoot',
      '-qtAc',
      'INSERT INTO mine VALUES ($$a$$); SELECT name FROM mine',
    ).stdout.trim(),
    'a',
  )
  assert.match(
    psql('chatwoot_app', ['PGPASSWORD=three'], '-d', 'chatwoot', '-c', 'DROP TABLE mine').stderr,
    'must be owner',
  )
})

test.run()
