// What a backup refuses to be, and what it refuses to open, without an engine.
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { parse } from 'dotenv'
import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findRecipients } from '../../scripts/lib/backup/choose.ts'
import {
  measureFile,
  openStored,
  requireOpenable,
  storeBytes,
} from '../../scripts/lib/backup/encryption.ts'
import { findCause, parseMeasured } from '../../scripts/lib/backup/helper.ts'
import {
  findBackups,
  nameBackup,
  requireManifest,
  requireWhole,
  writeManifest,
  type BackupManifest,
} from '../../scripts/lib/backup/manifest.ts'
import { listMissingSettings } from '../../scripts/lib/backup/restore/after.ts'
import { findPredecessor, findShrunken } from '../../scripts/lib/backup/size.ts'
import { compareTables, parseTables } from '../../scripts/lib/backup/tables.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { runBytes } from '../../scripts/lib/run/bytes.ts'
import { fakes } from '../fakes.ts'
import { sandbox } from '../sandbox.ts'
import { waitUntil } from '../until.ts'

const test = suite('backup')
// the lock on a project's backups is the machine's
process.env.KGC_PROJECT = `kgc-test-${process.pid}`
const to = mkdtempSync(join(tmpdir(), 'kgc-backup-'))
process.once('exit', () => rmSync(to, { recursive: true, force: true }))

let made = 0
const database = (rows: number) => ({ database: 'shop', rows }) as BackupManifest['databases'][0]
/** A backup in the folder, with one stored file. */
async function makeBackup(
  rows = 4,
  changes: Partial<BackupManifest> = {},
  recipients: string[] = [],
) {
  const name = nameBackup('kgc', new Date(Date.UTC(2026, 0, ++made)))
  const folder = join(to, name)
  const path = 'shop/dump'
  const { plain, stored } = await storeBytes(
    Readable.from([Buffer.from('all rows of the shop')]),
    join(folder, path),
    recipients,
  )
  const manifest: BackupManifest = {
    format: 1,
    ...{ name, created: new Date().toISOString(), project: 'kgc', suffix: '', toolkit: 'test' },
    ...{ recipients, applications: ['shop'], databases: [database(rows)], volumes: [] },
    ...{ leftOut: [], images: {}, schemaVersions: {} },
    files: [{ ...plain, name: path, stored: { ...stored, path } }],
    ...changes,
  }
  await writeManifest(folder, manifest)
  return { folder, manifest, dump: join(folder, path) }
}

const refusal = async (work: () => unknown): Promise<Failure> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('nothing was refused')
}

test('a backup that is as it was written is taken, and its folder says when it was', async () => {
  const { folder, manifest } = await makeBackup()
  assert.equal(requireManifest(folder), manifest)
  await requireWhole(folder, manifest)
  assert.is(findBackups(to)[0]?.folder, folder)
})

test('what is missing, cut short, empty or has one changed bit is refused by name (Skyfay/DBackup#154)', async () => {
  const { folder, manifest, dump } = await makeBackup()
  const whole = readFileSync(dump)
  const flipped = Buffer.from(whole)
  flipped[7]! ^= 1
  for (const [change, words] of [
    [() => truncateSync(dump, 9), 'shop/dump has 9 bytes of 20'],
    [() => truncateSync(dump, 0), 'shop/dump has 0 bytes of 20'],
    [() => writeFileSync(dump, flipped), 'shop/dump has another checksum than when it was written'],
    [() => rmSync(dump), 'shop/dump is missing'],
  ] as const) {
    change()
    const { code, why } = await refusal(() => requireWhole(folder, manifest))
    assert.is(code, 3)
    assert.is(why, words)
    writeFileSync(dump, whole)
  }
})

test('a folder without a manifest, with a changed one, or one of the future is no backup', async () => {
  const { folder } = await makeBackup()
  const path = join(folder, 'manifest.json')
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace('"rows": 4', '"rows": 5'))
  assert.match((await refusal(() => requireManifest(folder))).why, 'damaged')
  rmSync(path)
  assert.match((await refusal(() => requireManifest(folder))).why, 'did not come to its end')
  assert.is(findBackups(to)[0]?.manifest, undefined)
  const future = await makeBackup(4, { created: new Date(Date.now() + 3_600_000).toISOString() })
  assert.match((await refusal(() => requireManifest(future.folder))).why, 'in the future')
  rmSync(future.folder, { recursive: true })
})

