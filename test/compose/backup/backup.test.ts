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
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Readable } from 'node:stream'
import {
  measureFile,
  openStored,
  readIdentities,
  storeBytes,
} from '../../../scripts/lib/backup/encryption.ts'
import {
  nameBackup,
  requireManifest,
  writeManifest,
  type BackupManifest,
} from '../../../scripts/lib/backup/manifest.ts'
import { table } from '../../../scripts/lib/report.ts'
import { parseTables } from '../../../scripts/lib/backup/tables.ts'
import type { CommandOutput } from '../../one-process.ts'
import { readTypeScript } from '../../node.ts'
import { repository, type Options, type Result } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'
import { fullProject } from '../project.ts'

const test = suite('backup')
const stack = fullProject('backup', 18140, { hurried: true })
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
function backUpByCron(): CommandOutput {
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
  return { code: done.status ?? -1, stdout: '', stderr: readFileSync(log, 'utf8') }
}
const restoreWords = (folder: string, identity = key) => [
  ...['restore', folder, 'demo', ...applications, '--identity', identity],
]
const restore = (folder: string, options?: Options): Result =>
  stack.run(restoreWords(folder), options)
/** In this process, in a tenth of the time: it touches nothing. */
const refused = (...words: string[]): Promise<CommandOutput> =>
  stack.inProcess(words, { KGC_PROJECT: stack.project })
const sql = (query: string, user = 'postgres', database = 'chatwoot') =>
  stack.engine(
    'exec',
    stack.container('chatwoot-db'),
    'psql',
    '-qtAXU',
    user,
    '-d',
    database,
    '-c',
    query,
  )
const inRedis = (...words: string[]) =>
  stack.engine(
    ...['exec', stack.container('chatwoot-redis'), 'sh', '-c'],
    ...['REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli "$@"', '-', ...words],
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
  { code, stderr }: CommandOutput,
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
    CREATE EXTENSION citext;
    CREATE TABLE written (at timestamptz DEFAULT clock_timestamp(), word text DEFAULT repeat('x', 500))`,
    'chatwoot_a',
  )
  sql(
    `INSERT INTO contacts (account_id, name, email, phone_number) SELECT id, 'Kanári Anna', 'anna@kanari.hu', '+36 30 555 0199' FROM accounts, generate_series(1, 3);
    INSERT INTO webhooks (account_id, url, subscriptions, secret) SELECT id, 'https://kanari.hu/hook', '["message_created"]', 'kanari' FROM accounts;
    UPDATE of_tenants SET word = 'kanari@kanari.hu' WHERE id = 7`,
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
  // an extension of the superuser's with a comment, and one of the application's own
  sql("COMMENT ON EXTENSION vector IS 'of somebody else'")
  inRedis('rpush', 'queue:mailers', '{"class":"MailJob"}')
  recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()
  before = readAll()
})

test('a backup while others write is whole, proven and encrypted, row by row (asifbacchus/MailcowBackup#10)', async () => {
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
  const opened = await openStored(join(backup, 'chatwoot/dump.age'), await readIdentities(key))
  const [head = ''] = (await opened.toArray()) as Buffer[]
  assert.is(Buffer.from(head).toString('latin1', 0, 5), 'PGDMP')
  stories.push(
    ...[
      ['an older psql that dies on \\restrict', 'prodrigestivill/docker-postgres-backup-local#174'],
      ['an extension that is owned by another', 'ParabolInc/parabol#5473'],
    ].map(row => [...row, '0', '', 'nothing']),
  )
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

  const [lo] = sql('SELECT lo_create(0)', 'chatwoot_a').split('\n')
  tell(
    'large objects, which the backup role may not read',
    'Archmonger/django-dbbackup#291',
    backUp(),
    5,
    /1 large objects are in the database/,
  )
  sql(`SELECT lo_unlink(${lo})`)

  const faults: [string, string, string, RegExp][] = [
    [
      'an empty dump that ends well',
      'github/backup-utils#90',
      `*/kgc/dump.sh) exec $real "\${@:1:$#-1}" -c 'sh /kgc/dump.sh >&2; . /kgc/measure.sh; cd /backup/$DATABASE; : >dump; measure $DATABASE/dump $DATABASE/tables $DATABASE/facts.json' ;;`,
      /the dump is empty/,
    ],
    [
      'a transport that cuts and ends well',
      'kubernetes/kubernetes#124571',
      `*'exec cat'*/dump) $real "$@" | head -c 2000; exit 0 ;;`,
      /2000 of \d+ bytes arrived/,
    ],
    [
      'a transport that takes all for text',
      'docker-library/postgres#219',
      `*'exec cat'*/tables) $real "$@" | sed 's/$/\r/'; exit 0 ;;`,
      /bytes arrived, or others/,
    ],
  ]
  for (const [story, report, fault, cause] of faults)
    tell(story, report, backUp({ env: replaceDocker(fault) }), 5, cause)

  const small = join(stack.root, 'small')
  mkdirSync(small)
  const argv = [
    ...readTypeScript,
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
    { code: full.status ?? -1, stdout: '', stderr: full.stderr },
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
    { code: code ?? -1, stdout: '', stderr: killed.said() },
    5,
    /dump.sh ended with 137/,
  )
  assert.equal(listBackups(), [backup.split('/').at(-1)])
  assert.match(
    stack.run(['backup', 'status', '--to', to]).stdout,
    /failed: .*dump.sh ended with 137/,
  )
})

/** A docker that does something else for a command. */
function replaceDocker(fault: string): Record<string, string> {
  const shim = join(stack.root, 'shim')
  mkdirSync(shim, { recursive: true })
  const real = spawnSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).stdout.trim()
  writeFileSync(
    join(shim, 'docker'),
    `#!/bin/bash\nreal=${real}\ncase "$*" in ${fault} esac\nexec $real "$@"\n`,
    { mode: 0o755 },
  )
  return { PATH: `${shim}:${process.env.PATH}` }
}

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
    [
      'a manifest that lists no files',
      'LanternOps/breeze#6319',
      (folder, manifest) => writeManifest(folder, { ...manifest, files: [] }),
      /chatwoot\/dump is empty, or not among its files/,
    ],
  ]
  for (const [story, report, change, cause] of cases) {
    const folder = await damage(story.replaceAll(' ', '-'), change)
    tell(story, report, await refused(...restoreWords(folder)), 3, cause)
  }
  tell(
    'a missing key',
    'sabeechen/hassio-google-drive-backup#1170',
    await refused(...restoreWords(backup, join(stack.root, 'none'))),
    3,
    /none is not there/,
  )
  assert.is((await refused('backup', 'key', '--to', join(stack.root, 'other.key'))).code, 0)
  tell(
    'another key',
    'Skyfay/DBackup#58',
    await refused(...restoreWords(backup, join(stack.root, 'other.key'))),
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
    await refused(...restoreWords(backup)),
    3,
    /written with other values/,
  )
  writeFileSync(env, text)
})

