// Copies of backups in a bucket of versitygw that keeps what it has, by a key that may only read and
// write. No stack runs: the backups are made by hand.
import { execFileSync } from 'node:child_process'
import {
  type Dirent,
  appendFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serveBuckets, type Buckets } from '../../buckets.ts'
import { beforeAll } from '../../hooks.ts'
import { sandbox, type Result } from '../../sandbox.ts'
import { dayMs, makeBackup, project } from '../../unit/made-backups.ts'

const test = suite('copies of backups')
const box = sandbox()
const [to, data, shim] = ['backups', 's3', 'shim'].map(name => join(box.root, name))
const now = Date.now()
let buckets: Buckets

const copy = (env: Record<string, string> = {}, bucket = 'backups'): Result =>
  box.script(['backup', 'copy', 'demo', '--to', to!, '--copy-to', `s3://${bucket}/kgc/`], {
    // what somebody's shell has for other buckets
    env: { AWS_CA_BUNDLE: '/nowhere', RCLONE_CONFIG_KGC_TYPE: 'local', ...env },
  })
const make = (daysAgo: number) => makeBackup(to!, project, now - daysAgo * dayMs)
/** The files of the bucket, by path. */
const there = () =>
  readdirSync(join(data!, 'backups'), { recursive: true, withFileTypes: true })
    .filter(one => one.isFile())
    .map(one => join(one.parentPath, one.name).slice(join(data!, 'backups/').length))
    .filter(path => !path.startsWith('.'))
    .sort()
const filesOf = (name: string) => ['manifest.json', 'shop/dump'].map(path => `kgc/${name}/${path}`)

/** A rclone that does something else for a command. */
function replaceRclone(script: string): Record<string, string> {
  const real = execFileSync('sh', ['-c', 'command -v rclone'], { encoding: 'utf8' }).trim()
  writeFileSync(
    join(shim!, 'rclone'),
    `#!/bin/bash\nreal=${real}\n${script}\nexec "$real" "$@"\n`,
    { mode: 0o755 },
  )
  return { PATH: `${shim}:${process.env.PATH}` }
}

beforeAll(test, async () => {
  for (const folder of [to, shim]) mkdirSync(folder!)
  buckets = await serveBuckets(box.root)
  buckets.make('backups', { locked: true })
  buckets.make('plain')
  const retention =
    '<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>'
  const locked = buckets.request('root', 'PUT', 'backups?object-lock=', retention)
  assert.is(locked.code, 200, locked.text)
  assert.is(box.script(['env', 'demo']).code, 0)
  appendFileSync(
    join(box.docker, '.env.demo'),
    Object.entries(buckets.settings)
      .map(pair => `${pair.join('=')}\n`)
      .join(''),
  )
})
test.after(() => buckets.stop())

test('each good backup is copied once, with no secret in an argument, and what is damaged stays here', async () => {
  const names = [await make(2), await make(1)].map(({ name }) => name)
  const damaged = await make(0)
  truncateSync(join(damaged.folder, 'shop/dump'), 3)
  const log = join(box.root, 'rclone.log')
  const env = replaceRclone(`echo "$*" >>${log}`)
  const first = copy(env)
  assert.is(first.code, 0, first.stderr)
  assert.equal(there(), names.flatMap(filesOf))
  assert.not.match(readFileSync(log, 'utf8') + first.stderr + first.stdout, buckets.secret)
  assert.not.match(copy(env).stderr, `Copy ${project}`)
  const status = box.script(['backup', 'status', '--to', to!]).stdout
  assert.match(status, 'A copy is in s3://backups/kgc.')
})

test('an upload that ends well and has left nothing there is none (coollabsio/coolify#9035)', async () => {
  const { name } = await make(0.5)
  const { code, stderr } = copy(replaceRclone('case " $* " in *" copy "*) exit 0 ;; esac'))
  assert.is(code, 5)
  assert.match(stderr, /shop\/dump is not there[^]*backup\.ts copy/)
  assert.not.ok(there().some(path => path.includes(name)))
  assert.match(
    box.script(['backup', 'status', '--to', to!]).stdout,
    'No copy is in s3://backups/kgc.',
  )
})

test('other bytes under the name of a file are neither taken for it nor replaced', async () => {
  const path = `plain/kgc/${(await make(0.2)).name}/shop/dump`
  assert.is(buckets.request('root', 'PUT', path, 'x'.repeat(20)).code, 200)
  const { code, stderr } = copy({}, 'plain')
  assert.is(code, 5, stderr)
  assert.match(stderr, 'shop/dump')
  assert.is(buckets.request('root', 'GET', path).text, 'x'.repeat(20))
  assert.is(buckets.request('root', 'GET', path.replace('shop/dump', 'manifest.json')).code, 404)
})

