// KGC's migration by the image of its own, over the commits that KGC can have: without migrations,
// with a first, with a second; and what stops it.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../../sandbox.ts'
import { smallProject } from '../project.ts'

const test = suite('migration')
const { docker, project, engine } = smallProject(import.meta.dirname, 'migration')
cpSync(join(repository, 'infra/docker/kgc/migrate'), join(docker, 'migrate'), { recursive: true })
writeFileSync(
  join(docker, 'init.sql'),
  'CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pgcrypto;\n',
)
const datamodel = readFileSync(
  join(repository, 'infra/demo/standin/apps/kgc-api/prisma/schema.prisma'),
  'utf8',
)
const prisma = join(docker, 'prisma')
mkdirSync(prisma)

/** Makes the image one of a commit with these migrations and, if it is another, this datamodel. */
function version(migrations: Record<string, string> = {}, model = datamodel) {
  // the folder itself is mounted
  rmSync(join(prisma, 'migrations'), { recursive: true, force: true })
  writeFileSync(join(prisma, 'schema.prisma'), model)
  for (const [name, sql] of Object.entries(migrations)) {
    mkdirSync(join(prisma, 'migrations', name), { recursive: true })
    writeFileSync(join(prisma, 'migrations', name, 'migration.sql'), sql)
  }
}
version()

const compose = ['compose', '-p', project, '--project-directory', docker]
let database = 'kgc'
/**
 * A command in that version's container, its migration without words: the exit code, and what it
 * says; 124 when it does not end in time.
 */
