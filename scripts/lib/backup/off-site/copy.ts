// Copies of backups in a bucket, by rclone (https://rclone.org/s3), which a machine has or has not.
// A copy counts when all of it was read back and is what lies here; its manifest is written last.
import { join } from 'node:path'
import { usageFailure } from '../../cli.ts'
import { exit, Failure } from '../../errors.ts'
import { warned } from '../../monitoring/restarts.ts'
import { say, step } from '../../report.ts'
import { run, type RunOutput } from '../../run.ts'
import { measureFile } from '../encryption.ts'
import { changeRecord, type BackupFolder } from '../health/record.ts'
import { manifestName, nameBackup, parseManifest, type BackupManifest } from '../manifest.ts'
import { judgeBackups } from '../retention/judge.ts'

/** A place for copies. */
export interface OffSite {
  /** As people write it: `s3://bucket/prefix`. */
  url: string
  /** As rclone does. */
  remote: string
  /** What rclone knows of it, the credentials among it: never in an argument. Without: what it is configured for itself. */
  env: Record<string, string> | undefined
}

/** The place that `--copy-to` or BACKUP_COPY_TO names; undefined: none. Throws Failure (usage) for one that nobody can reach. */
export function readOffSite(
  given: string | undefined,
  settings: Record<string, string>,
): OffSite | undefined {
  const url = given ?? settings.BACKUP_COPY_TO
  if (!url) return undefined
  const [, bucket, , prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(\/(.*?))?\/*$/.exec(url) ?? []
  if (!bucket) throw usageFailure(`"${url}" is no s3://bucket/prefix`)
  const {
    BACKUP_S3_ENDPOINT: endpoint = '',
    BACKUP_S3_REGION: region = '',
    BACKUP_S3_ACCESS_KEY_ID: id = '',
    BACKUP_S3_SECRET_ACCESS_KEY: secret = '',
  } = settings
  if (!id || !secret)
    throw usageFailure(
      'BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY are not set in infra/docker/.env, or in the one of its mode',
    )
  const options = {
    ...{ TYPE: 's3', PROVIDER: endpoint ? 'Other' : 'AWS', ENDPOINT: endpoint, REGION: region },
    ...{ ACCESS_KEY_ID: id, SECRET_ACCESS_KEY: secret, NO_CHECK_BUCKET: 'true' },
  }
  return {
    url: url.replace(/\/+$/, ''),
    remote: `kgc:${[bucket, prefix].filter(Boolean).join('/')}`,
    env: Object.fromEntries(
      Object.entries(options).map(([key, value]) => [`RCLONE_CONFIG_KGC_${key}`, value]),
    ),
  }
}

/** What the shell has set for other buckets, taken out. */
const withoutOthers = (): Record<string, undefined> =>
  Object.fromEntries(
    Object.keys(process.env)
      .filter(key => /^(AWS|RCLONE)_/.test(key))
      .map(key => [key, undefined]),
  )

/** rclone with the place's settings alone; one that does not answer is left after some tries. */
const rclone = ({ env }: OffSite, argv: string[]): Promise<RunOutput> =>
  run(
    [
      ...['rclone', ...(env ? ['--config', ''] : [])],
      ...['--retries', '2', '--low-level-retries', '3', '--contimeout', '10s', ...argv],
    ],
    // rclone's transport takes no AWS_CA_BUNDLE and fails; it has RCLONE_CA_CERT
    { env: env ? { ...withoutOthers(), ...env } : { AWS_CA_BUNDLE: undefined }, nothrow: true },
  )

/** Throws Failure (refused) where there is no rclone. */
export async function requireRclone(place: OffSite): Promise<void> {
  const { code } = await run(['rclone', 'version'], { nothrow: true })
  if (code !== 0)
    throw new Failure(exit.refused, `Copy to ${place.url}`, 'there is no rclone here', {
      next: 'apt-get install rclone',
    })
}

/** Why rclone failed, as it says it. */
function findCause(stderr: string): string {
  const lines = stderr.trim().split('\n')
  const cause = lines.findLast(line => line.startsWith('caused by: '))
  const failed = lines.findLast(line => / ERROR : |Failed to/.test(line))
  return cause?.slice(11) ?? failed?.replace(/^[\d/]+ [\d:]+ /, '') ?? lines.at(-1) ?? ''
}

const failure = (what: string, why: string, evidence?: string) =>
  new Failure(exit.rolledBack, what, why, {
    evidence,
    next: 'npx zx scripts/backup.ts copy <mode>   (the backup itself is whole)',
  })

/** What rclone prints. Throws Failure (5) with its cause. */
export async function askRclone(place: OffSite, what: string, argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await rclone(place, argv)
  if (code === 0) return stdout
  throw failure(what, findCause(stderr), stderr.trim().split('\n').slice(-8).join('\n'))
}

/**
 * Copies each good backup of a project that the place does not have, the newest first, and reads it
 * back. Throws Failure (5) with the cause; what lies here stays as it is.
 */
export async function copyBackups(
  { to, project }: BackupFolder,
  place: OffSite,
  fresh = '',
): Promise<void> {
  const what = `Ask ${place.url} what it has`
  const list = ['lsf', '--recursive', '--files-only', '--include', `/*/${manifestName}`]
  const there = (await step(what, () => askRclone(place, what, [...list, place.remote]))).split(
    '\n',
  )
  const good = (await judgeBackups(to, project, { fresh })).flatMap(({ state, manifest }) =>
    state === 'good' && manifest ? [manifest] : [],
  )
  for (const manifest of good)
    if (!there.includes(`${manifest.name}/${manifestName}`))
      await step(`Copy ${manifest.name} to ${place.url}`, () => copyBackup(to, place, manifest))
  const [newest] = good
  if (newest)
    await warned('This copy is not recorded', () =>
      changeRecord(to, project, {
        copied: { at: new Date().toISOString(), backup: newest.name, to: place.url },
      }),
    )
  say(`  ${place.url} has every good backup of ${project}`)
}

/** The manifests there of a project's backups that were begun since a time, the newest first. */
export async function readCopiedManifests(
  place: OffSite,
  project: string,
  since: Date,
): Promise<BackupManifest[]> {
  const what = `Ask ${place.url} what it has`
  const first = nameBackup(project, since)
  const list = ['lsf', '--recursive', '--files-only', '--include', `/${project}-*/${manifestName}`]
  const names = (await askRclone(place, what, [...list, place.remote]))
    .split('\n')
    .map(line => line.replace(`/${manifestName}`, ''))
    .filter(name => name.length === first.length && name >= first)
  const texts = names
    .sort()
    .toReversed()
    .map(name => askRclone(place, what, ['cat', `${place.remote}/${name}/${manifestName}`]))
  return (await Promise.all(texts)).flatMap(text => parseManifest(text) ?? [])
}

async function copyBackup(to: string, place: OffSite, manifest: BackupManifest): Promise<void> {
  const { name, files } = manifest
  const [what, folder, remote] = [
    `Copy ${name} to ${place.url}`,
    join(to, name),
    `${place.remote}/${name}`,
  ]
  const own = await measureFile(join(folder, manifestName))
  const parts = [
    { filter: ['--exclude', `/${manifestName}`], files: files.map(({ stored }) => stored) },
    { filter: ['--include', `/${manifestName}`], files: [{ ...own, path: manifestName }] },
  ]
  for (const { filter, files } of parts) {
    // what is there already is never replaced
    await askRclone(place, what, ['copy', '--immutable', '--checksum', ...filter, folder, remote])
    const sums = await askRclone(place, what, [
      'hashsum',
      'sha256',
      '--download',
      ...filter,
      remote,
    ])
    const read = new Map(sums.split('\n').map(line => [line.slice(66), line.slice(0, 64)]))
    const wrong = files.find(({ path, sha256 }) => read.get(path) !== sha256)
    if (wrong)
      throw failure(what, `${wrong.path} is ${read.has(wrong.path) ? 'other bytes' : 'not'} there`)
  }
}