test('after a restore that is held back, the next step is the look at it, and not the end of the old data', async () => {
  const { describeEarlier, refuseOtherRestore } =
    await import('../../scripts/lib/backup/restore/earlier.ts')
  const { changeRecord, noteRestore } = await import('../../scripts/lib/backup/health/record.ts')
  const { folder, manifest } = await makeBackup()
  const { name } = manifest
  const states = [{ what: 'shop', kept: true, begun: undefined, swapped: false }]
  const drop = 'npx zx scripts/restore.ts --drop-old demo'
  const goLive = 'npx zx scripts/restore.ts --go-live demo'
  const refuse = (isHeld: boolean) => {
    const earlier = describeEarlier('shop-demo', isHeld ? goLive : undefined, folder, manifest)
    return refusal(() => refuseOtherRestore(states, name, drop, earlier))
  }
  const kept = 'the data from before an earlier restore is still kept: shop'
  const held = await refuse(true)
  assert.is(held.why, kept)
  assert.is(
    held.next,
    `look at what is restored, then ${goLive}; to restore another backup, first: ${drop}`,
  )
  await changeRecord(to, 'kgc', {})
  // a drill has left nothing
  await noteRestore(folder, manifest, 5)
  assert.is((await refuse(true)).why, kept)
  await noteRestore(folder, manifest, 5, 'shop-demo')
  assert.is((await refuse(true)).why, `${name} was restored here already: ${kept}`)
  const live = await refuse(false)
  assert.equal([live.why, live.next], [kept, drop])
  rmSync(join(to, 'kgc.record.json'))
})

test('of a folder with backups the newest whole ones are named', async () => {
  const made = []
  for (let count = 0; count < 5; count++) made.unshift((await makeBackup()).folder)
  rmSync(join(made[0]!, 'manifest.json'))
  const { code, why, next } = await refusal(() => requireManifest(to))
  assert.is(code, 3)
  assert.is(why, 'it is a folder with backups, and no backup itself')
  assert.is(next, `the same command with one of them: ${made.slice(1, 4).join(', ')}`)
  const file = join(made[1]!, 'shop/dump')
  assert.match((await refusal(() => requireManifest(file))).why, 'it has no manifest.json')
})

test('no rows where there were some, and less than half of them, are told apart; each database is held against its own last backup', async () => {
  await makeBackup(1000)
  await makeBackup(9, { databases: [{ ...database(9), database: 'other' }] })
  const before = findPredecessor(findBackups(to), 'kgc')
  const now = (rows: number) => findShrunken({ databases: [database(rows)], volumes: [] }, before)
  assert.equal(now(0), { empty: ['shop: 0 rows, 1000 in the backup before'], small: [] })
  assert.equal(now(499), { empty: [], small: ['shop: 499 rows, 1000 in the backup before'] })
  assert.equal(now(500), { empty: [], small: [] })
  assert.equal(findPredecessor(findBackups(to), 'another'), { databases: [], volumes: [] })
})

test('what is encrypted is read by its own key alone, and comes back as it was', async () => {
  const [own, other] = [await generateX25519Identity(), await generateX25519Identity()]
  const [ours, theirs] = [await identityToRecipient(own), await identityToRecipient(other)]
  const { dump } = await makeBackup(4, {}, [ours])
  assert.not.match(readFileSync(dump, 'latin1'), 'shop')
  await requireOpenable(dump, [own], [ours])
  const { code, why } = await refusal(() => requireOpenable(dump, [other], [ours]))
  assert.is(code, 3)
  assert.is(
    why,
    `no identity matched any of the file's recipients: it was encrypted for ${ours}, and this key opens what is for ${theirs}`,
  )
  const read = (await (await openStored(dump, [own])).toArray()) as Buffer[]
  assert.is(Buffer.concat(read).toString(), 'all rows of the shop')
})

test('of an age file that was cut or changed nothing is taken for its content', async () => {
  const own = await generateX25519Identity()
  const chunk = 64 * 1024
  const path = join(to, 'cut.age')
  await storeBytes(Readable.from([randomBytes(2 * chunk)]), path, [await identityToRecipient(own)])
  const whole = readFileSync(path)
  const changed = Buffer.from(whole)
  changed[whole.length - chunk - 100]! ^= 1
  const header = whole.length - 2 * (chunk + 16)
  // at a chunk's end, within one, before the first, within the header; with a chunk too much
  const files = [whole.subarray(0, header + chunk + 16), whole.subarray(0, header + 100)]
  files.push(whole.subarray(0, header), whole.subarray(0, 60), changed)
  files.push(Buffer.concat([whole, whole.subarray(-chunk - 16)]))
  for (const [i, bytes] of files.entries()) {
    writeFileSync(path, bytes)
    const read = openStored(path, [own]).then(one => one.toArray())
    const error = await read.then(
      () => undefined,
      (error: Error) => error,
    )
    assert.instance(error, Error, `${i}`)
  }
})

