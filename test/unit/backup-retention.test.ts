// Which backups a rule removes. What it must never remove comes from reports of tools that did.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nameBackup, type BackupManifest } from '../../scripts/lib/backup/manifest.ts'
import { judgeBackups } from '../../scripts/lib/backup/retention/judge.ts'
import { planRemovals } from '../../scripts/lib/backup/retention/prune.ts'
import { selectKept, type KeepRules } from '../../scripts/lib/backup/retention/rules.ts'
import { sandbox } from '../sandbox.ts'
import { dayMs, hourMs, makeBackup, project } from './made-backups.ts'

const test = suite('backup retention')
const now = Date.now()
const box = sandbox()
let to: string
test.before.each(() => void (to = mkdtempSync(join(tmpdir(), 'kgc-backups-'))))
test.after.each(() => rmSync(to, { recursive: true, force: true }))

const prune = (...words: string[]) =>
  box.inProcess(['backup', 'prune', 'demo', '--to', to, ...words])
const make = (daysAgo: number, changes?: Partial<BackupManifest>) =>
  makeBackup(to, project, now - daysAgo * dayMs, changes)
const names = () => readdirSync(to).sort()

/** A folder in which a backup was begun and not ended. */
function begin(daysAgo: number, of = project): string {
  const name = nameBackup(of, new Date(now - daysAgo * dayMs))
  mkdirSync(join(to, name))
  const at = new Date(now - daysAgo * dayMs)
  utimesSync(join(to, name), at, at)
  return name
}

test('a rule keeps the newest of each period that has one, and the oldest while some are left, as restic does', () => {
  const at = (text: string) => Date.parse(`${text}:00Z`)
  const times = [
    '2026-03-10T15:00', // a Tuesday
    '2026-03-10T03:00',
    '2026-03-09T03:00', // the Monday of that week
    '2026-03-08T03:00',
    '2026-03-02T03:00',
    '2026-02-28T03:00',
    '2026-01-31T03:00',
    '2026-01-30T03:00',
  ].map(at)
  const kept = (rules: KeepRules) =>
    selectKept(times, rules).flatMap((kinds, index) => (kinds.length ? [index] : []))
  for (const [rules, expected] of [
    [{}, []],
    [{ last: 2 }, [0, 1]],
    [{ daily: 1 }, [0]],
    [{ daily: 3 }, [0, 2, 3]],
    [{ weekly: 3 }, [0, 3, 5]],
    [{ monthly: 2 }, [0, 5]],
    [{ monthly: 4 }, [0, 5, 6, 7]],
    [{ last: 1, weekly: 2, monthly: 3 }, [0, 3, 5, 6]],
  ] as const)
    assert.equal(kept(rules), [...expected], JSON.stringify(rules))
})

test('tries that failed take no place, however many: the good ones before them stay (mighty840/orca#204, thelastpickle/cassandra-medusa#607)', async () => {
  const good = [await make(20), await make(21)].map(({ name }) => name)
  const failed = [1, 2, 3, 4, 5].map(days => begin(days))
  const { code, stderr } = await prune('--keep-last', '2')
  assert.is(code, 0, stderr)
  assert.equal(names(), [...failed, ...good].sort())
  const fresh = begin(0.5)
  const newest = await make(0.1)
  await prune('--keep-last', '2')
  assert.equal(names(), [good[0], fresh, newest.name].sort())
})

test('an empty file that is marked good takes no place and does not go (Skyfay/DBackup#154)', async () => {
  const good = await make(3)
  const empty = await make(1)
  truncateSync(join(empty.folder, 'shop/dump'), 0)
  const unproven = await make(2, { databases: [{ ...good.manifest.databases[0]!, provenMs: 0 }] })
  const { stderr } = await prune('--keep-last', '1')
  assert.match(stderr, /stays +\S+ +1 days|stays +\S+ +24 h/)
  assert.equal(names(), [good.name, unproven.name, empty.name].sort())
})

