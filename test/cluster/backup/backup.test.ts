// Rows and files in, a backup by a deployer's account, rows and files gone, a restore: as before. In
// between what happened to other people's backups.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { storeBytes } from '../../../scripts/lib/backup/encryption.ts'
import { requireManifest, writeManifest } from '../../../scripts/lib/backup/manifest.ts'
import { beforeAll } from '../../hooks.ts'
import { get } from '../cluster.ts'
import { repository, type Result } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'
import type { Json } from '../manifests.ts'
import {
  backupEnv,
  box,
  env,
  here,
  inStorage,
  reaches,
  reachesMail,
  ready,
  space,
  sql,
  start,
} from './environment.ts'

const test = suite('backup on Kubernetes')
const to = join(box.root, 'backups')
const key = join(box.root, 'backup.key')
let recipient = ''
let backup = ''
let before: string[] = []
let egressBefore: unknown[] = []
const egress = (): unknown[] =>
  get('networkpolicies', ...here).items.map(({ metadata, spec }: Json) => [
    metadata.name,
    metadata.annotations?.['kgc.hu/egress-before-restore'],
    spec.egress,
  ])

const run = (argv: string[], more: Record<string, string> = {}): Result =>
  box.script(argv, { env: { ...env, ...more }, timeout: 240_000 })
const backUp = (more?: Record<string, string>): Result =>
  run(['backup', 'test', '--to', to, '--recipient', recipient], { ...backupEnv, ...more })
/** What Prometheus is told of the backups, by the metric's name. */
const metrics = (): Record<string, number> =>
  Object.fromEntries(
    [
      ...get('configmap', 'backup-metrics', ...here).data['kgc_backup.prom'].matchAll(
        /^kgc_backup_(\w+)(?:\{.*\})? (\d.*)$/gm,
      ),
    ].map(([, name, value]) => [name, Number(value)]),
  )

/** A line for each table of the application's own, and one for each file. */
function readAll(): string[] {
  const rows = ['of_tenants'].map(name =>
    sql(`SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text)) FROM ${name} t`),
  )
  return [
    ...rows,
    sql('SELECT polname FROM pg_policy'),
    sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
    inStorage("find . -path './.kgc-*' -prune -o -type f -exec stat -c '%u %g %a %n' {} + | sort"),
    inStorage("find . -path './.kgc-*' -prune -o -type f -exec sha256sum {} + | sort"),
  ]
}
/** What a backup or a restore has left in the namespace. */
const leftovers = (): string[] =>
  get('jobs,configmaps,pods', '--selector', 'kgc.hu/backup', ...here).items.map(
    ({ metadata }: { metadata: { name: string } }) => metadata.name,
  )

beforeAll(test, start)

test('rows of two tenants and a file are there', () => {
  sql(
    `CREATE TABLE of_tenants (id serial PRIMARY KEY, tenant text, word text, vector vector(2) DEFAULT '[1,2]', noise text DEFAULT md5(random()::text) || md5(random()::text));
    INSERT INTO of_tenants (tenant, word) SELECT CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, 'árvíztűrő ' || n FROM generate_series(1, 6000) n;
    ALTER TABLE of_tenants ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON of_tenants USING (tenant = current_setting('app.current_tenant_id', true));`,
    'chatwoot_a',
  )
  inStorage('mkdir -p ab/cd && head -c 300000 /dev/urandom >ab/cd/abcd && chmod 600 ab/cd/abcd')
  recipient = run(['backup', 'key', '--to', key]).stdout.trim()
  before = readAll()
  egressBefore = egress()
})