test('a file of any size is one that other programs of age open, whatever pieces it comes in', async () => {
  const own = await generateX25519Identity()
  const decrypter = new Decrypter()
  decrypter.addIdentity(own)
  const chunk = 64 * 1024
  for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 17]) {
    const bytes = randomBytes(size)
    const pieces = Array.from({ length: Math.ceil(size / 40_000) }, (_, i) =>
      bytes.subarray(i * 40_000, (i + 1) * 40_000),
    )
    const path = join(to, `of-${size}.age`)
    await storeBytes(Readable.from(pieces), path, [await identityToRecipient(own)])
    const read = await decrypter.decrypt(readFileSync(path))
    assert.ok(bytes.equals(read), `${size} bytes`)
    const ours = (await (await openStored(path, [own])).toArray()) as Buffer[]
    assert.ok(bytes.equals(Buffer.concat(ours)), `${size} bytes are read`)
  }
})

test('a table that lost rows, has others or is gone is named', () => {
  const dumped = parseTables('public.a\t2\t77\npublic.b\t1\t5\npublic.c\t0\t0\n')
  assert.equal(compareTables(dumped, dumped), [])
  assert.equal(
    compareTables(dumped, parseTables('public.a\t1\t77\npublic.b\t1\t6\npublic.d\t0\t0\n')),
    [
      'public.a has 1 rows of 2',
      'public.b has other contents',
      'public.c is missing',
      'public.d was not dumped',
    ],
  )
})

test('a list of checksums without its end is refused: kubernetes/kubernetes#124571 ends well all the same', async () => {
  assert.equal(parseMeasured('Dump', 'abc 12 shop/dump\nend\n'), [
    { name: 'shop/dump', sha256: 'abc', bytes: 12 },
  ])
  assert.match((await refusal(() => parseMeasured('Dump', 'abc 12 shop/dump\n'))).why, 'cut short')
})

test('why a dump fails is what its program said first, if it could still say anything', () => {
  const said =
    'pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table "rows"\npsql:/kgc/dump.sql:12: ERROR:  pg_dump did not end well\n'
  assert.is(findCause(said), said.split('\n')[0])
  assert.is(
    findCause('no room: the engine has 1 bytes free\n'),
    'no room: the engine has 1 bytes free',
  )
  assert.is(findCause(''), undefined)
})

test('bytes pass from a process to the disk as they are; one that fails in the middle fails', async () => {
  const path = join(to, 'bytes')
  const source = join(import.meta.dirname, '../../package-lock.json')
  const store = (name: string) => (bytes: Readable) => storeBytes(bytes, `${path}-${name}`, [])
  const { plain } = await runBytes(['cat', source], 'Copy', store('whole'))
  assert.equal(plain, await measureFile(source))
  const { why } = await refusal(() =>
    runBytes(['sh', '-c', 'head -c 100000 /dev/zero; exit 3'], 'Copy', store('cut')),
  )
  assert.match(why, 'ended with 3')
  const back = await runBytes(
    ['cat'],
    'Copy',
    async output => (await output.toArray()).length > 0,
    async input => createReadStream(source).pipe(input),
  )
  assert.ok(back)
})

test('who stops reading when the command has ended, and left some unread, says why', async () => {
  const file = join(to, 'pid')
  const command = `echo $$ > ${file}; exec head -c 150000 /dev/zero`
  const why = await runBytes(['sh', '-c', command], 'Copy', async () => {
    await waitUntil('the command has ended', 10, () => !existsSync(`/proc/${readPid(file)}`), 50)
    throw new Error('the disk is full')
  }).catch((error: Error) => error.message)
  assert.is(why, 'the disk is full')
})
const readPid = (file: string) => (existsSync(file) && readFileSync(file, 'utf8').trim()) || 'self'

test('what a disk says is the cause, and not that what comes before it was cut off', async () => {
  const path = join(to, 'taken')
  writeFileSync(path, '')
  const recipient = await identityToRecipient(await generateX25519Identity())
  for (const recipients of [[], [recipient]]) {
    const stored = runBytes(['head', '-c', '9000000', '/dev/zero'], 'Copy', bytes =>
      storeBytes(bytes, path, recipients),
    )
    assert.is(await stored.catch((error: NodeJS.ErrnoException) => error.code), 'EEXIST')
  }
})

