// Moving in from a stack as KGC has it today: PostgreSQL 16, other names of databases, roles, volumes and variables.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../until.ts'
import { buildPostgres16 } from '../postgres16/image.ts'
import { fullProject, removeAll } from '../project.ts'

const test = suite('move in')
const stack = fullProject('move-in', 18190)
const old = join(stack.root, 'old-stack')
const project = 'kgc-test-moving-out'
const key = join(stack.root, 'backup.key')
const secret = 'a5c7e0f4d1b26389'.repeat(4)
const encryptionKey = Buffer.from(secret.slice(0, 32)).toString('base64')
/** As which Twenty's stand-in knows the key that its secrets were encrypted with. */
const fingerprint = createHash('sha256').update(`twenty:${encryptionKey}`).digest('hex')
const volumes = ['kgc-db', 'kgc-redis', 'twenty-files', 'twenty-db', 'wiki-db']

function removeOld() {
  removeAll(project)
  for (const one of volumes)
    spawnSync('docker', ['volume', 'rm', '-f', `${project}-${one}`], { stdio: 'ignore' })
}
removeOld()
process.once('exit', removeOld)

const compose = (...words: string[]) =>
  stack.engine(
    'compose',
    '--project-directory',
    old,
    '--env-file',
    join(old, '.env.prod'),
    ...words,
  )
const idOf = (service: string) => compose('ps', '-aq', service)
const ask = (id: string, user: string, database: string, query: string) =>
  stack.engine('exec', id, 'psql', '-qtAXU', user, '-d', database, '-c', query)
const askOld = (service: string, user: string, database: string, query: string) =>
  ask(idOf(service), user, database, query)
const askNew = (name: string, query: string) =>
  ask(stack.container(`${name}-db`), 'postgres', name, query)
const move = (...words: string[]) =>
  stack.run(['restore', '--from-compose', old, 'demo', ...words, '--identity', key])

/** A checksum of every table's rows, by an asker. */
function readRows(asker: (query: string) => string): string[] {
  const tables = asker(
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'core', 'tenant') AND tablename NOT LIKE 'kgc%' ORDER BY 1",
  ).split('\n')
  return tables.map(name =>
    asker(
      `SELECT '${name} ' || count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text COLLATE "C")) FROM ${name} t`,
    ),
  )
}
/** All files of a volume with their times, read by another container. */
const readVolume = (name: string) =>
  stack.engine(
    ...['run', '--rm', '--user', '0:0', '--volume', `${project}-${name}:/volume:ro`],
    ...['--entrypoint', 'sh', 'kgc-demo/postgres:17', '-c'],
    "cd /volume && find . -type f -printf '%T@ %p ' -exec sha256sum {} + | sort | sha256sum",
  )
const whatIsThere = () => [
  stack.engine(
    'volume',
    'ls',
    '-q',
    '--filter',
    `label=com.docker.compose.project=${stack.project}`,
  ),
  stack.engine('ps', '-aq', '--filter', `label=com.docker.compose.project=${stack.project}`),
  readFileSync(join(stack.docker, 'kgc/.env.demo'), 'utf8'),
]

let rows: string[][]

test('the old stack runs, with files in a volume and beside it', async () => {
  buildPostgres16()
  cpSync(import.meta.dirname, old, { recursive: true })
  const dump = readFileSync(join(import.meta.dirname, '../old-volume/twenty.sql'), 'utf8')
  writeFileSync(
    join(old, 'twenty.sql'),
    `${dump.replace(/^SET transaction_timeout.*$/m, '')}
    UPDATE core.encryption SET fingerprint = '${fingerprint}';
    CREATE TABLE core.application (id int, "universalIdentifier" text);
    INSERT INTO core.application VALUES (1, 'app');
    CREATE TABLE core.file ("workspaceId" text, "applicationId" int, path text, size int, status text);
    INSERT INTO core.file VALUES ('w', 1, 'layer.txt', 6, 'UPLOADED'), ('w', 1, 'volume.txt', 7, 'UPLOADED');`,
  )
  writeFileSync(
    join(old, '.env.prod'),
    `KGC_DB_PASSWORD=a\nTWENTY_DB_PASSWORD=b\nJWT_SECRET=${secret}\nTWENTY_APP_SECRET=${secret}2\nENCRYPTION_KEY=${encryptionKey}\n`,
  )
  compose('up', '--detach')
  for (const [service, user] of [
    ['kgc-db', 'kgc'],
    ['twenty-db', 'twenty'],
  ] as const)
    await waitUntil(
      `${service} is there`,
      120,
      () =>
        spawnSync('docker', ['exec', idOf(service), 'pg_isready', '-qh', '127.0.0.1', '-U', user])
          .status === 0,
    )
  const server = idOf('twenty-server')
  const write = (path: string, text: string) =>
    stack.engine(
      'exec',
      '--user',
      '0:0',
      server,
      'sh',
      '-c',
      `mkdir -p ${path} && echo ${text} >${path}/${text}.txt && chown -R 1000:1000 ${path}`,
    )
  write('/app/.local-storage/w/app', 'volume')
  write('/app/packages/twenty-server/.local-storage/w/app', 'layer')
  const recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()
  const env = join(stack.docker, '.env.demo')
  writeFileSync(
    env,
    readFileSync(env, 'utf8')
      .replace(/^BACKUP_RECIPIENTS=.*/m, `BACKUP_RECIPIENTS=${recipient}`)
      .replace(/^BACKUP_FOLDER=.*/m, `BACKUP_FOLDER=${stack.root}/backups`),
  )
})