test('what is marked good and is not is found, removes no good one, and what is there goes on', async () => {
  const now = new Date()
  const name = nameBackup(stack.project, now)
  const empty = await damage('marked-good', async (folder, manifest) => {
    const file = manifest.files.find(({ name }) => name === 'chatwoot/dump')!
    truncateSync(join(folder, file.stored.path), 0)
    Object.assign(file.stored, await measureFile(join(folder, file.stored.path)))
    await writeManifest(folder, { ...manifest, name, created: now.toISOString() })
  })
  const cause = /chatwoot\/dump is empty/
  tell(
    'an empty file that is marked good',
    'Skyfay/DBackup#154',
    await refused(...restoreWords(empty)),
    3,
    cause,
  )
  cpSync(empty, join(to, name), { recursive: true })
  const pruned = await refused('backup', 'prune', 'demo', '--to', to, '--keep-last', '1')
  assert.is(pruned.code, 0, pruned.stderr)
  assert.ok(requireManifest(backup))
  rmSync(join(to, name), { recursive: true })

  const servers: [string, string, object, RegExp][] = [
    [
      'a dump of a newer server',
      'zulip/zulip#27118',
      { server: '99.1' },
      /does not read a dump of 99.1/,
    ],
    [
      'another collation',
      'docker-library/postgres#327',
      { provider: 'libc', locale: 'hu_HU.utf8' },
      /what was saved by libc hu_HU.utf8/,
    ],
  ]
  for (const [story, report, facts, cause] of servers) {
    const folder = await damage(story.replaceAll(' ', '-'), (folder, manifest) => {
      Object.assign(manifest.databases[0]!, facts)
      return writeManifest(folder, manifest)
    })
    tell(story, report, await refused(...restoreWords(folder)), 3, cause)
  }

  const hollow = await damage('hollow', async (folder, manifest) => {
    const file = manifest.files.find(({ name }) => name === 'chatwoot/dump')!
    const { path } = file.stored
    rmSync(join(folder, path))
    const argv = ['pg_dump', '-U', 'postgres', '-Fc', '--schema-only', '--exclude-extension=*']
    const { stdout } = spawnSync(
      'docker',
      ['exec', stack.container('chatwoot-db'), ...argv, 'chatwoot'],
      { maxBuffer: 1e8 },
    )
    const written = await storeBytes(Readable.from([stdout]), join(folder, path), [recipient])
    Object.assign(file, written.plain, { stored: { ...written.stored, path } })
    await writeManifest(folder, manifest)
  })
  tell(
    'a dump without its rows, beside which the old ones would count',
    'ayunis-core/ayunis-core#118',
    await refused(...restoreWords(hollow)),
    5,
    /of_tenants has 0 rows of 6000/,
  )
  assert.equal(readAll(), before)
})

