// An upgrade with a way back: the new release meets the data in a rehearsal, and what does not start
// there, or later, leaves the old one serving.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullProject } from '../project.ts'

const test = suite('upgrade')
const stack = fullProject('upgrade', 18170, { hurried: true })
const key = join(stack.root, 'backup.key')
const images = ['v4.18.0', 'v4.19.0', 'v4.20.0', 'v4.21.0'].map(
  tag => `kgc-test-upgrade/chatwoot:${tag}`,
)
const [first, second, broken, migrating] = images as [string, string, string, string]
process.once('exit', () => spawnSync('docker', ['rmi', '-f', ...images]))

/** An image of Chatwoot that differs from the demo's by its label, and by more. */
function makeImage(name: string, ...changes: string[]) {
  const id = stack.engine('create', 'kgc-demo/chatwoot:demo')
  const words = [`LABEL release=${name}`, ...changes].flatMap(change => ['--change', change])
  stack.engine('commit', ...words, id, name)
  stack.engine('rm', id)
}
const services = ['chatwoot-web', 'chatwoot-sidekiq', 'chatwoot-prepare']
const upgrade = (image: string, ...words: string[]) => upgradeEach(() => image, ...words)
/** The same with an image for each service. */
const upgradeEach = (imageOf: (service: string) => string, ...words: string[]) => {
  const file = join(stack.root, 'release.json')
  const all = Object.fromEntries(services.map(name => [name, { image: imageOf(name) }]))
  writeFileSync(file, JSON.stringify({ services: all }))
  return stack.run(['up', 'demo', 'chatwoot', '--file', file, '--upgrade', ...words])
}
const sql = (query: string, database = 'chatwoot') =>
  stack.engine(
    ...['exec', stack.container('chatwoot-db'), 'psql', '-qtAX', '-U', 'postgres'],
    ...['-d', database, '-c', query],
  )
const running = () =>
  stack.engine('inspect', '--format', '{{.Config.Image}} {{.Id}}', stack.container('chatwoot-web'))

/** The release that answers, whatever its image is called now. */
const serving = () =>
  stack.engine(
    ...['inspect', '--format', '{{index .Config.Labels "release"}} {{.State.Health.Status}}'],
    stack.container('chatwoot-web'),
  )

test('a release is backed up, tried on the backup, and started; the data is as it was', () => {
  const { code, stderr } = stack.run(['up', 'demo', 'chatwoot'])
  assert.is(code, 0, stderr)
  sql('CREATE TABLE kept AS SELECT 7 AS word')
  makeImage(first)
  makeImage(second)
  makeImage(broken, 'ENTRYPOINT ["false"]')
  makeImage(migrating, 'ENV STANDIN_EXTRA_MIGRATION=later')
  const none = upgrade(second)
  assert.is(none.code, 2, none.stderr)
  assert.match(none.stderr, 'BACKUP_FOLDER=')
  const recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()
  const env = join(stack.docker, '.env.demo')
  const text = readFileSync(env, 'utf8')
  writeFileSync(
    env,
    text
      .replace(/^BACKUP_RECIPIENTS=.*/m, `BACKUP_RECIPIENTS=${recipient}`)
      .replace(/^BACKUP_FOLDER=.*/m, `BACKUP_FOLDER=${stack.root}/backups`),
  )
  const done = upgrade(second, '--identity', key)
  assert.is(done.code, 0, done.stderr)
  assert.match(done.stderr, 'the new release takes the data')
  assert.match(running(), second)
  assert.is(sql('SELECT word FROM kept'), '7')
})

test('a step that the application forbids is refused before anything is touched', () => {
  const before = running()
  const { code, stderr } = upgrade(first.replace('v4.18.0', 'v4.17.0'))
  assert.is(code, 3, stderr)
  assert.match(stderr, 'cannot be downgraded')
  assert.is(running(), before)
})

test('a release that does not take the data fails in the rehearsal: the stack is not touched', () => {
  const before = running()
  const { code, stderr } = upgrade(broken, '--identity', key)
  assert.is(code, 3, stderr)
  assert.match(stderr, 'Try the new release on the backup')
  assert.is(running(), before)
  assert.not.match(stack.engine('volume', 'ls', '-q'), `${stack.project}-drill`)
})

test('one that fails later is put back to the old images', () => {
  const { code, stderr } = upgrade(broken)
  assert.is(code, 5, stderr)
  assert.match(stderr, 'the old images go back')
  assert.is(serving(), `${second} healthy`)
  assert.is(sql('SELECT word FROM kept'), '7')
})

test('with --restore-on-failure the data goes back, too: what the new release has done to it is undone', () => {
  const isMigrated = (database: string) =>
    sql("SELECT count(*) FROM pg_tables WHERE tablename = 'extra_later'", database)
  // workers are held back in the rehearsal: that one does not start is seen afterwards
  const imageOf = (service: string) => (service === 'chatwoot-sidekiq' ? broken : migrating)
  const { code, stderr } = upgradeEach(imageOf, '--identity', key, '--restore-on-failure')
  assert.is(code, 5, stderr)
  assert.match(stderr, 'the new release takes the data')
  assert.match(
    stderr,
    /the old images, with the data of the backup; lost is what was written since/,
  )
  assert.is(serving(), `${second} healthy`)
  assert.is(sql('SELECT word FROM kept'), '7')
  assert.is(isMigrated('chatwoot_before_restore'), '1')
  assert.is(isMigrated('chatwoot'), '0')
  const again = upgradeEach(imageOf, '--identity', key, '--restore-on-failure')
  assert.is(again.code, 3, again.stderr)
  assert.match(again.stderr, 'still kept: chatwoot')
})

test.run()