test('what cannot come is refused by name, and nothing is touched', () => {
  const before = whatIsThere()
  const refused = (why: RegExp, ...words: string[]) => {
    const { code, stderr } = move(...words)
    assert.is(code, 3, stderr)
    assert.match(stderr, why)
  }
  const elsewhere = stack.run([
    'restore',
    '--from-compose',
    stack.docker,
    'demo',
    '--identity',
    key,
    '--file',
    'none.yml',
  ])
  assert.is(elsewhere.code, 3, elsewhere.stderr)
  const empty = stack.run([
    'restore',
    '--from-compose',
    join(stack.root, 'scripts'),
    'demo',
    '--identity',
    key,
  ])
  assert.match(empty.stderr, 'it has no Compose file')
  refused(/kgc-api, twenty-server may write there[^]*docker stop kgc-test-moving-out-kgc-api-1/)
  refused(/no database of chatwoot/, 'chatwoot')
  const compose = join(old, 'docker-compose.yml')
  const text = readFileSync(compose, 'utf8')
  writeFileSync(compose, text.replace('    profiles: [wiki]\n', ''))
  refused(/no application here knows the database wiki-db/, '--while-running')
  writeFileSync(compose, text)
  assert.equal(whatIsThere(), before)
})

test('a try while it runs: what fails leaves both as they were, and names the cause', () => {
  askOld('kgc-db', 'kgc', 'kgc_erp', 'CREATE EXTENSION old_snapshot')
  const before = whatIsThere()
  const { code, stderr } = move('--while-running')
  assert.is(code, 5, stderr)
  assert.match(stderr, /extension "old_snapshot" is not available/)
  assert.equal(whatIsThere(), before)
  assert.equal(readdirSync(join(stack.root, 'backups')), [])
  assert.is(stack.engine('ps', '-aq', '--filter', `label=hu.kgc.workplace=${stack.project}`), '')
  askOld('kgc-db', 'kgc', 'kgc_erp', 'DROP EXTENSION old_snapshot')
})

test('rows, files and keys move in, held back; the old stack is as it was', () => {
  rows = [
    readRows(query => askOld('kgc-db', 'kgc', 'kgc_erp', query)),
    readRows(query => askOld('twenty-db', 'twenty', 'twenty', query)),
  ]
  compose('stop')
  const before = volumes.slice(0, 4).map(readVolume)
  const { code, stderr, stdout } = move('kgc', 'twenty-crm', 'traefik')
  assert.is(code, 0, stderr)
  assert.match(stdout, /kgc, twenty moved in with \d+ rows[^]*held back/)
  assert.match(stderr, /KGC_SIGNATURE_HMAC_KEY is not set there/)
  assert.match(stderr, /twenty-crm: crm\.\S+ is open/)
  for (const one of [secret, encryptionKey]) assert.not.match(stderr + stdout, one)
  assert.equal(volumes.slice(0, 4).map(readVolume), before)
  assert.equal(
    readRows(query => askNew('kgc', query)),
    rows[0],
  )
  assert.equal(
    readRows(query => askNew('twenty', query)),
    rows[1],
  )

  const settings = parse(readFileSync(join(stack.docker, 'kgc/.env.demo')))
  assert.is(settings.KGC_JWT_SECRET, secret)
  const [env] = JSON.parse(
    stack.engine('inspect', '--format', '[{{json .Config.Env}}]', stack.container('kgc-api')),
  ) as [string[]]
  assert.ok(env.includes(`JWT_SECRET=${secret}`))
  const storage = ['exec', stack.container('twenty-server'), 'sh', '-c']
  assert.is(
    stack.engine(
      ...storage,
      'cd /app/packages/twenty-server/.local-storage/w/app && cat layer.txt volume.txt && stat -c %u layer.txt',
    ),
    'layer\nvolume\n1000',
  )
})

test('it is of the new kind: owners, rights and the order of texts are this stack’s', () => {
  assert.is(
    askNew('kgc', "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
    'kgc_owner',
  )
  assert.is(askNew('kgc', "SELECT has_table_privilege('kgc_app', 'contracts', 'INSERT')"), 't')
  assert.is(
    askNew('kgc', "SELECT string_agg(name, ' ' ORDER BY name) FROM tenants"),
    'Ádám Cukor Csilla Zsolt',
  )
  assert.match(askNew('kgc', 'SELECT version()'), /^PostgreSQL 17/)
})

test('a second move is refused until what the first has kept is dropped', () => {
  const second = move('kgc', 'twenty-crm', 'traefik')
  assert.is(second.code, 3, second.stderr)
  assert.match(second.stderr, '--drop-old demo kgc twenty-crm')
  assert.is(stack.run(['restore', '--drop-old', 'demo', 'kgc', 'twenty-crm']).code, 0)
  const { code, stderr } = move('kgc')
  assert.is(code, 0, stderr)
  assert.equal(
    readRows(query => askNew('kgc', query)),
    rows[0],
  )
})

test.run()
