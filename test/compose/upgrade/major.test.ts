// Another PostgreSQL major: refused by a plain start, taken over by --upgrade, which keeps the old volume, and
// put back when it is interrupted.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildPostgres16, image16 } from '../postgres16/image.ts'
import { fullProject } from '../project.ts'

const test = suite('upgrade of a PostgreSQL major')
const stack = fullProject('major', 18200)
const key = join(stack.root, 'backup.key')
const volume = `${stack.project}_kgc-db-data`
/** A soak takes all whose data an image of npm's 16 can hold: it has no pgvector. */
const soaks = Boolean(process.env.KGC_SOAK)
const applications = soaks ? ['kgc', 'twenty-crm', 'horilla-hr'] : ['kgc']
const names = applications.map(folder => folder.split('-')[0]!)
const sql = (query: string, name = 'kgc') =>
  stack.engine(
    ...['exec', stack.container(`${name}-db`), 'psql', '-qtAX', '-U', 'postgres'],
    ...['-d', name, '-c', query],
  )
const majors = () => names.map(name => sql('SHOW server_version', name).split('.')[0])
/** What this test has made; the upgrade itself compares every table. */
const rows = () =>
  names.map(name =>
    sql(`SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY n)) FROM ours.kept t`, name),
  )
const volumes = () => stack.engine('volume', 'ls', '-q', '--filter', `name=${stack.project}`)
const upgrade = ['up', 'demo', ...applications, '--upgrade', '--identity', key]
let before: string[]

test('a stack of the older one: a plain start refuses the newer image and touches nothing', () => {
  buildPostgres16()
  const file = join(stack.root, 'old.json')
  writeFileSync(
    file,
    JSON.stringify({
      services: Object.fromEntries(names.map(name => [`${name}-db`, { image: image16 }])),
    }),
  )
  const first = stack.run(['up', 'demo', ...applications, '--file', file])
  assert.is(first.code, 0, first.stderr)
  for (const name of names)
    sql(
      `SET ROLE ${name}_owner; CREATE SCHEMA ours; CREATE TABLE ours.kept AS SELECT n, 'árvíztűrő ' || n AS word FROM generate_series(1, 3000) n`,
      name,
    )
  before = rows()
  const id = stack.container('kgc-db')
  const { code, stderr } = stack.run(['up', 'demo', ...applications])
  assert.is(code, 3, stderr)
  assert.match(stderr, /PostgreSQL 17 does not read the data of 16[^]*up\.ts demo --upgrade/)
  assert.is(stack.container('kgc-db'), id)
  assert.equal([...new Set(majors())], ['16'])
})

/** Then a plain start is refused. */
async function killWhileTheVolumeIsAway() {
  const killed = stack.start(upgrade, { KGC_PROJECT: stack.project })
  await killed.line(
    /✔ Keep .*before-upgrade[^]*▶ Restore kgc beside|Keep .*before-upgrade[^]*Restore kgc beside/,
  )
  killed.kill('SIGKILL')
  await killed.code
  const plain = stack.run(['up', 'demo', ...applications])
  assert.is(plain.code, 3, plain.stderr)
  assert.match(plain.stderr, 'has not come to its end')
}

test('one that is killed while the old volume is away is put back by the next, which comes to its end', async () => {
  const recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()
  const env = join(stack.docker, '.env.demo')
  const text = readFileSync(env, 'utf8')
  writeFileSync(
    env,
    text
      .replace(/^BACKUP_RECIPIENTS=.*/m, `BACKUP_RECIPIENTS=${recipient}`)
      .replace(/^BACKUP_FOLDER=.*/m, `BACKUP_FOLDER=${stack.root}/backups`),
  )
  const blind = stack.run(['up', 'demo', ...applications, '--upgrade'])
  assert.is(blind.code, 2, blind.stderr)
  assert.match(blind.stderr, 'needs --identity')

  if (!soaks) await killWhileTheVolumeIsAway()
  const { code, stderr } = stack.run(upgrade)
  assert.is(code, 0, stderr)
  if (!soaks) assert.match(stderr, `Put ${volume} back as it was`)
  assert.equal([...new Set(majors())], ['17'])
  assert.equal(rows(), before)
  assert.is(sql("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'kept'"), 't')
})

test('the old volume stays until it is dropped', () => {
  assert.match(volumes(), `${volume}-before-upgrade`)
  assert.not.match(volumes(), 'upgrade-underway')
  const { code, stderr } = stack.run(['restore', '--drop-old', 'demo', ...applications])
  assert.is(code, 0, stderr)
  assert.not.match(volumes(), 'before-upgrade')
  assert.equal(rows(), before)
})

test.run()
