// What a backup is to have, for whom, and what is refused instead of being left out.
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { usageFailure } from '../cli.ts'
import type { Container } from '../compose/containers.ts'
import { stackModes } from '../compose/stack.ts'
import { exit, Failure } from '../errors.ts'
import { listEnvironments } from '../kubernetes/environment.ts'
import { warn } from '../report.ts'
import { findApplicationFolder } from '../repository.ts'
import { checkRecipients } from './encryption.ts'
import type { BackupManifest } from './manifest.ts'
import { isElsewhere } from './off-site/fetch.ts'
import { findElsewhere, type PlannedApplication, type PlannedDatabase } from './plan.ts'
import { findShrunken } from './size.ts'
import { readDatabaseState } from './swapping.ts'
import type { AskServer } from './engine.ts'

/** To whom it is encrypted; `settings` are of the env files with `suffix`. Throws Failure (refused) for nobody, unless that is what was asked. */
export async function findRecipients(
  { recipient, unencrypted }: { recipient?: string[]; unencrypted?: boolean },
  settings: Record<string, string>,
  suffix: string,
): Promise<string[]> {
  const named = recipient ?? (settings.BACKUP_RECIPIENTS ?? '').split(',')
  const recipients = named.map(one => one.trim()).filter(Boolean)
  if (unencrypted && recipient) throw usageFailure('either --recipient or --unencrypted')
  if (unencrypted) {
    warn('it is not encrypted: everybody who can read the folder has all data and passwords')
    return []
  }
  if (!recipients.length)
    throw new Failure(
      exit.refused,
      'Read the recipients',
      'nobody could open the backup: there is no recipient',
      {
        evidence: 'A backup holds everything, passwords too, so it is encrypted.',
        next: `BACKUP_RECIPIENTS=age1… in infra/docker/.env${suffix}: the first line of your key file names it; without a key: npx zx scripts/backup.ts key --to FILE; or the same command with --unencrypted`,
      },
    )
  await checkRecipients(recipients)
  return recipients
}

/** The folder that backups are in; `settings` are of the env files with `suffix`. Throws Failure (usage) for none, and for a place elsewhere. */
export function requireFolder(
  to: string | undefined,
  { BACKUP_FOLDER }: Record<string, string>,
  suffix: string,
): string {
  const folder = to ?? (BACKUP_FOLDER || undefined)
  if (folder === undefined)
    throw usageFailure(
      `--to needs the folder that backups are in, or BACKUP_FOLDER in infra/docker/.env${suffix}`,
    )
  if (isElsewhere(folder))
    throw usageFailure(
      '--to takes a folder of this machine; --copy-to copies what it holds to a bucket, and restore.ts takes a backup from there',
    )
  return resolve(folder)
}

/** The folders of applications that are named. Throws Failure (usage) for a name that is none. */
export const readFolders = (names: string[]): string[] =>
  names.map(name => {
    const folder = findApplicationFolder(name)
    if (!folder) throw usageFailure(`${name} is no application: no folder of infra/docker`)
    return folder
  })

/**
 * Whether the first word means an environment on Kubernetes, by --target or because no mode of Compose
 * has that name. Throws Failure (usage) for another target.
 */
export function isEnvironment(target: string | undefined, word = ''): boolean {
  if (target && !['compose', 'kubernetes'].includes(target))
    throw usageFailure(`--target ${target} is not known: compose or kubernetes`)
  if (target) return target === 'kubernetes'
  return !stackModes().includes(word) && listEnvironments().includes(word)
}

/**
 * The applications that are named, or else all that have run here, with the databases that must
 * answer. Throws Failure (refused) for a database that does not run: it would be missing.
 */
export function chooseApplications(
  plans: PlannedApplication[],
  names: string[],
  seen: Map<string, Container>,
  mode: string,
): PlannedApplication[] {
  const folders = readFolders(names)
  const chosen = plans.filter(({ folder, services }) =>
    folders.length ? folders.includes(folder) : services.some(service => seen.has(service)),
  )
  const down = chosen
    .flatMap(({ databases }) => databases)
    .filter(({ service }) => seen.get(service)?.State.Status !== 'running')
  if (down.length)
    throw new Failure(
      exit.refused,
      'Choose what to back up',
      `${down.map(({ service }) => service).join(', ')} does not run`,
      {
        next: `npx zx scripts/up.ts ${mode}, or name the applications that a backup is to have`,
      },
    )
  return chosen
}

/** Throws Failure (refused) for a folder on the system's own disk: the one for backups is not mounted. */
export function refuseSystemDisk(to: string): void {
  const device = statSync(to, { throwIfNoEntry: false })?.dev
  if (device !== undefined && device !== statSync('/').dev) return
  const why = device === undefined ? 'it is not there' : "it is on the system's own disk"
  throw new Failure(exit.refused, `Write to ${to}`, `${why}: is the disk for backups mounted?`, {
    next: `mount ${to}`,
  })
}

/** Throws Failure (refused) for a database whose restore has not come to its end. */
export async function refuseHalfRestored(database: PlannedDatabase, ask: AskServer): Promise<void> {
  const { what, begun } = await readDatabaseState(database, ask)
  if (begun !== undefined)
    throw new Failure(
      exit.refused,
      `Look at ${what}`,
      `it is in the middle of the restore of ${begun}`,
      {
        next: `the restore of ${begun} again: it comes to its end`,
      },
    )
}

/** What lies in a bucket is in no backup: refused, unless that is known. */
export function refuseElsewhere(
  plans: PlannedApplication[],
  settings: Record<string, string>,
  known: boolean,
): void {
  const found = findElsewhere(plans, settings)
  for (const { what, next, moved } of found)
    if (known || !moved) warn(`not in this backup: ${what}; save it with ${next}`)
  const [first] = found.filter(({ moved }) => moved)
  if (first && !known)
    throw new Failure(exit.refused, 'Choose what to back up', first.what, {
      next: `${first.next}, and the same command with --without-buckets`,
    })
}

/** Throws Failure (5) where the backup has less than half of what the one before had, unless that is right. */
export function refuseShrunken(
  now: BackupManifest,
  before: Pick<BackupManifest, 'databases' | 'volumes'>,
  accepted: boolean,
): void {
  const { empty, small } = findShrunken(now, before)
  const what = 'Compare with the backup before'
  if (empty.length)
    throw new Failure(exit.rolledBack, what, empty[0]!, {
      evidence: empty.join('\n'),
      next: 'find out where it went; if nothing is missing: the same command with another folder',
    })
  if (small.length && !accepted)
    throw new Failure(exit.rolledBack, what, small[0]!, {
      evidence: small.join('\n'),
      next: 'find out where it went; if nothing is missing: the same command with --accept-size',
    })
}
