// What KGC's migration makes of SQL and of a database's state, and the version by which all know
// the schema.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hashRecipe } from '../../scripts/lib/images/build/targets.ts'
import { judgeSchema } from '../../scripts/lib/deploy/verify/schema-changes.ts'
import { schemaLabel, computeSchemaVersion } from '../../scripts/lib/images/build/schema-version.ts'
import { repository } from '../sandbox.ts'

const test = suite('migration')
const folder = join(repository, 'infra/docker/kgc/migrate')
const [{ wantedOf }, { lacking }, { planOf }, { changedNothing }, { imageOf }] = await Promise.all(
  ['wanted', 'compare', 'plan', 'prisma', 'image'].map(name => import(join(folder, `${name}.mjs`))),
)
const keys = async (...sql: string[]): Promise<string[]> =>
  (await wantedOf(sql.map((sql, i) => ({ name: `m${i}`, sql })))).objects.map(
    ({ key }: { key: string }) => key,
  )
const unknown = async (sql: string): Promise<string[]> =>
  (await wantedOf([{ name: 'm', sql }])).unknown.map(({ kind }: { kind: string }) => kind)

test('what migrations make beyond the datamodel is read from their SQL', async () => {
  const sql = `-- árvíztűrő
    CREATE TABLE IF NOT EXISTS "a" (id int CHECK (id > 0), CONSTRAINT "long" CHECK (id < 9));
    ALTER TABLE "a" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE a ADD CONSTRAINT u UNIQUE (id), ADD COLUMN b int;
    CREATE POLICY "p" ON "a" USING (true); CREATE POLICY q ON public.a AS RESTRICTIVE FOR UPDATE TO kgc USING (true);
    CREATE FUNCTION f(a int, OUT b int) AS $$ SELECT 1 $$ LANGUAGE sql; CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
    CREATE VIEW v AS SELECT 1; CREATE MATERIALIZED VIEW other.m AS SELECT 1; CREATE UNIQUE INDEX i ON a (id, b); CREATE INDEX e ON a (lower(c));
    CREATE EXTENSION IF NOT EXISTS "uuid-ossp"; CREATE SEQUENCE s; COMMENT ON TABLE a IS 'x'; UPDATE a SET b = 1; CREATE TYPE k AS ENUM ('a')`
  assert.equal(await keys(sql), [
    ...[
      'table a',
      'constraint a_id_check on a',
      'constraint long on a',
      'row security on a',
      'forced row security on a',
    ],
    ...[
      'policy p on a permissive for all',
      'policy q on a restrictive for update',
      'function f/1',
      'trigger t on a',
      'view v',
      'view other.m',
    ],
    ...['index i', 'index e', 'extension uuid-ossp', 'sequence s'],
  ])
  const { objects } = await wantedOf([{ name: 'm', sql }])
  const found = (key: string) => objects.find((one: { key: string }) => one.key === key)
  // its own text, after letters of two bytes
  assert.equal(found('policy p on a permissive for all').sql, [
    'CREATE POLICY "p" ON "a" USING (true)',
  ])
  assert.is(found('index i').also, 'unique index of a (id, b)')
})

test('only the end state counts: what a later migration drops, renames or makes again', async () => {
  const made = `CREATE TABLE a (id int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (true); CREATE INDEX i ON a (id);
    CREATE FUNCTION f() RETURNS int AS '' LANGUAGE sql; CREATE VIEW v AS SELECT 1`
  assert.equal(await keys(made, 'DROP TABLE a; DROP FUNCTION f(); DROP VIEW v'), [])
  assert.equal(
    await keys(
      made,
      'ALTER TABLE a DISABLE ROW LEVEL SECURITY; DROP POLICY p ON a; DROP INDEX i; DROP FUNCTION f',
    ),
    ['table a', 'view v'],
  )
  const renamed = await keys(
    made,
    'ALTER TABLE a RENAME TO b; ALTER POLICY p ON b RENAME TO r; ALTER INDEX i RENAME TO j',
  )
  assert.equal(renamed, [
    'table b',
    'row security on b',
    'policy r on b permissive for all',
    'index j',
    'function f/0',
    'view v',
  ])
  assert.equal(
    await keys(made, 'CREATE OR REPLACE VIEW v AS SELECT 2; ALTER TABLE a DROP COLUMN id'),
    ['table a', 'row security on a', 'policy p on a permissive for all', 'function f/0', 'view v'],
  )
})

