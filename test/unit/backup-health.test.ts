// What is said of backups: in a sentence, to Prometheus, by the doctor; and that somebody has the key.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openStored } from '../../scripts/lib/backup/encryption.ts'
import { judgeHealth } from '../../scripts/lib/backup/health/doctor.ts'
import { createProofWord } from '../../scripts/lib/backup/health/key-proof.ts'
import { formatMetrics, measureHealth } from '../../scripts/lib/backup/health/metrics.ts'
import {
  changeRecord,
  noteRestore,
  readRecord,
  recordTry,
  type BackupTry,
} from '../../scripts/lib/backup/health/record.ts'
import { describeSummary, summarizeBackups } from '../../scripts/lib/backup/health/summary.ts'
import { withLock } from '../../scripts/lib/backup/lock.ts'
import { judgeBackups } from '../../scripts/lib/backup/retention/judge.ts'
import { exit, Failure } from '../../scripts/lib/errors.ts'
import { readTypeScript } from '../node.ts'
import { sandbox, repository } from '../sandbox.ts'
import { dayMs, hourMs, makeBackup, project } from './made-backups.ts'

const test = suite('backup health')
const box = sandbox()
const now = Date.now()
let to: string
test.before.each(() => void (to = mkdtempSync(join(tmpdir(), 'kgc-backups-'))))
test.after.each(() => rmSync(to, { recursive: true, force: true }))

const summarize = async () =>
  summarizeBackups(project, await judgeBackups(to, project), readRecord(to, project), now)
const proveKey = (...words: string[]) =>
  box.inProcess(['backup', 'prove-key', 'demo', '--to', to, ...words])

/** An identity in a file, and its recipient. */
async function makeKey(name = 'key') {
  const identity = await generateX25519Identity()
  const file = join(to, name)
  writeFileSync(file, `${identity}\n`)
  return { identity, file, recipient: await identityToRecipient(identity) }
}

const readWord = async (folder: string, identity: string) =>
  Buffer.concat(
    (await (await openStored(join(folder, 'proof.age'), [identity])).toArray()) as Buffer[],
  ).toString()

test('the sentence says when the last one was proven, how fast it is back, and what may be lost', async () => {
  for (const hours of [4, 28, 80]) await makeBackup(to, project, now - hours * hourMs)
  assert.match(
    describeSummary(await summarize(), to, now),
    /^kgc-test-\d+: last proven \d{4}-\d\d-\d\d \d\d:\d\d, its databases back in 1\.5 s, at most 2 days lost\. It is not encrypted\.$/,
  )
  await changeRecord(to, project, {
    restored: { at: new Date(now).toISOString(), backup: 'x', ms: 250_000 },
    lastTry: { at: new Date(now).toISOString(), ms: 1, why: 'Dump shop: no room' },
  })
  const said = describeSummary(await summarize(), to, now)
  assert.match(said, 'back in 4 min 10 s (restored ')
  assert.match(said, 'failed: Dump shop: no room')
  const { stdout } = await box.inProcess(['backup', 'status', '--to', to])
  assert.match(stdout, `${project}: last proven`)
  const json = await box.inProcess(['backup', 'status', '--to', to, '--json'])
  const events = json.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  const summary = events.find(({ event }) => event === 'summary')
  assert.is(summary?.backMs, 250_000)
  assert.is(summary?.longestGapMs, 52 * hourMs)
})

test('a failure is a metric of its own, and an old success stays old (stashed/stash#595, managoat/fountain#662)', async () => {
  await makeBackup(to, project, now - 50 * hourMs, { applications: ['shop', 'crm'] })
  const partial = await makeBackup(to, project, now - 2 * hourMs, { applications: ['crm'] })
  await recordTry(
    { to, project },
    true,
    async () =>
      (await makeBackup(to, project, now - 51 * hourMs, { applications: ['shop', 'crm'] }))
        .manifest,
  )
  const failing = recordTry({ to, project }, true, async () => {
    throw new Failure(exit.rolledBack, 'Dump shop', 'killed')
  })
  assert.is(await failing.catch((error: Failure) => error.why), 'killed')
  const text = formatMetrics(await summarize())
  assert.match(text, /^kgc_backup_last_try_succeeded 0$/m)
  assert.match(
    text,
    `kgc_backup_last_success_timestamp_seconds{application="shop"} ${Math.floor((now - 50 * hourMs) / 1000)}\n`,
  )
  assert.match(
    text,
    `{application="crm"} ${Math.floor(Date.parse(partial.manifest.created) / 1000)}\n`,
  )
  assert.not.match(text, 'key_proven')
})