/** Where a restore is killed: at some of its steps one after the other, in a soak at each by itself. */
const soaked = Boolean(process.env.KGC_SOAK)
const steps = [
  ...['Start 1 services', 'Look at what is there', 'Restore chatwoot beside'],
  ...['Unpack chatwoot-storage', 'Make room in chatwoot-redis-data', 'Stop what uses them'],
  ...['Swap chatwoot\n', 'Swap chatwoot-storage', 'Swap chatwoot-redis-data'],
  'Take the applications off',
]
const points = ['Restore chatwoot beside', 'Swap chatwoot\n', 'Swap chatwoot-storage']

/** Kills a restore; what was there before must be whole, under its name or the other. */
function killRestore(point: string): void {
  const killed = restore(backup, {
    env: {
      ...{ END_AT: `▶ ${point}`, END_BY: 'SIGKILL' },
      NODE_OPTIONS: `--import=${join(repository, 'test/cluster/deploy/end-at.mjs')}`,
    },
  })
  assert.is(killed.code, -1, killed.stderr)
  assert.match(killed.stderr, 'ended at')
  const names = sql(
    "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'chatwoot%'",
  )
  assert.match(names, /^chatwoot( |$)/)
  const old = names.includes('_before_restore') ? 'chatwoot_before_restore' : 'chatwoot'
  assert.is(sql('SELECT word FROM only_old', 'postgres', old), '1')
  assert.is(sql('SELECT count(*) FROM of_tenants', 'postgres', old), '6000')
  const script = 'cat /volume/only-old 2>/dev/null || cat /volume/.kgc-before-restore/only-old.old'
  assert.is(inVolume(storage, script), 'old')
  const report = 'backenly/backenly#39'
  stories.push([`a restore that is killed at "${point.trim()}"`, report, '137', names, 'nothing'])
}