test('a statement of which it is not known what it makes is named', async () => {
  assert.equal(
    await unknown(
      'DO $$ BEGIN END $$; GRANT SELECT ON a TO b; CREATE TABLE b AS SELECT 1; ALTER TABLE a DISABLE TRIGGER ALL; DROP ROLE r; BEGIN; COMMIT',
    ),
    [...['Do', 'Grant', 'CREATE TABLE AS', 'ALTER TABLE (DisableTrigAll)', 'DropRole']],
  )
  const broken = await wantedOf([{ name: '1_bad', sql: 'CREATE POLICY' }]).catch(
    (error: Error) => error.message,
  )
  assert.match(broken, '1_bad: syntax error')
})

test('of a difference to the datamodel only what is lacking counts', async () => {
  const sql = `-- AlterTable\nALTER TABLE "a" DROP COLUMN "x", ADD COLUMN "y" TEXT, ALTER COLUMN "z" DROP DEFAULT;\nDROP INDEX "i";\nALTER INDEX "k" RENAME TO "l";
    CREATE TABLE "t" ("id" INT);\nALTER TYPE "E" ADD VALUE 'NEW';`
  assert.equal(await lacking(sql), ['  column y of a', '  table t', '  value NEW'])
  assert.equal(await lacking('-- This is an empty migration.\n'), [])
})

const at = new Date('2026-11-01')
const image = (checksum: string, ...names: string[]) => ({
  checksum,
  short: checksum,
  migrations: names.map(name => ({ name, sql: '' })),
})
const record = (checksum: string, how: string) => ({ checksum, how, at })
const plan = (
  of: ReturnType<typeof image>,
  tables: number,
  applied: string[] | undefined,
  ...records: object[]
): string => {
  try {
    return planOf(of, { tables, records, ...(applied ? { history: { applied, failed: [] } } : {}) })
  } catch (error) {
    return (error as Error).message.split('\n')[0]!.slice(0, 120)
  }
}

test('what is done follows from the image, the tables and what is recorded', () => {
  const none = image('a')
  const one = image('b', '1')
  assert.equal(
    [
      plan(none, 0, undefined),
      plan(none, 5, undefined),
      plan(none, 5, undefined, record('a', 'pushed')),
    ],
    ['push', 'push', 'push'],
  )
  assert.equal(
    [
      plan(one, 0, undefined),
      plan(one, 5, [], record('b', 'begun')),
      plan(one, 5, ['1'], record('b', 'filled')),
    ],
    ['fill', 'fill', 'fill'],
  )
  assert.equal(
    [plan(one, 5, undefined, record('a', 'pushed')), plan(one, 5, ['1']), plan(one, 5, [])],
    ['open', 'deploy', 'deploy'],
  )
  assert.equal(
    [plan(none, 5, ['1'], record('a', 'kept')), plan(one, 5, undefined, record('b', 'asked'))],
    ['nothing', 'fill'],
  )
  assert.match(plan(one, 5, undefined), 'P3005')
  assert.match(plan(none, 5, ['1']), 'this commit has no migrations')
  assert.match(plan(one, 5, ['1', '2']), 'older than the database, which has had migrations')
  assert.match(
    plan(none, 5, undefined, record('a', 'pushed'), record('c', 'pushed')),
    'older than the database',
  )
  // forward again after a step back that was kept
  assert.is(
    plan(
      image('c'),
      5,
      undefined,
      record('a', 'pushed'),
      record('c', 'pushed'),
      record('a', 'kept'),
    ),
    'push',
  )
})

test('a refused migration has changed nothing when no word in it ends a transaction', () => {
  assert.equal(
    ['CREATE TABLE "end_of" (id int)', 'CREATE TABLE a (id int); COMMIT', 'DO $$ $$'].map(sql =>
      changedNothing(sql, '22012'),
    ),
    [true, false, false],
  )
  assert.equal(
    ['', '08006', '57P01', '40003', undefined].map(code => changedNothing('SELECT 1', code)),
    Array(5).fill(false),
  )
  assert.is(changedNothing(undefined, '22012'), false)
})

