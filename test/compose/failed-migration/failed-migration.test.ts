// What a failed migration leaves behind: the version before starts again, by itself or after the command that is said.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../../sandbox.ts'
import { smallCase } from '../case.ts'

const test = suite('failed migration')
const { docker, project, engine } = smallCase(import.meta.dirname, 'failed-migration')
for (const file of ['migrate.sh', 'init.sql']) cpSync(join(repository, 'infra/docker/kgc', file), join(docker, file))
const own = join(repository, 'infra/demo/standin/apps/kgc-api/app/prisma/migrations')
const migrations = join(docker, 'migrations')

/** Makes the image one whose migrations are the stand-in's and these. */
function version(more: Record<string, string>) {
  // the folder itself is mounted
  if (!existsSync(migrations)) cpSync(own, migrations, { recursive: true })
  for (const name of ['1_new', '2_torn']) rmSync(join(migrations, name), { recursive: true, force: true })
  for (const [name, sql] of Object.entries(more)) {
    mkdirSync(join(migrations, name))
    writeFileSync(join(migrations, name, 'migration.sql'), sql)
  }
}
version({})
const compose = ['compose', '-p', project, '--project-directory', docker]
/** A command in that version's container, its migration without words: the exit code, and what it says; 124 when it does not end in time. */
function run(argv: string[] = ['sh', '/kgc/migrate.sh'], seconds = 60) {
  const { status, stdout, stderr } = spawnSync('docker', [...compose, 'exec', '-T', 'kgc-migrate', 'timeout', String(seconds), ...argv], { encoding: 'utf8', timeout: 90_000 })
  return { code: status, said: stdout + stderr }
}
const wait = (seconds?: number) => run(['sh', '/kgc/migrate.sh', 'wait'], seconds)
const status = () => run(['npx', 'prisma', 'migrate', 'status']).code
const tables = () => engine(...compose, 'exec', '-T', 'kgc-db', 'psql', '-U', 'kgc', '-Atc', "select string_agg(tablename, ' ' order by 1) from pg_tables where tablename like 'mark%'")

test('an empty database is made', () => {
  engine(...compose, 'up', '--detach', '--wait')
  const first = run()
  assert.is(first.code, 0, first.said)
})

test('prisma/orm#26306: what the database took back as a whole is marked so, and nothing stands in the way any more', () => {
  version({ '1_new': 'CREATE TABLE mark_1 (id int); SELECT 1 / 0;' })
  const bad = run()
  assert.is(bad.code, 1, bad.said)
  assert.match(bad.said, /Database error code: 22012[^]*1_new has changed nothing, the database took it back as a whole/)
  assert.is(tables(), '')
  // Prisma counts it as had, and it is not
  assert.is(wait(6).code, 124)
  version({})
  assert.equal([status(), wait().code, run().code], [0, 0, 0])
  version({ '1_new': 'CREATE TABLE mark_1 (id int);' })
  assert.equal([run().code, tables(), wait().code], [0, 'mark_1', 0])
})

test('prisma/orm#14860, langfuse/langfuse-k8s#253: a torn one stops nobody who does not have it, and says the command that resolves it', () => {
  const sql = 'CREATE TABLE mark_2 (id int); COMMIT; SELECT 1 / 0;'
  version({ '1_new': 'CREATE TABLE mark_1 (id int);', '2_torn': sql })
  const torn = run()
  assert.is(torn.code, 1, torn.said)
  const [, command] = /docker compose run --rm kgc-migrate (npx prisma migrate resolve --rolled-back 2_torn)/.exec(torn.said) ?? []
  assert.ok(command, torn.said)
  assert.is(tables(), 'mark_1 mark_2')
  assert.match(run().said, /P3009[^]*resolve --rolled-back 2_torn/)
  assert.is(wait(6).code, 124, 'it has not been applied')
  version({ '1_new': 'CREATE TABLE mark_1 (id int);' })
  assert.is(status(), 1, 'Prisma fails for all')
  const before = run()
  assert.is(before.code, 0, before.said)
  assert.match(before.said, 'all migrations of this version are applied; 2_torn failed under another one and is not resolved')
  assert.is(wait().code, 0)
  assert.is(run(command!.split(' ')).code, 0)
  version({ '1_new': 'CREATE TABLE mark_1 (id int);', '2_torn': 'CREATE TABLE IF NOT EXISTS mark_2 (id int);' })
  assert.equal([run().code, wait().code], [0, 0])
})

test.run()
