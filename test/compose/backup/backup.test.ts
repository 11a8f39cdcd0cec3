// Rows and files in, a backup under writers, every volume gone, a restore: rows, files, certificates
// and log-ins as before. In between what happened to other people's backups, each tried on this one.
import { spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { request } from 'node:https'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { measureFile } from '../../../scripts/lib/backup/encryption.ts'
import {
  requireManifest,
  writeManifest,
  type BackupManifest,
} from '../../../scripts/lib/backup/manifest.ts'
import { table } from '../../../scripts/lib/report.ts'
import { repository, type Options, type Result } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'
import { fullProject } from '../project.ts'

const test = suite('backup')
const stack = fullProject('backup', 18140)
const to = join(stack.root, 'backups')
const key = join(stack.root, 'backup.key')
const applications = ['chatwoot', 'traefik']
const storage = `${stack.project}_chatwoot-storage`
const helperImage = 'kgc-demo/postgres:17'
let recipient: string
let backup: string
let before: string[]

const backUp = (options?: Options, ...words: string[]): Result =>
  stack.run(
    ['backup', 'demo', ...applications, '--to', to, '--recipient', recipient, ...words],
    options,
  )
/** The line of docs/backup.md as cron runs it, without a terminal and with another PATH, on this stack. */
function backUpByCron(): Result {
  const page = readFileSync(join(repository, 'docs/backup.md'), 'utf8')
  const line = /^ {4}12 3 \* \* \* +root +(.*)$/m.exec(page)![1]!
  const log = join(stack.root, 'backup.log')
  const command = line
    .replace('/srv/kgc', stack.root)
    .replace(' prod ', ` demo ${applications.join(' ')} --recipient ${recipient} `)
    .replace('/srv/backups --own-disk', to)
    .replace('/var/log/kgc-backup.log', log)
  const env = {
    ...{ PATH: /^ {4}PATH=(.*)$/m.exec(page)![1]!, HOME: homedir(), SHELL: '/bin/sh' },
    KGC_PROJECT: stack.project,
  }
  const done = spawnSync('/bin/sh', ['-c', command], { cwd: '/', env, stdio: 'ignore' })
  return { code: done.status ?? -1, stdout: '', stderr: readFileSync(log, 'utf8'), ms: 0 }
}
const restore = (folder: string, options?: Options, identity = key): Result =>
  stack.run(['restore', folder, 'demo', ...applications, '--identity', identity], options)
const sql = (query: string, user = 'postgres') =>
  stack.engine(
    'exec',
    stack.container('chatwoot-db'),
    'psql',
    '-qtAXU',
    user,
    '-d',
    'chatwoot',
    '-c',
    query,
  )
const inVolume = (volume: string, script: string) =>
  stack.engine(
    'run',
    '--rm',
    '--network',
    'none',
    '--user',
    '0:0',
    '--volume',
    `${volume}:/volume`,
    '--entrypoint',
    'sh',
    helperImage,
    '-c',
    script,
  )

const listBackups = (): string[] =>
  readdirSync(to, { withFileTypes: true })
    .filter(one => one.isDirectory())
    .map(({ name }) => name)
    .sort()

/** A line for each table, and what the volumes hold, whatever was written since. */
function readAll(): string[] {
  const tables = sql(
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'written' ORDER BY 1",
  ).split('\n')
  assert.ok(tables.length > 5, tables.join())
  const count = (name: string) =>
    sql(
      `SELECT '${name} ' || count(*) || ' ' || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM ${name} t`,
    )
  const files = ['chatwoot-storage', 'traefik-acme', 'traefik-doors'].map(key =>
    inVolume(
      `${stack.project}_${key}`,
      "cd /volume && find . -path './.kgc-*' -prune -o -type f -print | sort | xargs -r sha256sum",
    ),
  )
  const rights = sql(
    "SELECT string_agg(polname, ',') || current_setting('server_encoding') FROM pg_policy",
  )
  const owner = sql(
    "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'",
  )
  return [...tables.map(count), ...files, rights, owner]
}

/** What happened to others, and what happens here: printed at the end. */
const stories: string[][] = [['story', 'report', 'exit', 'named cause', 'lost']]
function tell(
  story: string,
  report: string,
  { code, stderr }: Result,
  expected: number,
  cause: RegExp,
) {
  assert.is(code, expected, `${story}: ${stderr}`)
  assert.match(stderr, cause, story)
  const [, why = ''] = /WHY\s+(.*)/.exec(stderr) ?? []
  stories.push([story, report, `${code}`, why.slice(0, 80), 'nothing'])
}

test('rows, files and a certificate are there, and an administrator has opened the application', () => {
  const { code, stderr } = stack.run(['up', 'demo', ...applications])
  assert.is(code, 0, stderr)
  const admin = stack.run(['admin', 'demo', 'chatwoot'])
  assert.is(admin.code, 0, admin.stderr)
  sql(
    `CREATE TABLE of_tenants (id serial PRIMARY KEY, tenant text, word text, vector vector(2) DEFAULT '[1,2]', at timestamptz DEFAULT now(), number float8 DEFAULT random());
    INSERT INTO of_tenants (tenant, word) SELECT CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, 'árvíztűrő ' || n FROM generate_series(1, 6000) n;
    ALTER TABLE of_tenants ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON of_tenants USING (tenant = current_setting('app.current_tenant_id', true));
    CREATE TABLE written (at timestamptz DEFAULT clock_timestamp(), word text DEFAULT repeat('x', 500))`,
    'chatwoot_a',
  )
  inVolume(
    storage,
    'mkdir -p /volume/ab/cd && head -c 300000 /dev/urandom >/volume/ab/cd/abcd && chown -R 1000:1000 /volume/ab',
  )
  const md5 = inVolume(storage, 'md5sum </volume/ab/cd/abcd').slice(0, 32)
  sql(
    `CREATE TABLE active_storage_blobs (key text, byte_size bigint, checksum text, service_name text);
    INSERT INTO active_storage_blobs VALUES ('abcd', 300000, encode(decode('${md5}', 'hex'), 'base64'), 'local')`,
    'chatwoot_a',
  )
  inVolume(
    `${stack.project}_traefik-acme`,
    'umask 077; echo \'{"letsencrypt":{}}\' >/volume/acme.json',
  )
  recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()
  before = readAll()
})

test('a backup while others write is whole, proven and encrypted, row by row (asifbacchus/MailcowBackup#10)', () => {
  const id = stack.container('chatwoot-db')
  const writer = spawn('docker', [
    'exec',
    id,
    'sh',
    '-c',
    'while psql -qU chatwoot_a -d chatwoot -c "INSERT INTO written SELECT FROM generate_series(1, 20)"; do :; done',
  ])
  const { code, stderr } = backUpByCron()
  writer.kill()
  assert.is(code, 0, stderr)
  backup = join(to, readdirSync(to)[0]!)
  const { databases, volumes, files } = requireManifest(backup)
  assert.is(databases[0]?.database, 'chatwoot')
  assert.ok(databases[0]!.rows > 6000)
  assert.equal(volumes.map(({ volume }) => volume).sort(), [
    'chatwoot-storage',
    'traefik-acme',
    'traefik-doors',
  ])
  for (const { stored } of files)
    assert.match(
      readFileSync(join(backup, stored.path), 'latin1').slice(0, 30),
      /^age-encryption.org/,
    )
  const proof = stack.run(['backup', 'prove-key', 'demo', '--to', to, '--identity', key])
  assert.is(proof.code, 0, proof.stderr)
  const { stdout } = stack.run(['backup', 'status', '--to', to])
  assert.match(stdout, 'good, encrypted')
  assert.match(
    stdout,
    /last proven .*, its databases back in [\d.]+ s, .* The key was last proven 0 min ago/,
  )
})

test('a drill restores it beside the stack and leaves nothing of that', () => {
  const own = `label=com.docker.compose.project=${stack.project}`
  const list = () => stack.engine('ps', '-aq', '--filter', own)
  const there = list()
  const { code, stderr, stdout } = stack.run([
    ...['restore', backup, 'demo', '--drill', '--identity', key],
  ])
  assert.is(code, 0, stderr)
  assert.match(stdout, /is back in .* \(chatwoot\)/)
  assert.is(list(), there)
  const names = [...stack.engine('volume', 'ls', '-q').split('\n')]
  assert.equal(
    names.filter(name => name.startsWith(`${stack.project}-drill`)),
    [],
  )
})

test('a backup that would lack something is none: its folder goes, and the cause is named', async () => {
  sql('ALTER ROLE chatwoot_backup NOBYPASSRLS')
  tell(
    'a role that row security hides rows from',
    'databasus/databasus#737',
    backUp(),
    5,
    /row-level security policy for table "of_tenants"/,
  )
  sql('ALTER ROLE chatwoot_backup BYPASSRLS')

  sql("INSERT INTO active_storage_blobs VALUES ('efgh', 4, 'AAAAAAAAAAAAAAAAAAAAAA==', 'local')")
  tell(
    'a file that a row names and that is gone',
    'elabftw/elabftw#2500',
    backUp(),
    5,
    /1 of 2 are not in chatwoot-storage[^]*ef\/gh\/efgh is not there/,
  )
  sql("DELETE FROM active_storage_blobs WHERE key = 'efgh'")

  const shim = join(stack.root, 'shim')
  mkdirSync(shim)
  const real = spawnSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).stdout.trim()
  writeFileSync(
    join(shim, 'docker'),
    `#!/bin/bash\ncase "$*" in *'exec cat'*/dump) ${real} "$@" | head -c 2000; exit 0 ;; esac\nexec ${real} "$@"\n`,
    { mode: 0o755 },
  )
  tell(
    'a transport that cuts and ends well',
    'kubernetes/kubernetes#124571',
    backUp({ env: { PATH: `${shim}:${process.env.PATH}` } }),
    5,
    /2000 of \d+ bytes arrived/,
  )

  const small = join(stack.root, 'small')
  mkdirSync(small)
  const argv = [
    '--import=tsx',
    'scripts/backup.ts',
    'demo',
    ...applications,
    '--to',
    small,
    '--recipient',
    recipient,
  ]
  const asRoot = process.getuid!() === 0 ? [] : ['sudo', '-n']
  const settings = ['NO_COLOR=1', `PATH=${process.env.PATH}`, `KGC_PROJECT=${stack.project}`]
  const script = `mount -t tmpfs -o size=40k none ${small} && exec ${process.execPath} ${argv.join(' ')}`
  const [command, ...words] = [
    ...asRoot,
    'env',
    ...settings,
    'unshare',
    '--mount',
    'sh',
    '-c',
    script,
  ]
  const full = spawnSync(command!, words, { cwd: stack.root, encoding: 'utf8' })
  tell(
    'a full disk',
    'bcgov/backup-container#137',
    { code: full.status ?? -1, stdout: '', stderr: full.stderr, ms: 0 },
    5,
    /no space left on device/,
  )

  appendFileSync(
    join(stack.docker, '.env.demo'),
    'BACKUP_S3_ENDPOINT=http://127.0.0.1:1\nBACKUP_S3_ACCESS_KEY_ID=a\nBACKUP_S3_SECRET_ACCESS_KEY=canary\n',
  )
  tell(
    'a bucket that is away',
    'coollabsio/coolify#6783',
    backUp({}, '--copy-to', 's3://away/kgc', '--keep-last', '1'),
    5,
    /connection refused[^]*the backup itself is whole/,
  )
  const [older, newer = '', ...rest] = listBackups()
  assert.equal([older, rest], [backup.split('/').at(-1), []])
  assert.ok(requireManifest(join(to, newer)))
  rmSync(join(to, newer), { recursive: true })

  const id = stack.container('chatwoot-db')
  const lock = spawn('docker', [
    'exec',
    id,
    'psql',
    '-qU',
    'postgres',
    '-d',
    'chatwoot',
    '-c',
    'BEGIN; LOCK of_tenants; SELECT pg_sleep(600)',
  ])
  const killed = stack.start(
    ['backup', 'demo', ...applications, '--to', to, '--recipient', recipient],
    { KGC_PROJECT: stack.project },
  )
  await waitUntil(
    'pg_dump waits',
    60,
    () =>
      sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'",
      ) === '1',
  )
  tell(
    'two backups at once',
    'Commifreak/unraid-appdata.backup#78',
    backUp(),
    4,
    /another backup or restore of it runs/,
  )
  const dumping = stack.engine('ps', '-ql', '--filter', `label=hu.kgc.workplace=${stack.project}`)
  stack.engine('kill', dumping)
  const code = await killed.code
  lock.kill()
  sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
  )
  tell(
    'a dump that is killed',
    'nfrastack/docker-db-backup#366',
    { code: code ?? -1, stdout: '', stderr: killed.said(), ms: 0 },
    5,
    /dump.sh ended with 137/,
  )
  assert.equal(listBackups(), [backup.split('/').at(-1)])
  assert.match(
    stack.run(['backup', 'status', '--to', to]).stdout,
    /failed: .*dump.sh ended with 137/,
  )
})