test('a backup by an account of its own has rows, files and Secrets, is proven and encrypted, and says what it does not have', () => {
  const { code, stderr } = backUp()
  assert.is(code, 0, stderr)
  assert.not.match(stderr, 'Nobody will notice')
  backup = join(
    to,
    readdirSync(to).find(name => name.startsWith(`${space}-`))!,
  )
  const { databases, volumes, files, leftOut, images } = requireManifest(backup)
  assert.equal(
    databases.map(({ database, service }) => [database, service]),
    [['chatwoot', 'chatwoot-db']],
  )
  assert.ok(databases[0]!.rows >= 6000)
  assert.equal(
    volumes.map(({ volume, files }) => [volume, files]),
    [['chatwoot-storage', 1]],
  )
  assert.ok(files.some(({ name }) => name === 'kubernetes/secrets.json'))
  for (const { stored } of files.filter(({ name }) => !name.startsWith('proof')))
    assert.match(
      readFileSync(join(backup, stored.path), 'latin1').slice(0, 30),
      /^age-encryption.org/,
    )
  // a deployer does not see them
  assert.ok(leftOut.some(({ volume }) => volume === 'sealing-keys'))
  assert.match(images['chatwoot-db']!.image, 'postgres')
  assert.equal(leftovers(), [])
  // the role is as it was: without a password
  assert.is(sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'chatwoot_backup'"), 't')
})

test('a role that row security hides rows from, and a transport that cuts and ends with 0, make no backup', () => {
  sql('ALTER ROLE chatwoot_backup NOBYPASSRLS')
  const hidden = backUp()
  sql('ALTER ROLE chatwoot_backup BYPASSRLS')
  assert.is(hidden.code, 5, hidden.stderr)
  assert.match(hidden.stderr, /row-level security policy for table "of_tenants"/)
  const { last_try_succeeded: isGood, last_success_timestamp_seconds: lastGood } = metrics()
  assert.is(isGood, 0)
  assert.ok(Math.abs(lastGood! - Date.now() / 1000) < 600)

  const shim = join(box.root, 'shim')
  mkdirSync(shim)
  const found = spawnSync('sh', ['-c', 'command -v kubectl'], { encoding: 'utf8', env })
  const real = found.stdout.trim()
  // commands go by kubectl itself where the proxy takes none, and there their output is cut
  writeFileSync(
    join(shim, 'kubectl'),
    `#!/bin/bash
args=("$@")
for i in "\${!args[@]}"; do if [ "\${args[i]}" = --reject-paths ]; then args[i+1]='/exec$'; fi; done
case "$*" in *' exec '*'dd if=/backup/chatwoot/dump'* | *' exec '*'dd if='*'/backup/chatwoot/dump'*) ${real} "\${args[@]}" | head -c 2000; exit 0 ;; esac
exec ${real} "\${args[@]}"
`,
    { mode: 0o755 },
  )
  const cut = backUp({ PATH: `${shim}:${env.PATH}` })
  assert.is(cut.code, 5, cut.stderr)
  assert.match(cut.stderr, /148\d of \d+ bytes arrived/)
  assert.equal(
    readdirSync(to).filter(name => existsSync(join(to, name, 'manifest.json'))),
    [backup.split('/').at(-1)],
  )
  assert.equal(leftovers(), [])
})

const restore = (from: string, more?: Record<string, string>): Result =>
  run(['restore', from, 'test', '--identity', key], more)

/** The backup as it would be of Compose: with Traefik's volume and env files in place of Secrets. */
async function makeComposeBackup(): Promise<string> {
  const folder = join(box.root, 'of-compose', 'kgc-20260101T000000Z')
  cpSync(backup, folder, { recursive: true })
  const { engine: _, ...manifest } = requireManifest(backup)
  const name = 'env/infra/docker/chatwoot/.env.demo'
  const path = `${name}.age`
  const env = createReadStream(join(box.docker, 'chatwoot/.env.demo'))
  const { plain, stored } = await storeBytes(env, join(folder, path), [recipient])
  const tar = 'traefik-acme/tar'
  const acme = await storeBytes(Readable.from([Buffer.from('acme')]), join(folder, `${tar}.age`), [
    recipient,
  ])
  await writeManifest(folder, {
    ...{ ...manifest, name: 'kgc-20260101T000000Z', project: 'kgc', suffix: '.demo' },
    applications: ['chatwoot', 'traefik'],
    volumes: [
      ...manifest.volumes,
      { application: 'traefik', volume: 'traefik-acme', files: 1, bytes: 9 },
    ],
    files: [
      ...manifest.files.filter(({ name }) => !name.startsWith('kubernetes/')),
      { ...plain, name, stored: { ...stored, path } },
      { ...acme.plain, name: tar, stored: { ...acme.stored, path: `${tar}.age` } },
    ],
  })
  return folder
}

test('who takes backups may neither restore nor try it', () => {
  const { code, stderr } = restore(backup, backupEnv)
  assert.is(code, 3, stderr)
  assert.match(stderr, /it may not: .*patch deployments.apps/)
  const tried = drill(backupEnv)
  assert.is(tried.code, 3, tried.stderr)
  assert.match(tried.stderr, /it may not: .*create deployments.apps/)
})

const drill = (more?: Record<string, string>): Result =>
  run(['restore', backup, 'test', '--drill', '--identity', key], more)
/** What a drill has made and not thrown away. */
const drilled = (): string[] =>
  get(
    'deployments,statefulsets,jobs,pods,services,networkpolicies,persistentvolumeclaims',
    ...['--selector', 'kgc.hu/drill', ...here],
  ).items.map(({ kind, metadata }: Json) => `${kind} ${metadata.name}`)
/** What changes when something that serves is changed. */
const serving = (): unknown[] => [
  get('deployments,statefulsets,services,networkpolicies', '--selector', '!kgc.hu/drill', ...here)
    .items.map(({ kind, metadata }: Json) => `${kind} ${metadata.name} ${metadata.generation}`)
    .sort(),
  get('pods', '--selector', '!kgc.hu/drill,!kgc.hu/backup', ...here)
    .items.map(({ metadata }: Json) => metadata.uid)
    .sort(),
]

test('a drill brings the application back beside itself, cut off from all else; the next throws away what a killed one has left', async () => {
  const before = serving()
  const endAt = join(repository, 'test/cluster/deploy/end-at.mjs')
  const killed = drill({
    ...{ END_AT: '✔ Start the application on it', END_BY: 'SIGKILL' },
    NODE_OPTIONS: `--import=${endAt}`,
  })
  assert.is(killed.code, -1, killed.stderr)
  assert.match(killed.stderr, 'ended at')
  assert.ok(drilled().includes('Deployment drill-chatwoot-web'), drilled().join())
  assert.not.ok(drilled().some(name => name.includes('sidekiq')))
  assert.is(
    inStorage('sha256sum ab/cd/abcd', 'drill-chatwoot-web'),
    inStorage('sha256sum ab/cd/abcd'),
  )
  const rows = 'SELECT count(*) FROM of_tenants'
  assert.is(sql(rows, 'postgres', 'chatwoot', 'drill-chatwoot-db-0'), '6000')
  const addressOf = (pod: string): string => get('pod', pod, ...here).status.podIP
  // by the names of its settings it finds its own database, and the one that serves by none
  assert.ok(reaches('drill-chatwoot-web', 'chatwoot-db', 5432))
  assert.not(reaches('drill-chatwoot-web', addressOf('chatwoot-db-0'), 5432))
  assert.not(reachesMail('drill-chatwoot-web'))
  assert.not(reaches('chatwoot-web', addressOf('drill-chatwoot-db-0'), 5432))
  assert.equal(serving(), before)

  const { code, stdout, stderr } = drill()
  assert.is(code, 0, stderr)
  assert.match(stdout, /is back in \d.*chatwoot/)
  assert.equal(drilled(), [])
  assert.equal(leftovers(), [])
  assert.equal(serving(), before)
  assert.match(run(['backup', 'status', '--to', to]).stdout, /back in .* \(restored /)
})

test('a backup from Compose is restored; when that is killed the old data is whole, and the next one ends it', async () => {
  const from = await makeComposeBackup()
  sql("DELETE FROM of_tenants WHERE tenant = 'a'", 'chatwoot_a')
  inStorage('rm ab/cd/abcd && echo new >new')
  const endAt = join(repository, 'test/cluster/deploy/end-at.mjs')
  for (const point of ['▶ Swap chatwoot\n', '▶ Swap chatwoot-storage']) {
    const { code, stderr } = restore(from, {
      ...{ END_AT: point, END_BY: 'SIGKILL', NODE_OPTIONS: `--import=${endAt}` },
    })
    assert.is(code, -1, stderr)
    assert.match(stderr, 'ended at')
    const names = sql(
      "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'chatwoot%'",
    )
    assert.match(names, /^chatwoot( |$)/)
    const old = names.includes('chatwoot_before_restore') ? 'chatwoot_before_restore' : 'chatwoot'
    assert.is(sql('SELECT count(*) FROM of_tenants', 'postgres', old), '3000')
  }
  for (const words of [
    ['deploy', 'test'],
    ['restore', '--drop-old', 'test'],
  ]) {
    const refused = run(words)
    assert.is(refused.code, 3, refused.stderr)
    assert.match(
      refused.stderr,
      'the restore of kgc-20260101T000000Z has not come to its end',
      `${words.join(' ')}: ${refused.stderr}`,
    )
  }
  const { code, stdout, stderr } = restore(from)
  assert.is(code, 0, stderr)
  assert.match(stdout, 'It is held back')
  await ready(['chatwoot-web', 'chatwoot-redis'])
  assert.equal(readAll(), before)
  assert.equal(leftovers(), [])
})

const replicas = (): unknown[] =>
  get('deployments', ...here).items.map(({ spec, metadata }: Json) => [
    metadata.name,
    spec.replicas,
    metadata.annotations?.['kgc.hu/replicas-before-restore'],
  ])

test('until it goes live nothing works by itself or gets out, and no deploy lets it', async () => {
  assert.equal(replicas(), [
    ['chatwoot-sidekiq', 0, '1'],
    ['chatwoot-web', 1, undefined],
  ])
  assert.not(reachesMail())
  const early = run(['deploy', 'test'])
  assert.is(early.code, 3, early.stderr)
  assert.match(early.stderr, 'a restored copy is held back')
  const second = restore(backup)
  assert.match(
    second.stderr,
    /look at what is restored, then .*--go-live test --target kubernetes; .* first: .*--drop-old test --target kubernetes/,
    second.stderr,
  )
  const { code, stderr } = run(['restore', '--go-live', 'test'])
  assert.is(code, 0, stderr)
  await ready(['chatwoot-web', 'chatwoot-sidekiq'])
  assert.equal(replicas(), [
    ['chatwoot-sidekiq', 1, undefined],
    ['chatwoot-web', 1, undefined],
  ])
  await waitUntil('the mail server is reached again', 30, () => reachesMail())
  assert.equal(egress(), egressBefore)
  const again = run(['restore', '--go-live', 'test'])
  assert.is(again.code, 3, again.stderr)
  assert.match(again.stderr, 'nothing of it is held back')
})

test('what was there before is kept until it is dropped, and a second restore waits for that', () => {
  assert.is(sql('SELECT count(*) FROM of_tenants', 'postgres', 'chatwoot_before_restore'), '3000')
  const second = restore(backup)
  assert.is(second.code, 3, second.stderr)
  assert.match(second.stderr, 'still kept: chatwoot')
  const { code, stderr } = run(['restore', '--drop-old', 'test'])
  assert.is(code, 0, stderr)
  assert.is(sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'chatwoot\\_%'"), '0')
  assert.is(inStorage('find . -maxdepth 1 -name ".kgc-before-restore"'), '')
})

test.run()
