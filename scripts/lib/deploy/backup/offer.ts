// The backups from which the data from before a migration comes back.
import type { Environment } from '../../kubernetes/environment.ts'
import type { Release, ReleaseBackup, StoredRelease } from '../../kubernetes/releases.ts'
import { listMigrators } from './migrations.ts'

/** A backup with data as a release had it, and of which applications. */
export interface BackupOffer {
  backup: ReleaseBackup
  applications: string[]
}

/**
 * The newest backups since `release` of applications with the schema that it had, newest release first in
 * `history`. What has none is left out. Pure.
 */
export function findBackupOffers(
  history: Release[],
  { number, heads = {} }: Pick<Release, 'number' | 'heads'>,
  applications: string[],
): BackupOffer[] {
  const taken = history.flatMap(({ number: later, backup }) =>
    later > number && backup && !('off' in backup) ? [backup] : [],
  )
  const offers = new Map<string, BackupOffer>()
  for (const application of applications) {
    const backup = taken.find(
      one =>
        one.applications.includes(application) &&
        heads[application] !== undefined &&
        one.heads[application] === heads[application],
    )
    if (!backup) continue
    const known = offers.get(backup.name)?.applications ?? []
    offers.set(backup.name, { backup, applications: [...known, application] })
  }
  return [...offers.values()]
}

/**
 * The command that restores what is offered, not held back: the rollback follows. Where an application's own
 * start migrates its data, it stays down until the release that goes with it is back.
 */
export function describeRestoreCommand(
  { name }: Pick<Environment, 'name'>,
  { backup, applications }: BackupOffer,
  { manifests }: Pick<StoredRelease, 'manifests'>,
): string {
  const migratesItself = applications.some(application =>
    listMigrators(manifests, application).some(({ kind }) => kind !== 'Job'),
  )
  const words = [name, ...applications, '--target kubernetes', '--identity FILE']
  words.push(migratesItself ? '--stay-down' : '--go-live')
  const place = backup.folder?.path ?? backup.copy
  return `npx zx scripts/restore.ts ${place}/${backup.name} ${words.join(' ')}`
}

/** Where a backup is, for people. */
export function describePlace({ folder, copy }: ReleaseBackup): string {
  const places = [folder && `in ${folder.path} on ${folder.machine}`, copy && `at ${copy}`]
  return places.filter(Boolean).join(' and ')
}