/** A copy of the backup in which something has happened. */
async function damage(
  name: string,
  change: (folder: string, manifest: BackupManifest) => unknown,
): Promise<string> {
  const folder = join(stack.root, 'damaged', name)
  cpSync(backup, folder, { recursive: true })
  await change(folder, requireManifest(folder))
  return folder
}

test('a backup that is damaged is refused before anything is touched', async () => {
  const dump = 'chatwoot/dump.age'
  const cases: [string, string, (folder: string, manifest: BackupManifest) => unknown, RegExp][] = [
    [
      'a truncated dump',
      'wepublish/wepublish#2957',
      folder => truncateSync(join(folder, dump), 3000),
      /dump.age has 3000 bytes of/,
    ],
    [
      'a flipped bit',
      'immich-app/immich#27761',
      folder => {
        const bytes = readFileSync(join(folder, dump))
        bytes[4000]! ^= 4
        writeFileSync(join(folder, dump), bytes)
      },
      /dump.age has another checksum/,
    ],
    [
      'a backup that did not end',
      'flynn/flynn#2504',
      folder => rmSync(join(folder, 'manifest.json')),
      /did not come to its end/,
    ],
    [
      'a manifest of the future',
      'alphaonedev/ai-memory-mcp#3604',
      (folder, manifest) =>
        writeManifest(folder, { ...manifest, created: '2099-01-01T00:00:00.000Z' }),
      /in the future/,
    ],
  ]
  for (const [story, report, change, cause] of cases)
    tell(story, report, restore(await damage(story.replaceAll(' ', '-'), change)), 3, cause)
  tell(
    'a missing key',
    'sabeechen/hassio-google-drive-backup#1170',
    restore(backup, {}, join(stack.root, 'none')),
    3,
    /none is not there/,
  )
  assert.is(stack.run(['backup', 'key', '--to', join(stack.root, 'other.key')]).code, 0)
  tell(
    'another key',
    'Skyfay/DBackup#58',
    restore(backup, {}, join(stack.root, 'other.key')),
    3,
    /no identity matched/,
  )
  const env = join(stack.docker, 'chatwoot/.env.demo')
  const text = readFileSync(env, 'utf8')
  writeFileSync(
    env,
    text.replace(/^(CHATWOOT_ENCRYPTION_PRIMARY_KEY=).*/m, '$1abcdefghijklmnopqrstuvwxyzabcdef'),
  )
  tell(
    'keys that the data was not written with',
    'OctopusDeploy/Issues#173',
    restore(backup),
    3,
    /written with other values/,
  )
  writeFileSync(env, text)
})