test('where the bucket is away the backups stay here, and the next time what is missing is copied', async () => {
  await buckets.stop()
  const { name, folder } = await make(0.1)
  const away = copy()
  assert.is(away.code, 5)
  assert.match(away.stderr, 'connection refused')
  assert.ok(readdirSync(folder).includes('manifest.json'))
  await buckets.start()
  copy()
  assert.ok(there().includes(`kgc/${name}/manifest.json`))
})

test('the key of this machine cannot empty the bucket while it is locked', () => {
  const before = there()
  const [path = ''] = before
  const removed = buckets.request('host', 'DELETE', `backups/${path}`)
  assert.is(removed.code, 403, removed.text)
  const overwritten = buckets.request('host', 'PUT', `backups/${path}`, 'nothing')
  assert.is(overwritten.code, 403, overwritten.text)
  assert.equal(there(), before)
  const [{ name }] = readdirSync(join(data!, 'plain/kgc'), { withFileTypes: true }) as [Dirent]
  assert.is(buckets.request('host', 'DELETE', `plain/kgc/${name}/shop/dump`).code, 204)
})

const restore = (from: string, to: string, env: Record<string, string> = {}): Result =>
  box.script(['restore', from, 'demo', '--to', to], { env })

/** What a restore says that has read its manifest: it is of another stack. */
const opened = 'it is of a stack with the env files .env, not .env.demo'

test('of a remote that rclone does not know the next step is to make it', () => {
  const { code, stderr } = restore('nowhere:kgc/some-backup', join(box.root, 'unknown'))
  assert.is(code, 3, stderr)
  assert.match(stderr, /rclone has no remote nowhere:[^]*rclone config makes it/)
})

test('a restore brings a backup here from the bucket, once, and checks it as any other', () => {
  const [path = ''] = there().filter(one => one.endsWith('/manifest.json'))
  const [, name = ''] = path.split('/')
  const [here, log] = ['fetched', 'fetch.log'].map(one => join(box.root, one)) as [string, string]
  const env = replaceRclone(`echo "$*" >>${log}`)
  const first = restore(`s3://backups/kgc/${name}`, here, env)
  assert.match(first.stderr, opened)
  assert.is(first.code, 3)
  const arrived = () => readFileSync(join(here, name, 'shop/dump'), 'utf8')
  assert.is(arrived(), 'all rows of the shop')
  assert.not.match(readFileSync(log, 'utf8') + first.stderr, buckets.secret)

  // what came only in part is asked for again
  truncateSync(join(here, name, 'shop/dump'), 3)
  assert.match(restore(`s3://backups/kgc/${name}`, here).stderr, opened)
  assert.is(arrived(), 'all rows of the shop')
  const none = restore(`s3://backups/kgc/${project}-20200101T000000Z`, here)
  assert.is(none.code, 3)
  assert.match(none.stderr, `no whole backup of that name is there`)
  assert.match(none.stderr, name)
})

test('on an empty machine rclone’s own configuration is enough, or the keys in the shell', () => {
  const [path = ''] = there().filter(one => one.endsWith('/manifest.json'))
  const [, name = ''] = path.split('/')
  const config = join(box.root, 'rclone.conf')
  writeFileSync(
    config,
    `[bucket]\ntype = s3\nprovider = Other\nendpoint = http://127.0.0.1:${buckets.port}\nregion = us-east-1\naccess_key_id = host\nsecret_access_key = ${buckets.secret}\n`,
  )
  rmSync(join(box.docker, '.env.demo'))
  const places: [string, Record<string, string>][] = [
    [`bucket:backups/kgc/${name}`, { RCLONE_CONFIG: config }],
    [`s3://backups/kgc/${name}`, buckets.settings],
  ]
  for (const [i, [from, env]] of places.entries()) {
    const here = join(box.root, `empty-${i}`)
    const { code, stderr } = restore(from, here, env)
    assert.is(code, 3, stderr)
    assert.match(stderr, opened)
    assert.ok(readdirSync(join(here, name)).includes('manifest.json'))
  }
  const without = restore(`s3://backups/kgc/${name}`, join(box.root, 'empty-2'))
  assert.is(without.code, 2)
  assert.match(without.stderr, 'BACKUP_S3_ACCESS_KEY_ID')
})

test.run()
