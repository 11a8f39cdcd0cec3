import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('disk full')
const stack = fullProject('disk-full', 18100)
const small = join(stack.root, 'small.yml')
/** Gives the database a disk of so many MB. */
const disk = (megabytes: number) =>
  writeFileSync(
    small,
    `volumes:\n  horilla-db-data:\n    driver: local\n    driver_opts: { type: tmpfs, device: tmpfs, o: "size=${megabytes}m,uid=999" }\n`,
  )

test('a database that cannot be made for lack of room fails up with that cause', () => {
  disk(20)
  const { code, stderr } = stack.run(['up', 'demo', 'horilla-db', '-f', small])
  assert.is(code, 6, stderr)
  assert.match(stderr, /WHY\s+horilla-db/)
  assert.match(stderr, 'No space left on device')
  assert.match(stderr, 'likely cause: the disk is full')
  assert.is(stack.run(['down', 'demo', '--purge', '--yes']).code, 0)
  assert.is(stack.run(['env', 'demo']).code, 0)
})

test('a database whose disk fills while it runs: doctor names the volume; with room it goes on, and nothing is lost', async () => {
  disk(160)
  const { code, stderr } = stack.run(['up', 'demo', 'horilla-db', '-f', small])
  assert.is(code, 0, stderr)
  const database = stack.container('horilla-db')
  const sql = (query: string) =>
    stack.engine('exec', database, 'psql', '-qtAU', 'postgres', 'horilla', '-c', query)
  sql("CREATE TABLE kept AS SELECT 'row' AS word")
  stack.engine(
    'exec',
    database,
    'sh',
    '-c',
    'dd if=/dev/zero of=/var/lib/postgresql/data/filler bs=1M 2>/dev/null || true',
  )
  assert.throws(
    () => sql('CREATE TABLE more AS SELECT generate_series(1, 1000000)'),
    /No space left on device|could not|Command failed/,
  )
  const doctor = stack.run(['bootstrap', '--doctor', '--environment', 'demo'])
  assert.is(doctor.code, 3)
  assert.match(doctor.stdout, /horilla-db.*(full|100 ?%)/)
  stack.engine('exec', database, 'rm', '/var/lib/postgresql/data/filler')
  await waitUntil('it answers', 30, () =>
    stack
      .run(['smoke', 'demo', '--quick', '--json'])
      .stdout.includes('"name":"horilla-db","ok":true'),
  )
  assert.is(sql('SELECT word FROM kept'), 'row')
})

test.run()