test('nobody gets a backup that nobody can open, or one that is elsewhere than it seems', async () => {
  const box = sandbox()
  assert.is(box.script(['env', 'demo']).code, 0)
  const away = { DOCKER_HOST: 'unix:///nowhere.sock' }
  for (const [words, code, said] of [
    [['demo'], 2, '--to needs the folder'],
    [['demo', '--to', 's3://bucket'], 2, '--copy-to copies what it holds'],
    [['demo', '--to', to], 3, /there is no recipient[^]*NEXT.*backup.ts key --to FILE/],
    [['demo', '--to', to, '--recipient', 'age1x'], 2, 'age1x is no age recipient'],
    [['demo', '--to', to, '--unencrypted', '--recipient', 'age1x'], 2, 'either'],
    [['demo', '--to', to, '--unencrypted'], 3, 'Ask the Docker engine'],
  ] as const) {
    const answer = await box.inProcess(['backup', ...words], away)
    assert.is(answer.code, code, answer.stderr)
    assert.match(answer.stderr, said)
  }
})

test('a key is made once, is closed to others, and opens what is encrypted to its recipient', async () => {
  const box = sandbox()
  const file = join(to, 'key')
  const { code, stdout, stderr } = await box.inProcess(['backup', 'key', '--to', file])
  assert.is(code, 0, stderr)
  assert.match(stdout, /^age1[a-z0-9]+\n$/)
  assert.not.match(stderr + stdout, 'AGE-SECRET-KEY')
  const { dump } = await makeBackup(4, {}, [stdout.trim()])
  const { readIdentities } = await import('../../scripts/lib/backup/encryption.ts')
  await requireOpenable(dump, await readIdentities(file), [stdout.trim()])
  const text = readFileSync(file, 'utf8')
  for (const damaged of [text.slice(0, -9), text.replace(/.(?=\n$)/, 'b')]) {
    writeFileSync(`${file}.damaged`, damaged)
    const { code, why } = await refusal(() => readIdentities(`${file}.damaged`))
    assert.is(code, 3)
    assert.is(why, `the key in ${file}.damaged is damaged or cut off`)
  }
  assert.is((await box.inProcess(['backup', 'key', '--to', file])).code, 3)
})

test('of what Node warns of, the one about the library is not said, and all else is', async () => {
  const { loadAge } = await import('../../scripts/lib/backup/age/load.ts')
  await loadAge()
  const heard: string[] = []
  const hear = ({ message }: Error) => void heard.push(message)
  process.on('warning', hear)
  const warnings = ['The X25519 Web Crypto API algorithm is an experimental feature', 'Another one']
  for (const words of warnings) process.emitWarning(words, 'ExperimentalWarning')
  await new Promise(done => setImmediate(done))
  process.off('warning', hear)
  assert.equal(heard, ['Another one'])
})

test('a backup writes env files of this repository and nothing else', async () => {
  const { readSavedEnvFiles } = await import('../../scripts/lib/backup/restore/ready.ts')
  const { folder, manifest } = await makeBackup()
  const named = (name: string) => ({
    ...manifest,
    files: manifest.files.map(file => ({ ...file, name: `env/${name}` })),
  })
  const own = 'infra/docker/chatwoot/extra.env'
  assert.is((await readSavedEnvFiles(folder, named(own), []))[0]?.name, own)
  for (const name of ['../../.ssh/authorized_keys', 'infra/docker/../../x.env', 'scripts/up.ts'])
    assert.match(
      (await refusal(() => readSavedEnvFiles(folder, named(name), []))).why,
      'is no env file of this repository',
    )
})

test('a restore says what is missing before it asks the engine', async () => {
  const box = sandbox()
  const { folder, manifest } = await makeBackup()
  const away = { DOCKER_HOST: 'unix:///nowhere.sock' }
  for (const [words, code, said] of [
    [[], 2, 'which backup?'],
    [[join(to, 'none')], 3, 'it is not there'],
    [[folder, 'demo'], 3, /env files .env, not .env.demo[^]*NEXT.*mode prod/],
    [[folder, 'prod', 'chatwoot'], 3, 'it does not have chatwoot'],
    [[folder, 'prod', 'moon'], 2, 'moon is no application'],
    [[folder, 'prod'], 3, 'Ask the Docker engine'],
  ] as const) {
    const answer = await box.inProcess(['restore', ...words], away)
    assert.is(answer.code, code, answer.stderr)
    assert.match(answer.stderr, said)
  }
  rmSync(join(folder, manifest.files[0]!.stored.path))
  const answer = await box.inProcess(['restore', folder, 'prod'], away)
  assert.is(answer.code, 3)
  assert.match(answer.stderr, 'shop/dump is missing')
})

