// A deploy saves data before it migrates it: when that is due, what a failure leaves, and how the data
// comes back.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createBackupPlanner } from '../../scripts/lib/backup/before-deploy/planner.ts'
import { standsFor } from '../../scripts/lib/backup/before-deploy/proven.ts'
import type { BackupManifest } from '../../scripts/lib/backup/manifest.ts'
import { findMigrations } from '../../scripts/lib/deploy/backup/migrations.ts'
import { findBackupOffers, describeRestoreCommand } from '../../scripts/lib/deploy/backup/offer.ts'
import { backUpChange, type PlannedBackup } from '../../scripts/lib/deploy/backup/step.ts'
import type { ChangePlan, DeployRequest } from '../../scripts/lib/deploy/change.ts'
import { guardChange } from '../../scripts/lib/deploy/failure.ts'
import type { PreflightResult } from '../../scripts/lib/deploy/preflight.ts'
import { lockEnvironment, recordStart } from '../../scripts/lib/deploy/start.ts'
import type { DeployTarget } from '../../scripts/lib/deploy/target.ts'
import { Failure, exit } from '../../scripts/lib/errors.ts'
import { parseEnvironment } from '../../scripts/lib/kubernetes/environment.ts'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import type { ReleaseBackup, StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'
import { createNotingTarget } from './noting-target.ts'

const test = suite('backup before migrations')

/** The image's schema, by the digest of a manifest in the registry. */
const schemas: Record<string, string> = {
  [`sha256:${'1'.repeat(64)}`]: 'a',
  [`sha256:${'2'.repeat(64)}`]: 'b',
}
const registry = createServer(({ url = '' }, answer) => {
  const digest = url.split('/').at(-1)!
  const Labels = { 'hu.kgc.schema': schemas[digest]!.repeat(64) }
  const body = url.includes('/blobs/')
    ? { config: { Labels } }
    : { config: { digest, size: 1 }, layers: [] }
  answer.end(JSON.stringify(body))
})
await new Promise<void>(done => registry.listen(0, '127.0.0.1', done))
const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`
test.after(() => void registry.close())

const workload = (
  kind: string,
  name: string,
  folder: string,
  images: string[],
  order = 'application',
): Manifest => ({
  kind,
  metadata: {
    name,
    labels: { 'app.kubernetes.io/part-of': folder },
    annotations: { 'kgc.hu/order': order },
  },
  spec: {
    template: {
      spec: {
        containers: images.slice(0, 1).map(image => ({ name, image })),
        initContainers: images.slice(1).map(image => ({ name: 'wait', image })),
      },
    },
  },
})
const labelled = (number: string) => `${host}/migrate@sha256:${number.repeat(64)}`
/** A database as the cluster has it; PostgreSQL's image is what Jobs wait with, too. */
const database = (name: string, folder: string): Manifest => {
  const one = workload('StatefulSet', `${name}-db`, folder, ['postgres:17'], 'data')
  one.spec.template.spec.containers[0].name = 'postgres'
  one.spec.template.spec.containers[0].env = [
    { name: 'POSTGRES_DB', value: name },
    { name: 'DATABASE_LOGIN', value: `${name}_a` },
  ]
  return one
}
const environmentWith = (job: string, web: string): Manifest[] => [
  database('kgc', 'kgc'),
  workload('Deployment', 'kgc-api', 'kgc', [web, 'postgres:17']),
  workload('Job', 'kgc-migrate', 'kgc', [job, 'postgres:17'], 'migrate'),
  database('horilla', 'horilla-hr'),
  workload('Deployment', 'horilla-web', 'horilla-hr', [web, 'postgres:17']),
]
const all = { created: [], changed: ['Deployment kgc-api', 'Deployment horilla-web'] }

/** What is due of a change from one environment to another while the database records a schema. */
async function dueFrom(before: Manifest[], after: Manifest[], head = 'schema aaaaaaaaaaaa') {
  const target = {
    smokeTarget: async () => ({ context: () => ({ exec: async () => head }) }),
  } as unknown as DeployTarget
  const history = [{ number: 1, ending: 'succeeded', manifests: before }]
  const facts = { manifests: after, live: before, history } as unknown as PreflightResult
  const jobs = after.filter(({ kind }) => kind === 'Job')
  const { migrations } = await findMigrations(target, facts, { ...all, jobs })
  return migrations
}

test('a schema that the database records is no migration, whatever else changes; another one is', async () => {
  const before = environmentWith(labelled('1'), 'app:1')
  assert.equal(await dueFrom(before, before), [])
  const other = await dueFrom(before, environmentWith(labelled('2'), 'app:1'))
  assert.equal(other, [
    {
      application: 'kgc',
      why: 'Job kgc-migrate: the schema changes to bbbbbbbbbbbb, from schema aaaaaaaaaaaa',
    },
  ])
  // an earlier deploy has migrated, and was put back
  const again = environmentWith(labelled('2'), 'app:1')
  assert.equal(await dueFrom(before, again, 'schema bbbbbbbbbbbb, 2 migrations'), [])
  // the data of another time was restored
  assert.is((await dueFrom(before, before, 'schema cccccccccccc')).length, 1)
})

test('without a label another image may migrate: of the Job where there is one, else of what starts', async () => {
  const before = environmentWith('migrate:1', 'app:1')
  assert.equal(await dueFrom(before, before), [])
  const names = async (after: Manifest[]) =>
    (await dueFrom(before, after)).map(({ application }) => application)
  assert.equal(await names(environmentWith('migrate:2', 'app:1')), ['kgc'])
  assert.equal(await names(environmentWith('migrate:1', 'app:2')), ['horilla-hr'])
  // another server, which Jobs wait for with its own image
  const patched = JSON.parse(JSON.stringify(before).replaceAll('postgres:17', 'postgres:17.1'))
  assert.equal(await names(patched), [])
})

const migrations = [{ application: 'kgc', why: 'Job kgc-migrate: the schema changes' }]
const shop = (said: string) => parseEnvironment('shop', said, 'namespace: shop')
const served = [{ number: 1, ending: 'succeeded' }] as StoredRelease[]
const live = environmentWith('migrate:1', 'app:1')

/** What is planned in an environment that says this; the settings are those of the shell alone. */
async function planned(
  said: string,
  { env = {}, history = served }: { env?: Record<string, string>; history?: StoredRelease[] } = {},
): Promise<PlannedBackup | Failure | undefined> {
  const kept = { ...process.env }
  for (const key of Object.keys(process.env))
    if (/^(BACKUP|RUNNER)_/.test(key)) delete process.env[key]
  Object.assign(process.env, env)
  try {
    return await createBackupPlanner(shop(said))
      .plan(migrations, { live, manifests: live, history })
      .catch((error: Failure) => error)
  } finally {
    for (const key of Object.keys(env)) delete process.env[key]
    Object.assign(process.env, kept)
  }
}

test('where nobody has said where a backup goes the deploy is refused with what to write; a reason turns it off', async () => {
  const none = (await planned('')) as Failure
  assert.is(none.code, exit.refused)
  assert.match(none.why, 'neither infra/k8s/overlays/shop/environment.yaml nor an env file says it')
  assert.match(none.why, 'nothing was touched')
  assert.match(none.next!, 'backup: { to: /srv/backups, recipients: [age1…] }')
  assert.match(none.next!, 'backup: { off: "the reason" }')
  const keyless = (await planned('backup: { to: /srv/backups }')) as Failure
  assert.is(keyless.code, exit.refused)
  assert.match(keyless.next!, 'npx zx scripts/backup.ts key --to FILE')
  const runner = { RUNNER_ENVIRONMENT: 'github-hosted', BACKUP_RECIPIENTS: 'age1x' }
  const lost = (await planned('backup: { to: /srv/backups }', { env: runner })) as Failure
  assert.match(lost.why, "a runner of GitHub's is thrown away with /srv/backups")
  assert.match(lost.next!, 'copyTo: "s3://bucket/prefix"')
  const off = (await planned('backup: { off: the nightly one will do }')) as PlannedBackup
  assert.equal([off.off, off.take], ['the nightly one will do', undefined])
  const disposable = (await planned('disposable: true')) as PlannedBackup
  assert.is(disposable.off, 'disposable: true')
})

test('before the first release that served there is nothing of people to save', async () => {
  const failed = (created: string[]) =>
    [{ number: 1, ending: 'broken', created }] as StoredRelease[]
  assert.is(await planned('', { history: failed(['StatefulSet kgc-db']) }), undefined)
  // what another tool has put there may have data, and so has what has served
  assert.instance(await planned('', { history: [] }), Failure)
  assert.instance(await planned('', { history: failed([]) }), Failure)
  const later = [...failed(['StatefulSet kgc-db']), ...served]
  assert.instance(await planned('', { history: later }), Failure)
})

test('environment.yaml is refused for what it may not say of backups', () => {
  for (const said of [
    'off',
    '[to]',
    '{ of: x }',
    '{ maxAgeHours: 0 }',
    '{ off: "" }',
    '{ off: x, to: y }',
  ])
    assert.throws(
      () => shop(`backup: ${said}`),
      (error: Failure) => error.code === exit.usage,
      said,
    )
  assert.equal(shop('backup: { to: /a, maxAgeHours: 4 }').backup, { to: '/a', maxAgeHours: 4 })
})

test('a proven backup stands for a new one when it is young enough, opens, and has the schema of now', () => {
  const now = Date.parse('2026-11-30T12:00:00Z')
  const since = new Date('2026-11-30T08:00:00Z')
  const good = {
    ...{
      created: '2026-11-30T09:00:00Z',
      applications: ['kgc', 'chatwoot'],
      recipients: ['age1x'],
    },
    schemaVersions: { kgc: 'schema a' },
  } as unknown as BackupManifest
  const stands = (change: object, heads: Record<string, string> = { kgc: 'schema a' }) =>
    standsFor({ ...good, ...change }, since, ['kgc'], heads, now)
  assert.ok(stands({}))
  assert.not.ok(stands({ created: '2026-11-30T07:59:00Z' }))
  assert.not.ok(stands({ created: '2026-11-30T12:30:00Z' }))
  assert.not.ok(stands({ applications: ['chatwoot'] }))
  assert.not.ok(stands({ recipients: [] }))
  assert.not.ok(stands({}, { kgc: 'schema b' }))
  assert.not.ok(stands({ schemaVersions: { kgc: '?' } }, { kgc: '?' }))
})

const taken: ReleaseBackup = {
  ...{ name: 'shop-20261130T090000Z', created: '2026-11-30T09:00:00.000Z' },
  ...{ applications: ['kgc'], heads: { kgc: 'schema a' } },
  folder: { path: '/srv/backups', machine: 'host' },
}

/** The steps of a change whose backup is this; what its target was asked for, and its release. */
async function change(take: NonNullable<PlannedBackup['take']>) {
  const calls: string[] = []
  let stored: StoredRelease | undefined
  const target = createNotingTarget(calls, false)
  const request: DeployRequest = {
    ...{ environment, verb: 'deploy', source: {}, chooseRelease: () => undefined },
    ...{ prune: false, yes: true },
    target: {
      ...target,
      releases: {
        ...target.releases,
        store: (release, how) => target.releases.store((stored = release), how),
      },
    },
  }
  const facts = { history: [], manifests: [], digests: new Map(), live: [], questions: [] }
  const plan = { created: ['x'], changed: [], removed: [], generated: [], jobs: [] }
  const backup = { applications: ['kgc'], words: [], take }
  const { error } = await withFakeKubectl('exit 9', async () => {
    const made = await lockEnvironment(
      request,
      { ...facts, leaseVersion: '7' } as unknown as PreflightResult,
      { ...plan, backup } as ChangePlan,
      Date.now(),
    )
    await guardChange(made, async () => {
      await backUpChange(made)
      await recordStart(made)
    })
  })
  return { error: error as Failure | undefined, calls, stored }
}

test('a backup that fails stops the deploy before anything is written, as a refusal; a good one stands in the release', async () => {
  const failed = await change(() =>
    Promise.reject(new Failure(exit.rolledBack, 'Dump kgc', 'no room', { next: 'make room' })),
  )
  assert.equal(failed.calls, ['lock deploy 7', 'unlock'])
  assert.is(failed.error!.code, exit.refused)
  assert.is(failed.error!.what, 'Save the data of kgc before it is migrated')
  assert.is(failed.error!.why, 'Dump kgc: no room; nothing was touched')
  assert.is(failed.error!.next, 'make room')
  const good = await change(() => Promise.resolve(taken))
  assert.is(good.error, undefined)
  assert.equal(good.calls, ['lock deploy 7', 'create release 1 applying', 'unlock'])
  assert.equal(good.stored!.backup, taken)
})

test('a rollback offers the newest backup with the schema of its release, and the command', () => {
  const release = { number: 3, heads: { kgc: 'schema a', 'horilla-hr': '3 migrations' } }
  const of = (number: number, backup?: StoredRelease['backup']) =>
    ({ number, ...(backup ? { backup } : {}) }) as StoredRelease
  const newer = { ...taken, name: 'shop-20261130T100000Z' }
  const later = { ...taken, name: 'shop-20261130T110000Z', heads: { kgc: 'schema b' } }
  const history = [of(6, later), of(5, newer), of(4, taken), of(3, { ...taken, name: 'older' })]
  assert.equal(findBackupOffers(history, release, ['kgc', 'horilla-hr']), [
    { backup: newer, applications: ['kgc'] },
  ])
  // its own backup is from before it served
  assert.equal(findBackupOffers([of(4, { off: 'x' }), of(3, taken)], release, ['kgc']), [])
  // a database of which nothing was known then
  assert.equal(findBackupOffers(history, { number: 3 }, ['kgc']), [])
  const command = (backup: ReleaseBackup, application: string) =>
    describeRestoreCommand(
      { name: 'shop' },
      { backup, applications: [application] },
      { manifests: live },
    )
  assert.is(
    command(taken, 'kgc'),
    'npx zx scripts/restore.ts /srv/backups/shop-20261130T090000Z shop kgc --target kubernetes --identity FILE --go-live',
  )
  // what starts would migrate it again
  assert.match(command(taken, 'horilla-hr'), '--stay-down')
  const { folder: _, ...away } = taken
  assert.match(
    command({ ...away, copy: 's3://bucket/shop' }, 'kgc'),
    'npx zx scripts/restore.ts s3://bucket/shop/shop-20261130T090000Z shop kgc',
  )
})

test.run()