function inside(argv: string[], seconds = 60) {
  const where = [
    'exec',
    '-T',
    '--env',
    `DATABASE_URL=postgresql://kgc:kgc@kgc-db:5432/${database}`,
    'kgc-migrate',
    'timeout',
    String(seconds),
  ]
  const { status, stdout, stderr } = spawnSync('docker', [...compose, ...where, ...argv], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  return { code: status, said: stdout + stderr }
}
const run = (...words: string[]) => inside(['node', '/kgc/migrate/main.mjs', ...words])
const wait = (seconds?: number) => inside(['node', '/kgc/migrate/main.mjs', 'wait'], seconds)
const sql = (query: string) =>
  engine(...compose, 'exec', '-T', 'kgc-db', 'psql', '-U', 'kgc', '-d', database, '-Atc', query)
function ok(...words: string[]) {
  const done = run(...words)
  assert.is(done.code, 0, done.said)
  return done.said
}
/** What is refused says why, and the command that goes on. */
function refused(why: RegExp, ...next: string[]) {
  const done = run()
  assert.is(done.code, 1, done.said)
  assert.match(done.said, why)
  for (const verb of next)
    assert.match(
      done.said,
      `docker compose run --rm kgc-migrate node /kgc/migrate/main.mjs ${verb}`,
    )
  return done.said
}
/** Another database, empty. */
function empty(name: string) {
  sql(`CREATE DATABASE ${name}`)
  database = name
  sql('CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pgcrypto')
}
const policies = () =>
  sql("SELECT string_agg(tablename || '.' || policyname, ' ' ORDER BY tablename) FROM pg_policies")
const marks = () =>
  sql(
    "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE tablename LIKE 'mark%'",
  )

const noted = datamodel.replace(/^ {2}number .*$/m, '$&\n  note       String?')
const audited = `${noted}\nmodel Audit {\n  id   String @id @db.Uuid\n  what String\n\n  @@map("audit")\n}\n`
const first = {
  '1_note':
    'ALTER TABLE contracts ADD COLUMN note text;\nALTER TABLE contracts ENABLE ROW LEVEL SECURITY;\nCREATE POLICY tenant ON contracts USING (true);',
}
const second = {
  ...first,
  '2_audit': `CREATE TABLE audit (id uuid NOT NULL, what text NOT NULL, CONSTRAINT audit_pkey PRIMARY KEY (id));
ALTER TABLE audit ENABLE ROW LEVEL SECURITY; CREATE POLICY tenant ON audit FOR SELECT USING (true);`,
}

test('without migrations the datamodel is pushed, at the first start and at the second; who waits goes on then', () => {
  engine(...compose, 'up', '--detach', '--wait')
  assert.is(wait(4).code, 124)
  assert.match(ok(), 'pushing the datamodel')
  assert.match(ok(), 'already in sync')
  assert.is(wait().code, 0)
  assert.is(
    sql(
      "SELECT to_regclass('_prisma_migrations') IS NULL AND to_regclass('contracts') IS NOT NULL",
    ),
    't',
  )
})

test("the API's image has nothing of it at its root: no Prisma, no migration, no npx that works", () => {
  const api = (...argv: string[]) =>
    spawnSync('docker', [...compose, 'exec', '-T', 'kgc-api', ...argv], {
      encoding: 'utf8',
      timeout: 60_000,
    })
  assert.match(api('node', '-e', 'require("@prisma/client")').stderr, 'MODULE_NOT_FOUND')
  assert.match(api('npx', 'prisma', 'migrate', 'status').stderr, 'EAI_AGAIN')
  assert.is(api('ls', '/app/apps/kgc-api/prisma').stdout, 'schema.prisma\nseed.ts\n')
  assert.is(api('id', '-u').stdout, '1001\n')
  assert.is.not(api('psql', '--version').status, 0)
})

test('the first migration of a database that was pushed is really applied, and the second, with its table and its policy', () => {
  version(first, noted)
  assert.match(ok(), 'Applying migration `1_note`')
  assert.is(policies(), 'contracts.tenant')
  version(second, audited)
  assert.is(wait(4).code, 124)
  assert.match(ok(), 'Applying migration `2_audit`')
  assert.is(policies(), 'audit.tenant contracts.tenant')
  assert.match(ok(), 'No pending migrations')
  assert.is(wait().code, 0)
})

test('an older image, and a commit that has dropped its migrations, are named; one that is kept starts', () => {
  version(first, noted)
  refused(
    /older than the database, which has had migrations that it does not have: 2_audit/,
    'keep',
  )
  ok('keep')
  assert.match(ok(), 'kept as it is')
  version()
  refused(/no migrations, but the database has had 2: 1_note, 2_audit/, 'keep')
  version(second, audited)
  ok()
})

test('drift is named and mended: a policy that is gone, a column that is gone', () => {
  sql('DROP POLICY tenant ON audit; ALTER TABLE contracts DROP COLUMN note')
  assert.match(refused(/drift/, 'push'), 'column note of contracts')
  assert.match(ok('push'), 'policy tenant on audit permissive for select')
  assert.equal([policies(), run().code], ['audit.tenant contracts.tenant', 0])
})

test('on an empty database the datamodel is pushed, and all that the migrations make beyond it', () => {
  empty('fresh')
  version(second, audited)
  ok()
  assert.is(policies(), 'audit.tenant contracts.tenant')
  assert.is(
    sql("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relrowsecurity"),
    'audit contracts',
  )
  assert.is(
    sql(
      "SELECT string_agg(migration_name, ' ' ORDER BY migration_name) FROM _prisma_migrations WHERE finished_at IS NOT NULL",
    ),
    '1_note 2_audit',
  )
  // killed before the end: the same again
  sql(
    "DELETE FROM _prisma_migrations WHERE migration_name = '2_audit'; DROP POLICY tenant ON audit; DELETE FROM kgc_stack.schema_versions WHERE how <> 'begun'",
  )
  ok()
  assert.is(policies(), 'audit.tenant contracts.tenant')
})

test('P3005: a database with tables of which nothing is recorded is not guessed at', () => {
  sql('DROP TABLE _prisma_migrations; DROP SCHEMA kgc_stack CASCADE')
  refused(/3 tables and no record of migrations \(P3005\)/, 'push')
  ok('push')
  assert.is(run().code, 0)
})

test('a statement of which nobody knows what it makes stops it before anything is touched', () => {
  version({ ...second, '3_do': 'DO $$ BEGIN PERFORM 1; END $$;' }, audited)
  refused(/Do in 3_do; nothing was touched/, 'keep')
  assert.is(sql("SELECT count(*) FROM _prisma_migrations WHERE migration_name = '3_do'"), '0')
})

test('a change that would lose data is refused with its SQL; an older datamodel is not pushed over a newer one', () => {
  empty('pushed')
  version()
  ok()
  version({}, noted)
  ok()
  sql(
    "INSERT INTO tenants (name) VALUES ('a'); INSERT INTO contracts (tenant_id, number, note) SELECT id, '1', 'n' FROM tenants",
  )
  version()
  refused(/older than the database: it had the schema [0-9a-f]{12} on/, 'keep', 'push')
  version({}, datamodel.replace(/^ {2}number .*\n/m, ''))
  assert.match(
    refused(/data would be lost/, 'keep'),
    /still contains 1 non-null values[^]*DROP COLUMN "number"/,
  )
  assert.is(sql('SELECT number || note FROM contracts'), '1n')
})

test('prisma/orm#26306: what the database took back as a whole is marked so, and nothing stands in the way any more', () => {
  empty('torn')
  version({ '0_first': 'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY' })
  ok()
  version({
    '0_first': 'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY',
    '1_new': 'CREATE TABLE mark_1 (id int); SELECT 1 / 0;',
  })
  const bad = run()
  assert.is(bad.code, 1, bad.said)
  assert.match(
    bad.said,
    /Database error code: 22012[^]*1_new has changed nothing, the database took it back as a whole/,
  )
  assert.is(marks(), '')
  assert.is(wait(4).code, 124)
  version({ '0_first': 'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY' })
  assert.equal([wait().code, run().code], [0, 0])
  version({
    '0_first': 'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY',
    '1_new': 'CREATE TABLE mark_1 (id int);',
  })
  assert.equal([run().code, marks(), wait().code], [0, 'mark_1', 0])
})

test('prisma/orm#14860, langfuse/langfuse-k8s#253: a torn one (P3009) stops nobody who does not have it, and says the command that resolves it', () => {
  const before = {
    '0_first': 'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY',
    '1_new': 'CREATE TABLE mark_1 (id int);',
  }
  version({ ...before, '2_torn': 'CREATE TABLE mark_2 (id int); COMMIT; SELECT 1 / 0;' })
  const said = refused(
    /2_torn failed and may have changed something.*\(P3009\)/,
    'prisma migrate resolve --rolled-back 2_torn',
  )
  const [, command] = /kgc-migrate (node \S+ prisma migrate resolve .*?) {3}\(/.exec(said)!
  assert.is(marks(), 'mark_1 mark_2')
  refused(/P3009[^]*2_torn failed/, 'prisma migrate resolve')
  assert.is(wait(4).code, 124, 'it has not been applied')
  version(before)
  assert.match(
    ok(),
    'all migrations of this version are applied; 2_torn failed under another one and is not resolved',
  )
  assert.is(wait().code, 0)
  assert.is(inside(command!.split(' ')).code, 0)
  version({ ...before, '2_torn': 'CREATE TABLE IF NOT EXISTS mark_2 (id int);' })
  assert.equal([run().code, wait().code], [0, 0])
})

test.run()
