// A backup that is to be restored: whole, openable, and of what is there.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { exit, Failure } from '../../errors.ts'
import { step } from '../../report.ts'
import { openStored, readIdentities, requireOpenable } from '../encryption.ts'
import { requireWhole, type BackupManifest, type StoredFile } from '../manifest.ts'
import type { PlannedApplication } from '../plan.ts'

/** Checks all files of a backup. Out: the identities that open it; none where it is not encrypted. Throws Failure (refused). */
export async function openBackup(
  folder: string,
  manifest: BackupManifest,
  identity: string | undefined,
): Promise<string[]> {
  await step(`Check ${manifest.name}`, () => requireWhole(folder, manifest))
  const identities = manifest.recipients.length ? await readIdentities(identity) : []
  if (identities.length)
    for (const { stored } of manifest.files)
      await requireOpenable(join(folder, stored.path), identities, manifest.recipients)
  return identities
}

/** A small file of a backup. Throws Failure (refused) where it is not as it was saved. */
export async function readSavedFile(
  folder: string,
  { name, sha256, stored }: StoredFile,
  identities: string[],
): Promise<Buffer> {
  const parts = await (await openStored(join(folder, stored.path), identities)).toArray()
  const bytes = Buffer.concat(parts.map(part => Buffer.from(part as Uint8Array)))
  if (createHash('sha256').update(bytes).digest('hex') === sha256) return bytes
  throw new Failure(exit.refused, `Read ${name} of the backup`, 'it is not as it was saved')
}

/** Throws Failure (refused) for applications that the backup does not have. */
export function refuseAbsent(manifest: BackupManifest, folders: string[]): void {
  const absent = folders.filter(folder => !manifest.applications.includes(folder))
  if (absent.length)
    throw new Failure(
      exit.refused,
      `Read ${manifest.name}`,
      `it does not have ${absent.join(', ')}`,
      { next: `it has ${manifest.applications.join(', ')}` },
    )
}

/** What of this stack the backup has. Throws Failure (refused) where this release has other databases or volumes than were saved. */
export function chooseSaved(
  manifest: BackupManifest,
  plans: PlannedApplication[],
  folders: string[],
): PlannedApplication[] {
  const wanted = folders.length ? folders : manifest.applications
  const chosen = plans.filter(({ folder }) => wanted.includes(folder))
  const here = chosen.flatMap(({ databases, files }) => [
    ...databases.map(({ database }) => database),
    ...files.map(({ key }) => key),
  ])
  const saved = [...manifest.databases, ...manifest.volumes]
    .filter(({ application }) => wanted.includes(application))
    .map(one => ('database' in one ? one.database : one.volume))
  const unlike = [
    ...here.filter(name => !saved.includes(name)),
    ...saved.filter(name => !here.includes(name)),
  ]
  if (unlike.length)
    throw new Failure(
      exit.refused,
      `Read ${manifest.name}`,
      `the backup or this release does not have ${unlike.join(', ')}`,
      {
        next: `restore with the release that it was taken from: ${manifest.toolkit}`,
      },
    )
  if (!chosen.some(({ databases }) => databases.length))
    throw new Failure(exit.refused, `Read ${manifest.name}`, 'no database is among them', {
      next: 'name an application with a database, too',
    })
  return chosen
}