test('an empty dump that is marked good is found, and what is there goes on', async () => {
  const empty = await damage('marked-good', async (folder, manifest) => {
    const file = manifest.files.find(({ name }) => name === 'chatwoot/dump')!
    truncateSync(join(folder, file.stored.path), 0)
    Object.assign(file.stored, await measureFile(join(folder, file.stored.path)))
    await writeManifest(folder, manifest)
  })
  tell(
    'an empty file that is marked good',
    'Skyfay/DBackup#154',
    restore(empty),
    3,
    /Open .*chatwoot\/dump.age/,
  )
  assert.equal(readAll(), before)
})

test('a restore that is killed at any point leaves the old data whole, and the next one ends it, also over a damaged table', () => {
  // a page of garbage: the old database cannot be dumped any more
  const [path] = sql("SELECT pg_relation_filepath('written')").split('\n')
  sql('INSERT INTO written SELECT FROM generate_series(1, 2000); CHECKPOINT')
  const id = stack.container('chatwoot-db')
  stack.engine(
    'exec',
    id,
    'sh',
    '-c',
    `dd if=/dev/urandom of="$PGDATA/${path}" bs=8192 seek=1 count=1 conv=notrunc && sync`,
  )
  stack.engine('restart', id)
  const endAt = join(repository, 'test/cluster/deploy/end-at.mjs')
  const points = ['▶ Restore chatwoot beside', '▶ Swap chatwoot\n', '▶ Swap chatwoot-storage']
  for (const point of points) {
    const killed = restore(backup, {
      env: { END_AT: point, END_BY: 'SIGKILL', NODE_OPTIONS: `--import=${endAt}` },
    })
    assert.is(killed.code, -1, killed.stderr)
    assert.match(killed.stderr, 'ended at')
    const names = sql(
      "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'chatwoot%'",
    )
    assert.match(names, /^chatwoot( |$)/)
    assert.is(sql('SELECT count(*) FROM of_tenants'), '6000')
    stories.push([
      `a restore that is killed at "${point.slice(2).trim()}"`,
      'backenly/backenly#39',
      '137',
      names,
      'nothing',
    ])
  }
  const { code, stderr, stdout } = restore(backup)
  tell(
    'a table that is damaged',
    'immich-app/immich#30062',
    { code, stderr, stdout, ms: 0 },
    0,
    /is kept/,
  )
  assert.equal(readAll(), before)
  assert.is(sql("SELECT count(*) FROM pg_database WHERE datname = 'chatwoot_before_restore'"), '1')
  const second = restore(backup)
  assert.is(second.code, 3, second.stderr)
  assert.match(second.stderr, 'still kept: chatwoot')
  assert.is(stack.run(['restore', '--drop-old', 'demo', ...applications]).code, 0)
  assert.is(sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'chatwoot\\_%'"), '0')
})

/** Whether all networks of the application are internal: of such ones the engine forwards nothing. */
const isShutIn = (): boolean => {
  const id = stack.container('chatwoot-web')
  const format = '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}'
  const names = stack.engine('inspect', '--format', format, id).trim().split(' ')
  const internal = stack.engine('network', 'inspect', '--format', '{{.Internal}}', ...names)
  return internal.split('\n').every(one => one === 'true')
}
/** The status that the edge answers for Chatwoot. */
const askEdge = () =>
  new Promise<number | undefined>((done, fail) =>
    request(
      {
        ...{ host: '127.0.0.1', port: 18141, path: '/', rejectUnauthorized: false },
        headers: { host: 'support.kgc.localhost' },
        servername: 'support.kgc.localhost',
      },
      answer => done(answer.resume().statusCode),
    )
      .on('error', fail)
      .end(),
  )

test('on an empty machine the backup and its key bring the stack up as it was, held back until it goes live', async () => {
  assert.is(stack.run(['down', 'demo', '--purge', '--yes']).code, 0)
  assert.not.ok(existsSync(join(stack.docker, '.env.demo')))
  const { code, stderr } = restore(backup)
  assert.is(code, 0, stderr)
  assert.equal(readAll(), before)
  console.log(`\n${table(stories)}`)
  assert.match(
    stack.run(['backup', 'status', '--to', to]).stdout,
    /back in [^,]* \(restored \d{4}-\d\d-\d\d/,
  )

  assert.is(await askEdge(), 200)
  assert.ok(isShutIn())
  assert.is(stack.container('chatwoot-sidekiq'), '', 'a worker would send what is in the queues')
  const early = stack.run(['up', 'demo', ...applications])
  assert.is(early.code, 3, early.stderr)
  assert.match(early.stderr, 'a restored copy is held back')
  const live = stack.run(['restore', '--go-live', 'demo', ...applications])
  assert.is(live.code, 0, live.stderr)
  assert.not.ok(isShutIn())
  const smoke = stack.run(['smoke', 'demo', '--only', 'chatwoot']).stdout
  // KGC, which its webhook reaches, does not run here
  const own = smoke.split('\n').filter(line => line.includes(' chatwoot: '))
  const checks = own.filter(line => !line.includes('reaches KGC'))
  assert.ok(checks.length > 3, smoke)
  assert.equal(
    checks.filter(line => !line.startsWith('✔')),
    [],
  )
})

test.run()