test("the image's label and the migration know a schema by the same version", () => {
  const root = mkdtempSync(join(tmpdir(), 'kgc-schema-'))
  try {
    mkdirSync(join(root, 'apps/prisma/migrations/1_a'), { recursive: true })
    for (const file of [
      'schema.prisma',
      'seed.ts',
      'migrations/1_a/migration.sql',
      'migrations/migration_lock.toml',
    ])
      writeFileSync(join(root, 'apps/prisma', file), file)
    const of = () => [
      computeSchemaVersion(root, ['apps/prisma/schema.prisma', 'apps/prisma/migrations']),
      imageOf(join(root, 'apps/prisma/schema.prisma')).checksum,
    ]
    const [label, own] = of()
    assert.match(label!, /^[0-9a-f]{64}$/)
    assert.is(label, own)
    assert.equal(imageOf(join(root, 'apps/prisma/schema.prisma')).migrations, [
      { name: '1_a', sql: 'migrations/1_a/migration.sql' },
    ])
    writeFileSync(join(root, 'apps/prisma/migrations/1_a/migration.sql'), 'changed')
    assert.is.not(of()[0], label)
    assert.is(...(of() as [string, string]))
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('a deploy knows beforehand whether the schema will change', () => {
  const label = { [schemaLabel]: 'abc0123456789'.padEnd(64, '0') }
  assert.equal(
    judgeSchema('Job m', [{}, label], {
      kgc: 'schema abc012345678, 2 migrations',
      x: '3 migrations',
    }),
    { moves: false, words: 'Job m: the schema stays abc012345678' },
  )
  assert.equal(judgeSchema('Job m', [label], { kgc: 'schema fff012345678', x: '3 migrations' }), {
    moves: true,
    words: 'Job m: the schema changes to abc012345678, from schema fff012345678',
  })
  assert.equal(judgeSchema('Job m', [label], undefined), {
    moves: true,
    words: 'Job m: the schema changes to abc012345678',
  })
  assert.equal(judgeSchema('Job m', [{}], {}), { moves: undefined, words: undefined })
})

const dockerfile = join(repository, 'infra/docker/kgc/migrate.Dockerfile')

test('the image takes the Prisma that the lock file has for the API, and the packages that are tested here', () => {
  const [, awk] = /\$\((awk '.*?' )pnpm-lock\.yaml\)/.exec(readFileSync(dockerfile, 'utf8'))!
  const lock = `importers:\n\n  .:\n    devDependencies:\n      prisma:\n        specifier: ^4.0.0\n        version: 4.0.0\n
  apps/kgc-api:\n    dependencies:\n      '@prisma/client':\n        specifier: ^5.0.0\n        version: 5.21.0(prisma@5.22.0)\n    devDependencies:
      prisma:\n        specifier: ^5.0.0\n        version: 5.22.0(typescript@5.9.3)\n\n  apps/kgc-web:\n    devDependencies:\n      prisma:\n        version: 6.0.0\n`
  assert.is(execFileSync('sh', ['-c', awk!], { input: lock, encoding: 'utf8' }), '5.22.0\n')
  const { devDependencies } = JSON.parse(
    readFileSync(join(repository, 'package.json'), 'utf8'),
  ) as { devDependencies: Record<string, string> }
  for (const name of ['libpg-query', 'pg'])
    assert.match(readFileSync(dockerfile, 'utf8'), ` ${name}@${devDependencies[name]} `)
})

test('a Dockerfile of ours counts by what it says, not by where it is', () => {
  const root = mkdtempSync(join(tmpdir(), 'kgc-recipe-'))
  const copy = (name: string, text: string) => {
    writeFileSync(join(root, name), text)
    return { context: root, dockerfile: join(root, name) }
  }
  const [a, b, c] = [
    copy('a.Dockerfile', 'FROM a'),
    copy('b.Dockerfile', 'FROM a'),
    copy('c.Dockerfile', 'FROM c'),
  ].map(hashRecipe)
  rmSync(root, { recursive: true })
  assert.is(a, b)
  assert.is.not(a, c)
})

test.run()
