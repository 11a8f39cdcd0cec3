// Where the backup goes that a deploy takes, and who may open it.
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { loadEnvValues } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { ReleaseBackup } from '../../kubernetes/releases.ts'
import { keepSecret } from '../../redact.ts'
import { root } from '../../repository.ts'
import type { BackupManifest } from '../manifest.ts'
import { readOffSite, requireRclone, type OffSite } from '../off-site/copy.ts'

/** Where a backup goes, and who may open it. */
export interface Destination {
  /** Without it the folder is gone when the copy is there. */
  folder: string | undefined
  offSite: OffSite | undefined
  recipients: string[]
}

/**
 * What environment.yaml says, else the env files of the environment, else BACKUP_… of the shell. Throws
 * Failure (refused) with what to write.
 */
export async function readDestination(environment: Environment): Promise<Destination> {
  const { backup: policy = {}, folder: overlay, name } = environment
  const settings = readSettings(name)
  const to = policy.to ?? settings.BACKUP_FOLDER
  const offSite = readOffSite(policy.copyTo, settings)
  const what = 'Read where backups go'
  const file = `${overlay}/environment.yaml`
  const isThrownAway = process.env.RUNNER_ENVIRONMENT === 'github-hosted'
  if (!offSite && (!to || isThrownAway))
    throw new Failure(
      exit.refused,
      what,
      to
        ? `a runner of GitHub's is thrown away with ${to}`
        : `neither ${file} nor an env file says it`,
      {
        next: `backup: { ${isThrownAway ? 'copyTo: "s3://bucket/prefix"' : 'to: /srv/backups'}, recipients: [age1…] } in ${file}, or backup: { off: "the reason" } (docs/deploying.md)`,
      },
    )
  const recipients = policy.recipients ?? splitList(settings.BACKUP_RECIPIENTS)
  if (!recipients.length)
    throw new Failure(exit.refused, what, 'nobody could open it: there is no recipient', {
      next: `npx zx scripts/backup.ts key --to FILE, then its recipient in backup: { recipients: [age1…] } in ${file}`,
    })
  if (offSite) await requireRclone(offSite)
  return { folder: to ? resolve(to) : undefined, offSite, recipients }
}

const splitList = (text = ''): string[] =>
  text
    .split(',')
    .map(one => one.trim())
    .filter(Boolean)

function readSettings(name: string): Record<string, string> {
  const given = Object.entries(process.env).flatMap(([key, value]): [string, string][] =>
    key.startsWith('BACKUP_') && value ? [[key, value]] : [],
  )
  for (const [key, value] of given) if (/SECRET|KEY/.test(key)) keepSecret(value)
  const own = Object.entries(loadEnvValues(root, name, true)).filter(([, value]) => value)
  return Object.fromEntries([...given, ...own])
}

/** The same for people. */
export const describeDestination = ({ folder, offSite }: Destination): string =>
  [folder && `into ${folder}`, offSite && `copied to ${offSite.url}`].filter(Boolean).join(', ')

/** What a release says of a backup that lies there. */
export const describeBackup = (
  { name, created, schemaVersions }: BackupManifest,
  { folder, offSite }: Destination,
  applications: string[],
): ReleaseBackup => ({
  ...{ name, created, applications },
  heads: Object.fromEntries(applications.map(one => [one, schemaVersions[one] ?? '?'])),
  ...(folder ? { folder: { path: folder, machine: hostname() } } : {}),
  ...(offSite ? { copy: offSite.url } : {}),
})