test('a flipped bit in the newest is found before an older one goes for it', async () => {
  const good = await make(2)
  const damaged = await make(1)
  damaged.manifest.files[0]!.stored.sha256 = '0'.repeat(64)
  rmSync(damaged.folder, { recursive: true })
  const other = await make(1, { files: damaged.manifest.files })
  const { stderr } = await prune('--keep-last', '1')
  assert.match(stderr, 'another checksum')
  assert.equal(names(), [good.name, other.name].sort())
})

test('one of the future is never the newest (berrym/btrfs-backup-ng#56, restic/restic#3416, restic/restic#21956)', async () => {
  const good = [await make(0.1), await make(1.1)]
  const future = [await make(-2), await make(-400)]
  const unfinished = begin(-3)
  await prune('--keep-daily', '1')
  const { stdout } = await box.inProcess(['backup', 'status', '--to', to])
  assert.is(stdout.match(/dated in the future/g)?.length, 2)
  assert.equal(names(), [good[0]!.name, ...future.map(({ name }) => name), unfinished].sort())
})

test('what another project or a person has put there stays as it is (borgbackup/borg#241)', async () => {
  const mine = [await make(1), await make(2)]
  const other = await makeBackup(to, 'kgc', now - 40 * dayMs)
  const similar = await makeBackup(to, `${project}-2`, now - 40 * dayMs)
  const renamed = await make(50)
  renameSync(renamed.folder, join(to, `${project}-20200101T000000Z`))
  const newer = await make(60, { format: 2 as 1 })
  const unreadable = begin(45)
  symlinkSync('manifest.json', join(to, unreadable, 'manifest.json'))
  utimesSync(join(to, unreadable), 0, 0)
  utimesSync(newer.folder, 0, 0)
  const begun = begin(45, 'kgc')
  mkdirSync(join(to, 'photos'))
  symlinkSync(other.folder, join(to, `${project}-20200202T000000Z`))
  await prune('--keep-last', '1')
  const stay = [mine[0]!.name, unreadable, begun, other.name, similar.name, 'photos', newer.name]
  assert.equal(
    names(),
    [...stay, `${project}-20200101T000000Z`, `${project}-20200202T000000Z`].sort(),
  )
})

test('a backup of one application takes no other’s place, and one that was added freezes nothing (YunoHost-Apps/borg_ynh#56, junkerderprovinz/bombvault#91)', async () => {
  const old = [await make(5), await make(4)]
  const full = await make(2, { applications: ['shop', 'crm'] })
  const partial = await make(1, { applications: ['crm'] })
  const { stdout } = await prune('--keep-last', '1')
  assert.equal(names(), [full.name, partial.name].sort())
  assert.match(stdout, '2 of 4 removed')
  assert.is(old.length, 2)
})

test('a rule that cannot be read removes nothing, and neither does a look', async () => {
  const all = [await make(1), await make(2)].map(({ name }) => name).sort()
  for (const words of [
    [],
    ['--keep-last', '0'],
    ['--keep-daily', '-1'],
    ['--keep-daily=-1'],
    ['--keep-weekly', '1w'],
    ['--keep-monthly='],
  ])
    assert.is((await prune(...words)).code, 2, words.join(' '))
  const look = await prune('--keep-last', '1', '--dry-run')
  assert.match(look.stderr, new RegExp(`goes +${all[0]}.*no rule keeps it`))
  assert.match(look.stderr, new RegExp(`stays +${all[1]}.*last, newest`))
  assert.match(look.stdout, '1 of 2 to be removed')
  assert.equal(names(), all)
})

test('of what is unfinished only the old goes, and only when something newer is good', async () => {
  const young = begin(0.9)
  const old = begin(3)
  const plan = async () =>
    planRemovals(await judgeBackups(to, project), { last: 1 })
      .filter(({ backup, goes }) => goes && backup.state === 'unfinished')
      .map(({ backup }) => backup.name)
  assert.equal(await plan(), [])
  await make(4)
  assert.equal(await plan(), [])
  await make(0)
  assert.equal(await plan(), [old])
  utimesSync(join(to, old), new Date(), new Date(now - hourMs))
  assert.equal(await plan(), [])
  assert.ok(names().includes(young))
})

test.run()
