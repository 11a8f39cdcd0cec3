// A deploy over a migration: nothing is saved where the schema stays, a backup that fails stops it, a good
// one stands in its release, and a rollback comes back by it.
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { requireManifest } from '../../../scripts/lib/backup/manifest.ts'
import { serveBuckets, type Buckets } from '../../buckets.ts'
import { beforeAll } from '../../hooks.ts'
import { repository, type Result } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'
import { get } from '../cluster.ts'
import type { Json } from '../manifests.ts'
import { box, env, here, space, sql, start } from './environment.ts'
import { headOf, recordSchema, releases, schemaNow, writeRelease } from './release.ts'

const test = suite('backup before migrations on Kubernetes')
const to = join(box.root, 'backups')
const key = join(box.root, 'backup.key')
let recipient = ''

let buckets: Buckets
/** With the keys of the bucket in the shell, as a runner has them. */
const run = (argv: string[], more: Record<string, string> = {}): Result =>
  box.script(argv, { env: { ...env, ...buckets.settings, ...more }, timeout: 240_000 })
const leftovers = (): unknown[] =>
  get('jobs,configmaps,pods', '--selector', 'kgc.hu/backup', ...here).items

beforeAll(test, async () => {
  await start()
  buckets = await serveBuckets(box.root)
  buckets.make('backups', { locked: true })
  recipient = run(['backup', 'key', '--to', key]).stdout.trim()
})

const deploy = (...more: string[]): Result => run(['deploy', 'test', ...more])
const backups = (): string[] =>
  existsSync(to) ? readdirSync(to).filter(name => name.startsWith(`${space}-`)) : []
/** What a deploy changes, with what is changed when it does. */
const generations = (): string[] =>
  get('deployments,statefulsets,jobs,configmaps', ...here).items.map(
    ({ kind, metadata }: Json) => `${kind} ${metadata.name} ${metadata.generation ?? metadata.uid}`,
  )
const isLocked = (): boolean => Boolean(get('lease', 'kgc-deploy', ...here).spec.holderIdentity)

test('a deploy whose image has the schema that the database records takes no backup', async () => {
  recordSchema('a')
  await writeRelease('a', { backup: { to, recipients: [recipient] } })
  const before = backups()
  const { code, stderr } = deploy()
  assert.is(code, 0, stderr)
  assert.match(stderr, 'Job chatwoot-prepare: the schema stays aaaaaaaaaaaa')
  assert.not.match(stderr, '▶ Backup')
  // all that is asked for it: the label in the registry, and the database
  const [, seconds = '99'] = /✔ Plan \((\d+\.\d) s\)/.exec(stderr) ?? []
  console.log(`plan of a deploy without new migrations: ${seconds} s`)
  assert.ok(Number(seconds) < 2, stderr)
  assert.equal(backups(), before)
  assert.is(releases().at(-1)!.backup, undefined)
})

test('a backup that fails, or is interrupted, stops the deploy before anything was changed', async () => {
  await writeRelease('b', { backup: { to, recipients: [recipient] } })
  const before = [backups(), generations(), releases().length]
  sql('ALTER ROLE chatwoot_backup NOBYPASSRLS')
  const failed = deploy()
  sql('ALTER ROLE chatwoot_backup BYPASSRLS')
  assert.is(failed.code, 3, failed.stderr)
  assert.match(failed.stderr, 'Save the data of chatwoot before it is migrated')
  assert.match(failed.stderr, /row-level security policy .*; nothing was touched/)
  assert.equal([backups(), generations(), releases().length], before)
  assert.not.ok(isLocked())
  const endAt = join(repository, 'test/cluster/deploy/end-at.mjs')
  const cut = run(['deploy', 'test'], {
    ...{ END_AT: '▶ Store the dump of chatwoot', END_BY: 'SIGINT' },
    NODE_OPTIONS: `--import=${endAt}`,
  })
  assert.is(cut.code, 130, cut.stderr)
  await waitUntil('the Job of the backup is gone', 60, () => !leftovers().length)
  assert.equal([backups(), generations(), releases().length], before)
  assert.not.ok(isLocked())
  assert.is(sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'chatwoot_backup'"), 't')
  assert.is(schemaNow(), headOf('a'))
})

test.after(() => buckets.stop())

const copyTo = 's3://backups/kgc'
const inBucket = join(box.root, 's3/backups/kgc')
let saved = ''
test('with another schema a proven backup is taken first and lies in a bucket alone, and the release names it', async () => {
  await writeRelease('b', { backup: { copyTo, recipients: [recipient] } })
  const dry = deploy('--dry-run')
  assert.is(dry.code, 0, dry.stderr)
  const why =
    'chatwoot: Job chatwoot-prepare: the schema changes to bbbbbbbbbbbb, from schema aaaaaaaaaaaa'
  assert.ok(
    dry.stderr.includes(`backup: taken before anything is changed, copied to ${copyTo}: ${why}`),
    dry.stderr,
  )
  const scratch = join(box.root, 'scratch')
  mkdirSync(scratch)
  const { code, stderr, stdout } = run(['deploy', 'test'], { RUNNER_TEMP: scratch })
  assert.is(code, 0, stderr)
  assert.equal([backups(), readdirSync(scratch)], [[], []])
  const [name = ''] = readdirSync(inBucket)
  saved = `${copyTo}/${name}`
  const { applications, schemaVersions } = requireManifest(join(inBucket, name))
  assert.equal([applications, schemaVersions], [['chatwoot'], { chatwoot: headOf('a') }])
  const { backup } = releases().at(-1)!
  assert.equal([backup.name, backup.copy, backup.folder], [name, copyTo, undefined])
  assert.match(stdout, `The data from before: ${name} (chatwoot).`)
  assert.is(schemaNow(), headOf('b'))
  assert.equal(leftovers(), [])
})

test('a rollback over the migration offers that backup, and goes through after its command, which fetches it', () => {
  const refused = run(['rollback', 'test'])
  assert.is(refused.code, 3, refused.stderr)
  const [, command = ''] =
    /NEXT {2}npx zx scripts\/restore\.ts (.*?), which loses/.exec(refused.stderr) ?? []
  assert.is(command, `${saved} test chatwoot --target kubernetes --identity FILE --go-live`)
  const restored = run(['restore', ...command.replace('FILE', key).split(' ')])
  assert.is(restored.code, 0, restored.stderr)
  const { code, stderr } = run(['rollback', 'test'])
  assert.is(code, 0, stderr)
  assert.is(schemaNow(), headOf('a'))
})

test('a proven backup that is young enough stands for a new one', async () => {
  await writeRelease('b', { backup: { copyTo, recipients: [recipient], maxAgeHours: 1 } })
  const known = readdirSync(inBucket)
  const { code, stderr } = deploy()
  assert.is(code, 0, stderr)
  assert.equal(readdirSync(inBucket), known)
  assert.is(releases().at(-1)!.backup.name, saved.split('/').at(-1))
})

test.run()