test('a folder that is away, or takes no record, is told of as a failure all the same', async () => {
  await makeBackup(to, project, now)
  await changeRecord(to, project, { lastTry: { at: new Date().toISOString(), ms: 5 } })
  for (const folder of [join(to, 'away'), '/proc/self', join(to, `${project}.record.json`)]) {
    let lastTry: BackupTry | undefined
    const failing = recordTry(
      { to: folder, project },
      true,
      () => Promise.reject(new Error('no such disk')),
      one => void (lastTry = one),
    )
    assert.is(await failing.catch((error: Error) => error.message), 'no such disk')
    const text = await measureHealth({ to: folder, project }, '', lastTry)
    assert.match(text, /^kgc_backup_last_try_succeeded 0$/m, folder)
  }
})

test('an application that has left the stack is no longer told of', async () => {
  await makeBackup(to, project, now - 60 * dayMs, { applications: ['shop', 'old'] })
  await recordTry({ to, project }, true, async () => (await makeBackup(to, project, now)).manifest)
  assert.equal(Object.keys((await summarize()).applications), ['shop'])
})

test('the word of the newest backup, read out by its holder, proves the key; nothing else does', async () => {
  const { identity, recipient } = await makeKey()
  const older = await makeBackup(to, project, now - 2 * dayMs, { recipients: [recipient] })
  const { folder, name } = await makeBackup(to, project, now - dayMs, { recipients: [recipient] })
  const word = await readWord(folder, identity)
  assert.match(word, /^([2-9a-z]{4}-){5}[2-9a-z]{4}$/)
  const wrong = await proveKey(createProofWord())
  assert.is(wrong.code, 3)
  assert.match(wrong.stderr, `age --decrypt --identity KEY ${folder}/proof.age`)
  assert.not.ok(existsSync(join(to, `${project}.record.json`)))
  assert.match(formatMetrics(await summarize()), /key_proven_timestamp_seconds 0$/m)
  // one that was read out while another backup was made
  assert.is((await proveKey(await readWord(older.folder, identity))).code, 0)
  const right = await proveKey(` ${word.toUpperCase()}`)
  assert.is(right.code, 0, right.stderr)
  assert.match(right.stdout, `${name} can be opened`)
  assert.is(readRecord(to, project).keyProven?.backup, name)
  assert.not.match(readFileSync(join(to, `${project}.record.json`), 'utf8'), word)
  // a word that somebody wrote down once
  assert.is((await proveKey(await readWord(older.folder, identity))).code, 3)
})

test('who has not proven the key is told the whole command, of the stack that the backup is of', async () => {
  const { recipient } = await makeKey()
  const command = 'npx zx scripts/backup.ts prove-key'
  for (const [hours, changes, words] of [
    [3, { suffix: '' }, 'prod'],
    [2, { suffix: '.demo' }, 'demo'],
    [1, { suffix: '.demo', engine: 'kubernetes' }, 'demo --target kubernetes'],
  ] as const) {
    await makeBackup(to, project, now - hours * hourMs, { ...changes, recipients: [recipient] })
    const said = describeSummary(await summarize(), to, now)
    assert.match(said, `they can open it (${command} ${words} --to ${to}).`)
  }
})

test('the key in a file proves itself, another does not, and new recipients want a new proof', async () => {
  const [own, other] = [await makeKey(), await makeKey('other')]
  await makeBackup(to, project, now - dayMs, { recipients: [own.recipient] })
  assert.is((await proveKey('--identity', other.file)).code, 3)
  assert.is((await summarize()).keyProven, undefined)
  const { code, stderr } = await proveKey('--identity', own.file)
  assert.is(code, 0, stderr)
  assert.ok((await summarize()).keyProven)
  await makeBackup(to, project, now, { recipients: [other.recipient] })
  assert.is((await summarize()).keyProven, undefined)
})