test('a restore that is killed at any point leaves the old data whole, and the next one ends it, also over a damaged table', async () => {
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
  await waitUntil('the database answers again', 120, () => sql('SELECT 1') === '1')
  // what is only in the old data
  sql('CREATE TABLE only_old AS SELECT 1 AS word', 'chatwoot_a')
  inVolume(storage, 'echo old >/volume/only-old')
  for (const point of points) killRestore(point)
  tell(
    'a start on a restore that is half done',
    'ayunis-core/ayunis-core#118',
    await refused('up', 'demo', ...applications),
    3,
    /has not come to its end: the stack has some of its data/,
  )
  for (const words of [['--go-live'], ['--drop-old']])
    assert.is((await refused('restore', ...words, 'demo', ...applications)).code, 3)
  const { code, stderr, stdout } = restore(backup)
  tell('a table that is damaged', 'immich-app/immich#30062', { code, stderr, stdout }, 0, /is kept/)
  assert.equal(readAll(), before)
  assert.is(sql("SELECT count(*) FROM pg_database WHERE datname = 'chatwoot_before_restore'"), '1')
  const second = restore(backup)
  assert.is(second.code, 3, second.stderr)
  assert.match(second.stderr, /was restored here already: .* still kept: chatwoot/)
  const [goLive, drop] = ['--go-live demo', `--drop-old demo ${applications.join(' ')}`]
  assert.match(
    second.stderr,
    `look at what is restored, then npx zx scripts/restore.ts ${goLive}; to restore another backup, first: npx zx scripts/restore.ts ${drop}`,
  )
  assert.is(stack.run(['restore', '--drop-old', 'demo', ...applications]).code, 0)
  assert.is(sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'chatwoot\\_%'"), '0')
})

if (soaked)
  for (const point of steps)
    test(`a restore that is killed at "${point.trim()}" is ended by the next one`, () => {
      sql('CREATE TABLE only_old AS SELECT 1 AS word', 'chatwoot_a')
      inVolume(storage, 'echo old >/volume/only-old')
      inRedis('set', 'old', 'here')
      killRestore(point)
      const { code, stderr } = restore(backup)
      assert.is(code, 0, stderr)
      assert.equal(readAll(), before)
      assert.is(stack.run(['restore', '--drop-old', 'demo', ...applications]).code, 0)
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
  // from where rclone's configuration says: nothing else is there yet
  const config = join(stack.root, 'rclone.conf')
  writeFileSync(config, '[elsewhere]\ntype = local\n')
  const words = restoreWords(`elsewhere:${backup}`)
  const { code, stderr } = stack.run([...words, '--to', join(stack.root, 'fetched')], {
    env: { RCLONE_CONFIG: config },
  })
  assert.is(code, 0, stderr)
  assert.equal(readAll(), before)
  assert.is(inRedis('exists', 'queue:mailers'), '0')
  const again = 'jobs of the time of the backup that would send mail again'
  stories.push([again, '3scale/3scale-Operations#1', '0', 'emptied, and held back', 'nothing'])
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
  const looked = stack.run(['smoke', 'demo', '--quick'])
  assert.is(looked.code, 6, looked.stderr)
  assert.match(looked.stderr, /it is held back by a restore[^]*NEXT .*restore\.ts --go-live demo\n/)
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

/** What Chatwoot answers to an address with the administrator's password: asked in its container, which is held back. */
const signIn = (email: string): string =>
  stack.engine(
    ...['exec', stack.container('chatwoot-web'), 'sh', '-c'],
    'wget -qS -O /dev/null --header "content-type: application/json" --header "x-forwarded-proto: https" --post-data "$0" http://127.0.0.1:3000/auth/sign_in 2>&1 | sed -n "s,.*HTTP/1.1 \\([0-9]*\\).*,\\1,p" | tail -n 1',
    JSON.stringify({ email, password: readSetting('ADMIN_PASSWORD') }),
  )
const readSetting = (key: string): string =>
  parse(readFileSync(join(stack.docker, '.env.demo'), 'utf8'))[key] ?? ''

/** A database with a table of each kind of column: one has row security that binds its owner, and a trigger that writes down what was there. */
const shapes = `
  CREATE DOMAIN code AS varchar(6);
  CREATE TYPE mood AS ENUM ('good');
  CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL, initials varchar(3) UNIQUE, nick code, email text UNIQUE, phone text, home text, mood mood, born date,
    tags text[], at inet, about jsonb, list json, picture bytea, api_token text, low text GENERATED ALWAYS AS (lower(name)) STORED, doc xml, blank text DEFAULT '', language text);
  INSERT INTO people (name, initials, nick, email, phone, home, mood, born, tags, at, about, list, picture, api_token, doc, language) SELECT 'kanari ' || n, 'k' || n, 'kanari',
    'kanari' || n || '@real.hu', '+36 30 555 019' || n, 'https://kanari.hu', 'good', '1990-01-01', '{kanari}', '10.1.2.3', '{"a": "kanari"}', '["kanari"]', 'kanari',
    'kanari' || n, '<kanari/>', 'hu' FROM generate_series(1, 3) n;
  CREATE TABLE log (said text);
  CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.name); RETURN NEW; END $$;
  CREATE TRIGGER tell BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION tell();
  CREATE MATERIALIZED VIEW seen AS SELECT name FROM people;
  ALTER TABLE people ENABLE ROW LEVEL SECURITY;
  ALTER TABLE people FORCE ROW LEVEL SECURITY;
  CREATE POLICY nobody ON people USING (false);
  CREATE TABLE sessions (token text PRIMARY KEY, who int REFERENCES people);
  INSERT INTO sessions VALUES ('kanari', 1);
  CREATE TABLE keyless (name text);
  INSERT INTO keyless VALUES ('kanari'), ('kanari')`

test('every kind of column is masked or kept as the rules say, and one that they do not know is an error by name', () => {
  const rules = {
    empty: ['public.sessions'],
    replace: { 'public.p*': { born: 'NULL' } },
    keep: ['*.*.language'],
  }
  const database = `mask_${process.pid}`
  const id = stack.container('chatwoot-db')
  const run = (input: string, ...argv: string[]) =>
    spawnSync('docker', ['exec', '-i', '-w', '/dev/shm', id, ...argv], { input, encoding: 'utf8' })
  const mask = () =>
    run(
      readFileSync(join(repository, 'scripts/lib/backup/mask.sql'), 'utf8'),
      ...['psql', '--no-psqlrc', '-qtA', '-U', 'chatwoot_a', '-d', database],
    )
  sql(`CREATE DATABASE ${database} OWNER chatwoot_owner`)
  try {
    sql(shapes, 'chatwoot_a', database)
    run(JSON.stringify(rules), 'sh', '-c', 'cat >mask.json')
    sql('CREATE TABLE stocks (code text PRIMARY KEY, place point NOT NULL)', 'chatwoot_a', database)
    const refused = mask()
    assert.is(refused.status, 3)
    assert.match(
      refused.stderr,
      'nobody has decided about public.stocks.code (text, a key), public.stocks.place (point)',
    )
    sql('DROP TABLE stocks', 'chatwoot_a', database)
    const { status, stdout, stderr } = mask()
    assert.is(status, 0, stderr)
    assert.match(stdout, 'replaced\tpublic.people.born')
    assert.match(stdout, 'emptied\tpublic.sessions')
    const ask = (query: string) => sql(query, 'postgres', database)
    assert.is(
      ask(
        'SELECT name, email, phone, home, mood, tags, at, about, list, language FROM people WHERE id = 2',
      ),
      'masked 2|masked-2@masked.invalid|+360000000002|https://masked.invalid/2|good|{}|192.0.2.0|{}|[]|hu',
    )
    assert.is(
      ask(
        'SELECT concat(count(DISTINCT initials), count(DISTINCT api_token), count(born), count(doc)) FROM people',
      ),
      '3300',
    )
    assert.is(ask('SELECT count(*) FROM log'), '0')
    assert.is(
      ask('SELECT string_agg(name, $$,$$ ORDER BY name) FROM seen'),
      'masked 1,masked 2,masked 3',
    )
    assert.is(
      ask(
        "SELECT relforcerowsecurity || tgenabled::text FROM pg_class, pg_trigger WHERE relname = 'people' AND tgname = 'tell'",
      ),
      'trueO',
    )
    assert.not.match(
      stack.engine('exec', id, 'pg_dump', '-U', 'postgres', database),
      /(INSERT|\t|^)[^\n]*kanari/m,
    )
  } finally {
    sql(`DROP DATABASE ${database}`)
  }
})

test('a copy for staging has every row, and nothing of the people in it', async () => {
  const counted = (text: string) =>
    parseTables(text)
      .filter(({ name }) => !/active_storage/.test(name))
      .map(({ name, rows }) => `${name} ${rows}`)
      .sort()
  const tables = await openStored(join(backup, 'chatwoot/tables.age'), await readIdentities(key))
  const rows = counted(Buffer.concat((await tables.toArray()) as Buffer[]).toString())
  const admin = readSetting('ADMIN_EMAIL')
  assert.is(signIn(admin), '200')
  assert.is(stack.run(['restore', '--drop-old', 'demo', ...applications]).code, 0)
  const words = [...restoreWords(backup), '--mask']
  const own = await refused(...words, '--yes')
  assert.is(own.code, 3, own.stderr)
  assert.match(own.stderr, /the backup is of this very stack/)
  const env = join(stack.docker, '.env.demo')
  writeFileSync(env, readFileSync(env, 'utf8').replace(/^(DOMAIN=).*/m, '$1staging.localhost'))
  const unasked = await refused(...words)
  assert.is(unasked.code, 3, unasked.stderr)
  assert.match(unasked.stderr, /data of its own, and there is no terminal/)

  const { code, stderr, stdout } = stack.run([...words, '--yes'])
  assert.is(code, 0, stderr)
  assert.match(stdout, /restored without its people/)
  assert.match(stderr + stdout, /scripts\/admin.ts demo makes an administrator/)
  const now = sql(
    `SELECT 'public.' || relname || E'\t' || (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || oid::regclass, false, true, '')))[1] FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  )
  assert.equal(counted(now), rows)
  const left = stack.engine(
    ...['exec', stack.container('chatwoot-db'), 'sh', '-c'],
    'pg_dump -U postgres chatwoot | grep -iE "$0" || true',
    `kan(a|á)ri|555 0199|${admin}|árvíztűrő`,
  )
  assert.is(left, '')
  // what is known of a table for its plans goes with its rows
  assert.is(
    sql(
      "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND pg_stats::text ~* 'kan[aá]ri|árvíz'",
    ),
    '0',
  )
  assert.is(sql('SELECT count(*) FROM pg_policy'), '1')
  assert.is(inVolume(storage, 'find /volume -type f -not -path "*/.kgc-*"'), '')
  assert.is(signIn(admin), '401')
  assert.is(signIn(sql('SELECT email FROM users ORDER BY id LIMIT 1')), '401')
})

test.run()