test("without a mode what a restore has left is dev's, and where only others have any, their commands are named", async () => {
  const box = sandbox()
  const { bin, env, answer } = fakes(['docker'])
  const asked = (flag: string, held: string, files: string[]) => {
    const list = files.map(name => `/srv/kgc/infra/docker/docker-compose.${name}.yml`).join('\n')
    answer([
      { call: /^docker version/, stdout: '29' },
      { call: /^docker network ls .*label=hu.kgc.held$/, stdout: held },
      { call: held ? /^docker ps .*network=net1$/ : /^docker ps .*config_files$/, stdout: list },
      // whatever a stack is asked for next
      { call: /^docker/, code: 7 },
    ])
    return box.inProcess(['restore', flag], { ...env, PATH: `${bin}:${process.env.PATH}` })
  }
  const none = await asked('--go-live', '', [])
  assert.is(none.code, 3)
  assert.match(none.stderr, /no stack on this machine is held back[^]*--go-live ENVIRONMENT/)
  const prod = await asked('--go-live', 'net1', ['prod'])
  assert.is(prod.code, 3)
  assert.match(prod.stderr, 'what is held back here is prod')
  assert.match(prod.stderr, /NEXT +npx zx scripts\/restore.ts --go-live prod\n/)
  const both = await asked('--drop-old', '', ['demo', 'prod'])
  assert.match(both.stderr, /--drop-old demo, or npx zx scripts\/restore.ts --drop-old prod\n/)
  const own = await asked('--go-live', 'net1', ['demo', 'dev'])
  assert.match(own.stderr, 'ended with 7')
})

test('a backup from Kubernetes goes into a stack on Compose that has the values that its data was written with', async () => {
  const box = sandbox()
  assert.is(box.script(['env', 'demo']).code, 0)
  const env = parse(readFileSync(join(box.docker, 'chatwoot/.env.demo'), 'utf8'))
  const key = 'CHATWOOT_ENCRYPTION_PRIMARY_KEY'
  const restore = async (value: string) => {
    const secret = {
      ...{ kind: 'Secret', metadata: { name: 'chatwoot-secrets' } },
      data: { [key]: Buffer.from(value).toString('base64') },
    }
    const { folder, manifest } = await makeBackup(4, {
      ...{ engine: 'kubernetes', suffix: '.production', applications: ['chatwoot'] },
    })
    const name = 'kubernetes/secrets.json'
    const bytes = Readable.from([Buffer.from(JSON.stringify([secret]))])
    const { plain, stored } = await storeBytes(bytes, join(folder, name), [])
    const files = [...manifest.files, { ...plain, name, stored: { ...stored, path: name } }]
    await writeManifest(folder, { ...manifest, files })
    return box.inProcess(['restore', folder, 'demo'], { DOCKER_HOST: 'unix:///nowhere.sock' })
  }
  const same = await restore(env[key]!)
  assert.match(same.stderr, 'Ask the Docker engine')
  const other = await restore('abcdefghijklmnopqrstuvwxyzabcdef')
  assert.is(other.code, 3)
  assert.match(other.stderr, `infra/docker/chatwoot: ${key}`)
  assert.not.match(other.stderr, env[key]!)
})

test('who is not named as a recipient is told the env file of the stack, and the key that is there first', async () => {
  try {
    await findRecipients({}, {}, '.demo')
    assert.unreachable()
  } catch (error) {
    const { next } = error as Failure
    assert.match(
      next!,
      /^BACKUP_RECIPIENTS=age1… in infra\/docker\/\.env\.demo: the first line of your key/,
    )
  }
  assert.equal(listMissingSettings({ BACKUP_FOLDER: '/srv/backups', BACKUP_RECIPIENTS: '' }), [
    'BACKUP_RECIPIENTS',
  ])
})

test('a place elsewhere is not taken for a folder that has no backups', () => {
  const { code, stderr } = sandbox().script(['backup', 'status', 'demo', '--to', 'kgc:backups/kgc'])
  assert.is(code, 2)
  assert.match(stderr, '--to takes a folder of this machine')
})

test.run()