test('a restore proves the key of those that the newest backup is for', async () => {
  const [own, former] = [await makeKey(), await makeKey('former')]
  const old = await makeBackup(to, project, now - 2 * dayMs, { recipients: [former.recipient] })
  const today = await makeBackup(to, project, now - dayMs, { recipients: [own.recipient] })
  await noteRestore(today.folder, today.manifest, 5)
  assert.is((await summarize()).keyProven, undefined)
  await changeRecord(to, project, {})
  await noteRestore(old.folder, old.manifest, 5)
  assert.is(readRecord(to, project).keyProven, undefined)
  await noteRestore(today.folder, today.manifest, 5)
  assert.match(describeSummary(await summarize(), to), 'The key was last proven')
  // an older one takes nothing back
  await noteRestore(old.folder, old.manifest, 5)
  assert.is(readRecord(to, project).keyProven?.backup, today.name)
  const plain = await makeBackup(to, project, now, { recipients: [] })
  await noteRestore(plain.folder, plain.manifest, 5)
  assert.is(readRecord(to, project).keyProven?.backup, today.name)
})

test('a key that is typed is not shown', async () => {
  const { identity, recipient } = await makeKey()
  await makeBackup(to, project, now, { recipients: [recipient] })
  const argv = `${process.execPath} --import=tsx scripts/backup.ts prove-key demo --to ${to}`
  const typing = spawn('script', ['-qec', argv, '/dev/null'], { cwd: box.root })
  let text = ''
  typing.stdout.on('data', data => {
    text += data
    if (String(data).includes('nothing is shown')) typing.stdin.write(`${identity}\n`)
  })
  const [code] = await once(typing, 'close')
  assert.is(code, 0, text)
  assert.match(text, 'can be opened')
  assert.not.match(text, identity.slice(0, 20))
  const none = await proveKey()
  assert.is(none.code, 3)
  assert.match(none.stderr, 'there is no terminal')
})

test('the doctor reminds of backups that are late, failed, or that nobody may be able to open', async () => {
  const { recipient } = await makeKey()
  const said = async () => judgeHealth(await summarize(), 'demo', to, now).map(({ what }) => what)
  assert.equal(await said(), [`there is no good one of ${project} in ${to}`])
  await makeBackup(to, project, now - 31 * hourMs, { recipients: [recipient] })
  assert.equal(await said(), [
    'the newest good one is 31 h old',
    'nobody has shown yet that they can open them',
  ])
  await makeBackup(to, project, now - 29 * hourMs, { recipients: [recipient] })
  const keyProven = (days: number) => ({
    at: new Date(now - days * dayMs).toISOString(),
    backup: 'x',
    recipients: [recipient],
  })
  await changeRecord(to, project, { keyProven: keyProven(91) })
  assert.equal(await said(), ['nobody has shown for 91 days that they can open them'])
  await changeRecord(to, project, { keyProven: keyProven(89) })
  assert.equal(await said(), [])
})

// and LinuxGSM#2916, Commifreak/unraid-appdata.backup#78
test('two at once are refused, whichever way the first one ends the next may work (jhuckaby/Cronicle#789)', async () => {
  const code = `import { withLock } from '${repository}/scripts/lib/backup/lock.ts'
    await withLock('${project}', async () => { console.log('held'); await new Promise(done => setTimeout(done, 60_000)) })`
  const other = spawn(process.execPath, [...readTypeScript, '--input-type=module', '-e', code], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise(done => other.stdout.once('data', done))
  const refused = await withLock(project, async () => {}).catch((error: Failure) => error.code)
  assert.is(refused, exit.locked)
  assert.is(
    await withLock(`${project}-other`, async () => withLock(`${project}-other`, async () => 5)),
    5,
  )
  other.kill('SIGKILL')
  await new Promise(done => other.once('close', done))
  assert.is(await withLock(project, async () => 7), 7)
})

test('a folder on the system’s own disk is refused where another is wanted (NethServer/dev#5720)', async () => {
  assert.is(box.script(['env', 'demo']).code, 0)
  const words = ['demo', '--unencrypted', '--own-disk', '--to']
  const away = { DOCKER_HOST: 'unix:///nowhere.sock' }
  for (const [folder, said] of [
    ['/usr', "on the system's own disk"],
    [join(to, 'none'), 'it is not there'],
    ['/dev/shm', 'Ask the Docker engine'],
  ] as const) {
    const { code, stderr } = await box.inProcess(['backup', ...words, folder], away)
    assert.is(code, 3, stderr)
    assert.match(stderr, said)
  }
  rmSync(`/dev/shm/${project}.record.json`, { force: true })
})

test.run()
